//! What is emptied or removed when its time is over.
//!
//! Each call takes a bounded number of rows in one transaction, and names them by their state and
//! age: two processes may do it at once, and a crash leaves the rest for the next time. Nothing goes
//! that a reply, a document or a replay still needs: batches and jobs must have ended before
//! `before`, and what was given up must have lain there longer than its parked message may.

mod chat;
mod research;
mod rows;

use chrono::{DateTime, Utc};
use sea_orm::{
    DatabaseConnection, DbErr, EntityTrait, QuerySelect, Select,
    sea_query::{LockBehavior, LockType},
};

use crate::{begin, message, processed_event, reply};

pub(crate) use chat::remove_batches;
pub(crate) use rows::empty_contact;

/// How many rows one transaction takes.
const AT_ONCE: u64 = 200;

/// What is kept for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The ids by which repeated events are recognised.
    EventIds,
    /// Batches that were given up: they end as suppressed, because a replay would have no text.
    FailedBatches,
    /// What messages say: text, subject, attachments. The rows stay.
    MessageTexts,
    /// What replies say. The rows stay.
    ReplyTexts,
    /// Jobs that were given up: they end as cancelled, because a replay would have no input.
    FailedJobs,
    /// What was asked and what came back, word for word. The rows stay.
    ResearchAnswers,
    /// Batches that have ended, with their messages, replies and effects.
    Batches,
    /// Messages that belong to no batch.
    LooseMessages,
    /// Jobs that have ended, with their documents' rows and effects. A job whose document lies in a
    /// file of ours stays as long as the file.
    Jobs,
    /// Contacts of whom nothing else is left. Of those that don't want to hear from us, the id and
    /// that wish stay.
    Contacts,
}

impl Kind {
    /// All kinds, in the order in which they can go.
    pub const ALL: [Self; 10] = [
        Self::EventIds,
        Self::FailedBatches,
        Self::MessageTexts,
        Self::ReplyTexts,
        Self::FailedJobs,
        Self::ResearchAnswers,
        Self::Batches,
        Self::LooseMessages,
        Self::Jobs,
        Self::Contacts,
    ];

    /// The kind in a word, as a metric label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EventIds => "event_ids",
            Self::FailedBatches => "failed_batches",
            Self::MessageTexts => "message_texts",
            Self::ReplyTexts => "reply_texts",
            Self::FailedJobs => "failed_jobs",
            Self::ResearchAnswers => "research_answers",
            Self::Batches => "batches",
            Self::LooseMessages => "loose_messages",
            Self::Jobs => "jobs",
            Self::Contacts => "contacts",
        }
    }
}

/// How many rows of this kind are older than `before`.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn count(
    db: &DatabaseConnection,
    kind: Kind,
    before: DateTime<Utc>,
) -> Result<u64, DbErr> {
    use sea_orm::PaginatorTrait;
    match kind {
        Kind::EventIds => rows::old_events(before).count(db).await,
        Kind::FailedBatches => chat::given_up(before).count(db).await,
        Kind::MessageTexts => chat::readable_messages(before).count(db).await,
        Kind::ReplyTexts => chat::readable_replies(before).count(db).await,
        Kind::FailedJobs => research::given_up(before).count(db).await,
        Kind::ResearchAnswers => research::with_answers(before).count(db).await,
        Kind::Batches => chat::ended(before).count(db).await,
        Kind::LooseMessages => chat::loose_messages(before).count(db).await,
        Kind::Jobs => research::ended(before).count(db).await,
        Kind::Contacts => Ok(rows::forgotten_contacts(before).count(db).await?
            + rows::silent_contacts(before).count(db).await?),
    }
}

/// Empties or removes some rows of this kind that are older than `before`, and returns how many. 0
/// means that none are left.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`]. Nothing has changed then.
pub async fn remove_some(
    db: &DatabaseConnection,
    kind: Kind,
    before: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<u64, DbErr> {
    let tx = begin(db).await?;
    let removed = match kind {
        Kind::EventIds => {
            let events: Vec<processed_event::Model> =
                some(rows::old_events(before)).all(&tx).await?;
            rows::remove_events(&tx, &events).await?;
            events.len()
        }
        Kind::FailedBatches => {
            let batches = some(chat::given_up(before)).all(&tx).await?;
            chat::end_given_up(&tx, &batches).await?;
            batches.len()
        }
        Kind::MessageTexts => {
            let messages: Vec<message::Model> =
                some(chat::readable_messages(before)).all(&tx).await?;
            chat::empty_messages(&tx, &messages, now).await?;
            messages.len()
        }
        Kind::ReplyTexts => {
            let replies: Vec<reply::Model> = some(chat::readable_replies(before)).all(&tx).await?;
            chat::empty_replies(&tx, &replies).await?;
            replies.len()
        }
        Kind::FailedJobs => {
            let jobs = research::ids(&tx, some(research::given_up(before))).await?;
            research::end_given_up(&tx, &jobs).await?;
            jobs.len()
        }
        Kind::ResearchAnswers => {
            let jobs = research::ids(&tx, some(research::with_answers(before))).await?;
            research::empty_answers(&tx, &jobs).await?;
            jobs.len()
        }
        Kind::Batches => {
            let batches = some(chat::ended(before)).all(&tx).await?;
            let ids: Vec<_> = batches.iter().map(|batch| batch.id).collect();
            chat::remove_batches(&tx, &ids).await?;
            batches.len()
        }
        Kind::LooseMessages => {
            let messages = some(chat::loose_messages(before)).all(&tx).await?;
            chat::remove_messages(&tx, &messages).await?;
            messages.len()
        }
        Kind::Jobs => {
            let jobs = research::ids(&tx, some(research::ended(before))).await?;
            research::remove_jobs(&tx, &jobs).await?;
            jobs.len()
        }
        Kind::Contacts => {
            let forgotten = some(rows::forgotten_contacts(before)).all(&tx).await?;
            let silent = some(rows::silent_contacts(before)).all(&tx).await?;
            rows::remove_contacts(&tx, &forgotten).await?;
            for contact in &silent {
                rows::empty_contact(&tx, &contact.id).await?;
            }
            forgotten.len() + silent.len()
        }
    };
    tx.commit().await?;
    Ok(removed as u64)
}

/// The next rows to take. On PostgreSQL those that another is about to remove are passed over, so
/// that nobody waits for anybody; SQLite has one writer at a time.
fn some<E: EntityTrait>(rows: Select<E>) -> Select<E> {
    rows.limit(AT_ONCE)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
}
