//! Ways back: a failed job that goes on, a submission that is tried again.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, QuerySelect, entity::prelude::*};

use super::{ActiveModel, Column, Entity, State, transitions::change};
use crate::{JobId, document, write::won};

/// Puts a failed job back to where it stood, told by what it has: a document, a response, a
/// response's id, or none of them. Returns that state; `None` when the job has not failed. Needs
/// a transaction from [`crate::begin`].
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn resume_failed<C: ConnectionTrait>(
    tx: &C,
    id: JobId,
    now: DateTime<Utc>,
) -> Result<Option<State>, DbErr> {
    let failed = Entity::find_by_id(id)
        .filter(Column::State.eq(State::Failed))
        .lock_exclusive()
        .one(tx)
        .await?;
    let Some(job) = failed else {
        return Ok(None);
    };
    let stood = if document::find(tx, id).await?.is_some() {
        State::Documented
    } else if job.response.is_some() {
        State::Completed
    } else if job.response_id.is_some() {
        State::Submitted
    } else {
        State::Queued
    };
    let row = ActiveModel {
        state: Set(stood),
        error: Set(None),
        updated_at: Set(now),
        ..Default::default()
    };
    let resumed = won(tx, change(id, &[State::Failed], row)).await?;
    Ok(resumed.then_some(stood))
}

/// `queued → queued` for the next attempt: nobody knows whether this one arrived, and its webhook
/// has stayed away. `false` when the job has a response by now, or is not at `expected_attempt` any
/// more. The money for it must be reserved anew.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn requeue_unanswered<C: ConnectionTrait>(
    tx: &C,
    id: JobId,
    expected_attempt: i32,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    requeue(tx, id, &[State::Queued], expected_attempt, now).await
}

/// `submitted | queued → queued` for the next attempt: the response of this one is of no use.
/// `false` when the job is not at `expected_attempt` any more, so that one of several who
/// think so starts the next attempt. The money for it must be reserved anew.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn requeue_for_attempt<C: ConnectionTrait>(
    tx: &C,
    id: JobId,
    expected_attempt: i32,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let from = [State::Submitted, State::Queued];
    requeue(tx, id, &from, expected_attempt, now).await
}

async fn requeue<C: ConnectionTrait>(
    tx: &C,
    id: JobId,
    from: &[State],
    expected_attempt: i32,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let row = ActiveModel {
        state: Set(State::Queued),
        attempt: Set(expected_attempt + 1),
        response_id: Set(None),
        submitted_at: Set(None),
        updated_at: Set(now),
        ..Default::default()
    };
    won(
        tx,
        change(id, from, row).filter(Column::Attempt.eq(expected_attempt)),
    )
    .await
}
