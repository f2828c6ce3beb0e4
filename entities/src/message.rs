//! Messages, in both directions.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    Condition, FromQueryResult as _, QueryOrder, QuerySelect, QueryTrait,
    entity::prelude::*,
    sea_query::{Asterisk, OnConflict, Query, SelectStatement, UnionType},
};

use crate::{
    BatchId, ContactId, MessageId, TextList, batch,
    write::{any_of_few, in_statements},
};

/// One message to or from a contact.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "messages")]
pub struct Model {
    /// Our id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: MessageId,
    /// The event that brought it; unique.
    #[sea_orm(unique)]
    pub event_id: String,
    /// Who it is from or to.
    pub contact_id: ContactId,
    /// The batch it is in, if it is one that we answer.
    pub batch_id: Option<BatchId>,
    /// The batch's sequence that it raised, from 1.
    pub sequence: Option<i32>,
    /// Which way it went.
    pub direction: Direction,
    /// Who wrote it.
    pub author: Author,
    /// HighLevel's id, where the event had one.
    pub provider_message_id: Option<String>,
    /// HighLevel's id of the e-mail, for threading.
    pub email_message_id: Option<String>,
    /// The channel as the webhook named it.
    pub channel: String,
    /// An e-mail's subject.
    pub subject: Option<String>,
    /// What it says.
    #[sea_orm(column_type = "Text")]
    pub text: String,
    /// The addresses of its attachments.
    #[sea_orm(column_type = "JsonBinary")]
    pub attachments: TextList,
    /// When it was sent, by the sender's clock.
    pub sent_at: DateTime<Utc>,
    /// When we stored it, by ours.
    pub received_at: DateTime<Utc>,
    /// When what it says was removed because its time was over; see [`crate::retention`].
    pub emptied_at: Option<DateTime<Utc>>,
}

/// The batch is found by its id.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum Direction {
    /// From the contact.
    Inbound,
    /// To the contact.
    Outbound,
}

/// Who wrote a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum Author {
    /// The contact.
    Contact,
    /// A model: ours, or another automation of the business.
    Assistant,
    /// A person of the business.
    Person,
}

/// A message as its event tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// The event that brought it.
    pub event_id: String,
    /// Which way it went.
    pub direction: Direction,
    /// Who wrote it.
    pub author: Author,
    /// HighLevel's id, where the event had one.
    pub provider_message_id: Option<String>,
    /// HighLevel's id of the e-mail, for threading.
    pub email_message_id: Option<String>,
    /// The channel as the webhook named it.
    pub channel: String,
    /// An e-mail's subject.
    pub subject: Option<String>,
    /// What it says.
    pub text: String,
    /// The addresses of its attachments.
    pub attachments: Vec<String>,
    /// When it was sent, by the sender's clock.
    pub sent_at: DateTime<Utc>,
}

/// Stores a message that no batch answers: an outbound one, or one from a channel that we do not
/// answer. `false` when its event was stored before; nothing is changed then. Messages that we
/// answer go through [`batch::add_messages`].
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn store_without_batch<C: ConnectionTrait>(
    tx: &C,
    contact: &ContactId,
    message: NewMessage,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let stored = store_all_without_batch(tx, [(contact.clone(), message)], now).await?;
    Ok(stored > 0)
}

/// [`store_without_batch`] of several messages at once; how many were not stored before.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn store_all_without_batch<C: ConnectionTrait>(
    tx: &C,
    messages: impl IntoIterator<Item = (ContactId, NewMessage)>,
    now: DateTime<Utc>,
) -> Result<u64, DbErr> {
    let mut stored = 0;
    for messages in in_statements(messages) {
        let rows = messages
            .into_iter()
            .map(|(contact, message)| row(&contact, message, None, now));
        stored += Entity::insert_many(rows)
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .exec_without_returning(tx)
            .await?;
    }
    Ok(stored)
}

/// A message's row, with the batch that it is in and its number there.
pub(crate) fn row(
    contact: &ContactId,
    message: NewMessage,
    place: Option<(BatchId, i32)>,
    now: DateTime<Utc>,
) -> ActiveModel {
    ActiveModel {
        id: Set(MessageId::new(now)),
        event_id: Set(message.event_id),
        contact_id: Set(contact.clone()),
        batch_id: Set(place.map(|(batch, _)| batch)),
        sequence: Set(place.map(|(_, sequence)| sequence)),
        direction: Set(message.direction),
        author: Set(message.author),
        provider_message_id: Set(message.provider_message_id),
        email_message_id: Set(message.email_message_id),
        channel: Set(message.channel),
        subject: Set(message.subject),
        text: Set(message.text),
        attachments: Set(message.attachments.into()),
        sent_at: Set(message.sent_at),
        received_at: Set(now),
        emptied_at: Set(None),
    }
}

/// The message that this event brought, if it was stored.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn find_by_event<C: ConnectionTrait>(
    db: &C,
    event_id: &str,
) -> Result<Option<Model>, DbErr> {
    Entity::find()
        .filter(Column::EventId.eq(event_id))
        .one(db)
        .await
}

/// The batch's messages in the order the contact sent them; those sent at the same time, in the
/// order they came.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn of_batch<C: ConnectionTrait>(db: &C, batch: BatchId) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::BatchId.eq(batch))
        .order_by_asc(Column::SentAt)
        .order_by_asc(Column::Sequence)
        .all(db)
        .await
}

/// The batches' messages in the order the contact sent them.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn of_batches<C: ConnectionTrait>(
    db: &C,
    batches: &[BatchId],
) -> Result<Vec<Model>, DbErr> {
    let mut messages = Vec::new();
    for batches in any_of_few(batches.iter().copied()) {
        let of_some = Entity::find().filter(Column::BatchId.is_in(batches));
        messages.extend(of_some.all(db).await?);
    }
    messages.sort_by_key(in_time);
    Ok(messages)
}

/// The order in which messages were sent; those of the same time, in which they came.
fn in_time(message: &Model) -> (DateTime<Utc>, DateTime<Utc>, Option<i32>) {
    (message.sent_at, message.received_at, message.sequence)
}

/// Whether a message of the contact with the provider's id is stored.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn is_stored<C: ConnectionTrait>(
    db: &C,
    contact: &ContactId,
    provider_message_id: &str,
) -> Result<bool, DbErr> {
    let stored = Entity::find()
        .filter(Column::ContactId.eq(contact.clone()))
        .filter(Column::ProviderMessageId.eq(provider_message_id))
        .limit(1)
        .one(db)
        .await?;
    Ok(stored.is_some())
}

/// What was said before each of these batches, in their order: the newest `limit` messages of the
/// contact's earlier batches and of no batch (our own among them), oldest first. Messages without a
/// batch that were sent after this one closed are left out, but for our own: a reply that was sent late
/// is an answer all the same.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn histories<C: ConnectionTrait>(
    db: &C,
    batches: &[batch::Model],
    limit: u64,
) -> Result<Vec<Vec<Model>>, DbErr> {
    /// The number of its batch, among those that are asked for.
    const PLACE: &str = "place";
    /// Each batch is a question of its own in the statement, which is planned and kept as a whole.
    const AT_ONCE: usize = 16;
    let mut histories = Vec::with_capacity(batches.len());
    for batches in batches.chunks(AT_ONCE).flat_map(in_statements) {
        let first = histories.len();
        let mut questions = (0_i32..).zip(&batches).map(|(place, batch)| {
            Query::select()
                .expr_as(Expr::val(place), PLACE)
                .column(Asterisk)
                .from_subquery(said_before(batch, limit), "history")
                .to_owned()
        });
        let Some(mut question) = questions.next() else {
            continue;
        };
        question.unions(questions.map(|question| (UnionType::All, question)));
        histories.resize(first + batches.len(), Vec::new());
        for row in db.query_all(&question).await? {
            let place: i32 = row.try_get_by(PLACE)?;
            let history = usize::try_from(place)
                .ok()
                .and_then(|place| histories.get_mut(first + place));
            if let Some(history) = history {
                history.push(Model::from_query_result(&row, "")?);
            }
        }
    }
    for messages in &mut histories {
        messages.sort_by_key(in_time);
    }
    Ok(histories)
}

fn said_before(batch: &batch::Model, limit: u64) -> SelectStatement {
    let earlier_batches = batch::Entity::find()
        .select_only()
        .column(batch::Column::Id)
        .filter(batch::Column::ContactId.eq(batch.contact_id.clone()))
        .filter(batch::Column::OpenedAt.lt(batch.opened_at))
        .into_query();
    let mut unbatched = Condition::all().add(Column::BatchId.is_null());
    if let Some(closed_at) = batch.closed_at {
        let said_before = Condition::any()
            .add(Column::Author.eq(Author::Assistant))
            .add(Column::SentAt.lte(closed_at));
        unbatched = unbatched.add(said_before);
    }
    Entity::find()
        .filter(Column::ContactId.eq(batch.contact_id.clone()))
        .filter(
            Condition::any()
                .add(Column::BatchId.in_subquery(earlier_batches))
                .add(unbatched),
        )
        .order_by_desc(Column::SentAt)
        .order_by_desc(Column::ReceivedAt)
        .order_by_desc(Column::Sequence)
        .limit(limit)
        .into_query()
}

/// Whether a person of the business has written to the contact after `at` (by the time the
/// message was sent).
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn human_replied_since<C: ConnectionTrait>(
    db: &C,
    contact: &ContactId,
    at: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let found = Entity::find()
        .filter(Column::ContactId.eq(contact.clone()))
        .filter(Column::Direction.eq(Direction::Outbound))
        .filter(Column::Author.eq(Author::Person))
        .filter(Column::SentAt.gt(at))
        .limit(1)
        .one(db)
        .await?;
    Ok(found.is_some())
}
