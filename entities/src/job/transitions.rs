//! The guarded changes of a job's state on its way to the end.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, UpdateMany, entity::prelude::*};

use super::{ActiveModel, Column, Entity, State};
use crate::{JobId, ResponseId, document, write::won};

/// What a response consumed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens read.
    pub input_tokens: Option<i64>,
    /// Of these, tokens read from the provider's cache.
    pub cached_tokens: Option<i64>,
    /// Tokens written.
    pub output_tokens: Option<i64>,
    /// Of these, tokens of reasoning.
    pub reasoning_tokens: Option<i64>,
    /// Tokens read and written.
    pub total_tokens: Option<i64>,
}

/// A response that has come.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// OpenAI's id of it.
    pub response_id: ResponseId,
    /// The response as it came: JSON.
    pub raw: String,
    /// What it consumed.
    pub usage: Usage,
    /// What it cost, in US dollars.
    pub cost_usd: Option<f64>,
}

/// `queued → submitted`, with OpenAI's id of the response. `false`: the job went on meanwhile
/// (its webhook may have been faster) or was called off.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn mark_submitted<C: ConnectionTrait>(
    tx: &C,
    id: JobId,
    response_id: &ResponseId,
    model: &str,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let row = ActiveModel {
        state: Set(State::Submitted),
        response_id: Set(Some(response_id.clone())),
        model: Set(Some(model.to_owned())),
        submitted_at: Set(Some(now)),
        updated_at: Set(now),
        ..Default::default()
    };
    won(tx, change(id, &[State::Queued, State::AwaitingBudget], row)).await
}

/// Any state before `completed → completed`, with the response. Not only from `submitted`: the
/// webhook may come before the submission is stored, and whatever the budget says by then, the
/// result is there and paid for. `false`: a response is stored already, or the job has ended.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn mark_completed<C: ConnectionTrait>(
    tx: &C,
    id: JobId,
    completion: &Completion,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let usage = completion.usage;
    let row = ActiveModel {
        state: Set(State::Completed),
        response_id: Set(Some(completion.response_id.clone())),
        response: Set(Some(completion.raw.clone())),
        input_tokens: Set(usage.input_tokens),
        cached_tokens: Set(usage.cached_tokens),
        output_tokens: Set(usage.output_tokens),
        reasoning_tokens: Set(usage.reasoning_tokens),
        total_tokens: Set(usage.total_tokens),
        cost_usd: Set(completion.cost_usd),
        completed_at: Set(Some(now)),
        updated_at: Set(now),
        ..Default::default()
    };
    let open = [State::Queued, State::AwaitingBudget, State::Submitted];
    won(tx, change(id, &open, row)).await
}

/// `completed → documented`. Store the document in the same transaction.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn mark_documented<C: ConnectionTrait>(
    tx: &C,
    id: JobId,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let row = ActiveModel {
        state: Set(State::Documented),
        documented_at: Set(Some(now)),
        updated_at: Set(now),
        ..Default::default()
    };
    won(tx, change(id, &[State::Completed], row)).await
}

/// `queued | awaiting_budget → documented` with another job's document, which
/// [`super::fresh_document`] found: nothing is submitted and nothing spent. The document keeps
/// the time it was made. Needs a transaction, as it writes twice.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn reuse_document<C: ConnectionTrait>(
    tx: &C,
    id: JobId,
    document: &document::Model,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let row = ActiveModel {
        state: Set(State::Documented),
        cost_usd: Set(Some(0.0)),
        reserved_at: Set(None),
        completed_at: Set(Some(now)),
        documented_at: Set(Some(now)),
        updated_at: Set(now),
        ..Default::default()
    };
    let reused = won(tx, change(id, &[State::Queued, State::AwaitingBudget], row)).await?;
    if reused {
        let copy = document::Model {
            job_id: id,
            ..document.clone()
        };
        document::store(tx, copy).await?;
    }
    Ok(reused)
}

/// `documented → notified`.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn mark_notified<C: ConnectionTrait>(
    tx: &C,
    id: JobId,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let row = ActiveModel {
        state: Set(State::Notified),
        error: Set(None),
        notified_at: Set(Some(now)),
        updated_at: Set(now),
        ..Default::default()
    };
    won(tx, change(id, &[State::Documented], row)).await
}

/// Notes on a job that has its document why people could not be told of it; `None`: they are being
/// told once more.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn note_error<C: ConnectionTrait>(
    db: &C,
    id: JobId,
    error: Option<&str>,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let row = ActiveModel {
        error: Set(error.map(str::to_owned)),
        updated_at: Set(now),
        ..Default::default()
    };
    won(db, change(id, &[State::Documented], row)).await
}

/// Notes that somebody looks after a job that has stood still in this state since `before`.
/// `false`: somebody else does, or it has moved on.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn touch<C: ConnectionTrait>(
    db: &C,
    id: JobId,
    state: State,
    before: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let row = ActiveModel {
        updated_at: Set(now),
        ..Default::default()
    };
    won(
        db,
        change(id, &[state], row).filter(Column::UpdatedAt.lt(before)),
    )
    .await
}

/// Notes that the job's message waits in a lane until `at`, so that the sweeper leaves the job alone
/// until then.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn expect_back<C: ConnectionTrait>(
    db: &C,
    id: JobId,
    at: DateTime<Utc>,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        due_back_at: Set(Some(at)),
        ..Default::default()
    };
    Entity::update_many()
        .set(row)
        .filter(Column::Id.eq(id))
        .exec(db)
        .await?;
    Ok(())
}

/// Any state before `documented → failed`. Money set aside stays so: whether it was spent is not
/// always known.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn fail<C: ConnectionTrait>(
    tx: &C,
    id: JobId,
    error: &str,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let from = [
        State::Queued,
        State::AwaitingBudget,
        State::Submitted,
        State::Completed,
    ];
    fail_from(tx, id, &from, error, now).await
}

/// `queued | awaiting_budget → failed`: it can't be submitted. A job that another message has
/// submitted meanwhile is left alone.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn fail_submission<C: ConnectionTrait>(
    tx: &C,
    id: JobId,
    error: &str,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    fail_from(tx, id, &[State::Queued, State::AwaitingBudget], error, now).await
}

async fn fail_from<C: ConnectionTrait>(
    tx: &C,
    id: JobId,
    from: &[State],
    error: &str,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let row = ActiveModel {
        state: Set(State::Failed),
        error: Set(Some(error.to_owned())),
        updated_at: Set(now),
        ..Default::default()
    };
    won(tx, change(id, from, row)).await
}

/// `queued | awaiting_budget | submitted → cancelled`. A job whose response is stored has
/// nothing left to cancel.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn cancel<C: ConnectionTrait>(
    tx: &C,
    id: JobId,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let row = ActiveModel {
        state: Set(State::Cancelled),
        error: Set(Some(reason.to_owned())),
        updated_at: Set(now),
        ..Default::default()
    };
    let without_response = [State::Queued, State::AwaitingBudget, State::Submitted];
    won(tx, change(id, &without_response, row)).await
}

pub(super) fn change(id: JobId, expected: &[State], row: ActiveModel) -> UpdateMany<Entity> {
    Entity::update_many()
        .set(row)
        .filter(Column::Id.eq(id))
        .filter(Column::State.is_in(expected.iter().copied()))
}
