//! What each consumer was handed and what became of it, counted from the rows.
//!
//! A consumer is handed **units**: `chat.intake` events, `chat.flush` batches that were opened,
//! `chat.reply` batches that were closed, `research.submission` jobs, `research.completion` jobs that
//! were submitted, `notification.delivery` jobs that have their document. How many there are is
//! counted by itself, so that a unit in no known state makes a difference. Take all counts in one
//! [`crate::snapshot`].

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::{Condition, ExprTrait, PaginatorTrait, QuerySelect, QueryTrait, entity::prelude::*};

use crate::{batch, job, message, parked_message, processed_event};

/// What one consumer was handed and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Units that it was handed, and repeats of their events.
    pub accepted: u64,
    /// Units whose work is done.
    pub done: u64,
    /// Events that came again, and units whose work another had done.
    pub duplicate: u64,
    /// Units that ended without their work being done, by reason.
    pub suppressed: BTreeMap<String, u64>,
    /// Units that it gave up.
    pub failed: u64,
    /// Units that are half-way.
    pub waiting: u64,
    /// Of these, those that have not changed for a while.
    pub overdue: u64,
    /// Rows that others speak of and that are not there.
    pub missing: u64,
    /// Messages that it gave up and parked, by reason: `failed` units and others.
    pub given_up: BTreeMap<String, u64>,
}

/// The names of the consumers: their work queues.
pub const CONSUMERS: [&str; 6] = [
    "research.submission",
    "research.completion",
    "chat.intake",
    "chat.flush",
    "chat.reply",
    "notification.delivery",
];

/// Counts for one of [`CONSUMERS`]. A unit that has not changed since `before` is overdue.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn tally<C: ConnectionTrait>(
    tx: &C,
    consumer: &str,
    before: DateTime<Utc>,
) -> Result<Tally, DbErr> {
    let mut tally = match consumer {
        "research.submission" => research_submission(tx, before).await?,
        "research.completion" => research_completion(tx, before).await?,
        "chat.intake" => chat_intake(tx).await?,
        "chat.flush" => chat_flush(tx, before).await?,
        "chat.reply" => chat_reply(tx, before).await?,
        _ => notification_delivery(tx, before).await?,
    };
    tally.given_up = parked_message::reasons(tx, consumer).await?;
    let repeats = repeats(tx, consumer).await?;
    tally.accepted += repeats;
    tally.duplicate += repeats;
    Ok(tally)
}

async fn research_submission<C: ConnectionTrait>(
    tx: &C,
    before: DateTime<Utc>,
) -> Result<Tally, DbErr> {
    use job::{Column, State};
    // A condition that is added to a negated one would be negated as well.
    let not_submitted = || Condition::all().add(was_submitted().not());
    let half_way = [State::Queued, State::AwaitingBudget];
    Ok(Tally {
        accepted: count::<job::Entity, _>(tx, Condition::all()).await?,
        done: count::<job::Entity, _>(tx, was_submitted()).await?,
        // Jobs that took over another's document.
        duplicate: count::<job::Entity, _>(
            tx,
            not_submitted().add(Column::DocumentedAt.is_not_null()),
        )
        .await?,
        ..without_document(tx, not_submitted, half_way, before).await?
    })
}

async fn research_completion<C: ConnectionTrait>(
    tx: &C,
    before: DateTime<Utc>,
) -> Result<Tally, DbErr> {
    use job::{Column, State};
    let half_way = [State::Submitted, State::Completed];
    Ok(Tally {
        accepted: count::<job::Entity, _>(tx, was_submitted()).await?,
        done: count::<job::Entity, _>(tx, was_submitted().add(Column::DocumentedAt.is_not_null()))
            .await?,
        ..without_document(tx, was_submitted, half_way, before).await?
    })
}

/// Of these jobs, those that have no document: what became of them, or that they are half-way.
async fn without_document<C: ConnectionTrait>(
    tx: &C,
    jobs: impl Fn() -> Condition,
    half_way: [job::State; 2],
    before: DateTime<Utc>,
) -> Result<Tally, DbErr> {
    use job::{Column, State};
    let without_document = || jobs().add(Column::DocumentedAt.is_null());
    let waiting = || without_document().add(Column::State.is_in(half_way));
    let cancelled = without_document().add(Column::State.eq(State::Cancelled));
    let failed = without_document().add(Column::State.eq(State::Failed));
    Ok(Tally {
        suppressed: named("cancelled", count::<job::Entity, _>(tx, cancelled).await?),
        failed: count::<job::Entity, _>(tx, failed).await?,
        waiting: count::<job::Entity, _>(tx, waiting()).await?,
        overdue: count::<job::Entity, _>(tx, waiting().add(Column::UpdatedAt.lt(before))).await?,
        ..Tally::default()
    })
}

async fn chat_intake<C: ConnectionTrait>(tx: &C) -> Result<Tally, DbErr> {
    let taken = || processed_event::Column::Consumer.eq("chat.intake");
    let ids = processed_event::Entity::find()
        .select_only()
        .column(processed_event::Column::EventId)
        .filter(taken())
        .into_query();
    let not_answered = Condition::all()
        .add(message::Column::Direction.eq(message::Direction::Inbound))
        .add(message::Column::BatchId.is_null())
        .add(message::Column::EventId.in_subquery(ids));
    let accepted = count::<processed_event::Entity, _>(tx, Condition::all().add(taken())).await?;
    let not_answered = count::<message::Entity, _>(tx, not_answered).await?;
    // Each message has raised its batch's sequence by one.
    let raised: Option<Option<i64>> = batch::Entity::find()
        .select_only()
        .column_as(
            Expr::col(batch::Column::Sequence).sum().cast_as("bigint"),
            "raised",
        )
        .into_tuple()
        .one(tx)
        .await?;
    let in_batches = Condition::all().add(message::Column::BatchId.is_not_null());
    let stored = count::<message::Entity, _>(tx, in_batches).await?;
    let missing = u64::try_from(raised.flatten().unwrap_or(0))
        .unwrap_or(0)
        .saturating_sub(stored);
    Ok(Tally {
        accepted: accepted + missing,
        done: accepted - not_answered,
        suppressed: named("not_answered", not_answered),
        missing,
        ..Tally::default()
    })
}

async fn chat_flush<C: ConnectionTrait>(tx: &C, before: DateTime<Utc>) -> Result<Tally, DbErr> {
    use batch::{Column, State};
    let open = || Condition::all().add(Column::State.eq(State::Open));
    let overdue = open()
        .add(Column::LastMessageAt.lt(before))
        .add(batch::not_swept_since(before));
    Ok(Tally {
        accepted: count::<batch::Entity, _>(tx, Condition::all()).await?,
        done: count::<batch::Entity, _>(tx, open().not()).await?,
        waiting: count::<batch::Entity, _>(tx, open()).await?,
        overdue: count::<batch::Entity, _>(tx, overdue).await?,
        ..Tally::default()
    })
}

async fn chat_reply<C: ConnectionTrait>(tx: &C, before: DateTime<Utc>) -> Result<Tally, DbErr> {
    use batch::{Column, State};
    let is = |state: State| Condition::all().add(Column::State.eq(state));
    let overdue = is(State::Closed)
        .add(Column::ClosedAt.lt(before))
        .add(batch::not_swept_since(before));
    let suppressed: Vec<(Option<String>, i64)> = batch::Entity::find()
        .select_only()
        .column(Column::Reason)
        .column_as(Column::Id.count(), "batches")
        .filter(Column::State.is_in([State::Superseded, State::Suppressed]))
        .group_by(Column::Reason)
        .into_tuple()
        .all(tx)
        .await?;
    Ok(Tally {
        accepted: count::<batch::Entity, _>(tx, is(State::Open).not()).await?,
        done: count::<batch::Entity, _>(tx, is(State::Replied)).await?,
        suppressed: suppressed
            .into_iter()
            .map(|(reason, count)| (reason.unwrap_or_default(), count.unsigned_abs()))
            .collect(),
        failed: count::<batch::Entity, _>(tx, is(State::Failed)).await?,
        waiting: count::<batch::Entity, _>(tx, is(State::Closed)).await?,
        overdue: count::<batch::Entity, _>(tx, overdue).await?,
        ..Tally::default()
    })
}

async fn notification_delivery<C: ConnectionTrait>(
    tx: &C,
    before: DateTime<Utc>,
) -> Result<Tally, DbErr> {
    use job::{Column, State};
    let documented = || Condition::all().add(Column::DocumentedAt.is_not_null());
    let is = |state: State| documented().add(Column::State.eq(state));
    let waiting = || is(State::Documented).add(Column::Error.is_null());
    let failed = is(State::Documented).add(Column::Error.is_not_null());
    let ended = documented().add(Column::State.is_in([State::Failed, State::Cancelled]));
    Ok(Tally {
        accepted: count::<job::Entity, _>(tx, documented()).await?,
        done: count::<job::Entity, _>(tx, is(State::Notified)).await?,
        suppressed: named("job_ended", count::<job::Entity, _>(tx, ended).await?),
        failed: count::<job::Entity, _>(tx, failed).await?,
        waiting: count::<job::Entity, _>(tx, waiting()).await?,
        overdue: count::<job::Entity, _>(tx, waiting().add(Column::UpdatedAt.lt(before))).await?,
        ..Tally::default()
    })
}

/// Jobs that OpenAI has, or had, a response for. A job that is submitted again starts afresh.
fn was_submitted() -> Condition {
    Condition::all().add(
        Condition::any()
            .add(job::Column::ResponseId.is_not_null())
            .add(job::Column::SubmittedAt.is_not_null()),
    )
}

fn named(reason: &str, count: u64) -> BTreeMap<String, u64> {
    if count == 0 {
        return BTreeMap::new();
    }
    BTreeMap::from([(reason.to_owned(), count)])
}

async fn repeats<C: ConnectionTrait>(tx: &C, consumer: &str) -> Result<u64, DbErr> {
    let repeats: Option<Option<i64>> = processed_event::Entity::find()
        .select_only()
        .column_as(
            Expr::col(processed_event::Column::Repeats)
                .sum()
                .cast_as("bigint"),
            "repeats",
        )
        .filter(processed_event::Column::Consumer.eq(consumer))
        .into_tuple()
        .one(tx)
        .await?;
    Ok(u64::try_from(repeats.flatten().unwrap_or(0)).unwrap_or(0))
}

async fn count<E, C>(tx: &C, filter: Condition) -> Result<u64, DbErr>
where
    E: EntityTrait,
    E::Model: Sync,
    C: ConnectionTrait,
{
    E::find().filter(filter).count(tx).await
}
