//! The guarded changes of a batch's state.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, ExprTrait, UpdateMany, entity::prelude::*};

use super::queries::{looked_at, not_swept_since};
use super::{ActiveModel, ClosedBy, Column, Entity, Outcome, State};
use crate::{
    BatchId,
    write::{any_of, won},
};

/// Closes the batch if its latest message is still number `sequence`. `false`: a newer message
/// came, or it is closed already.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn close_if_quiet<C: ConnectionTrait>(
    tx: &C,
    id: BatchId,
    sequence: i32,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let update = closing(id, ClosedBy::Quiet, now).filter(Column::Sequence.eq(sequence));
    won(tx, update).await
}

/// Closes the batch whatever its sequence. `false`: it is closed already.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn close<C: ConnectionTrait>(
    tx: &C,
    id: BatchId,
    by: ClosedBy,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    won(tx, closing(id, by, now)).await
}

/// [`close`] of several batches in one statement; how many of them were open.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn close_all<C: ConnectionTrait>(
    tx: &C,
    ids: &[BatchId],
    by: ClosedBy,
    now: DateTime<Utc>,
) -> Result<u64, DbErr> {
    let update = Entity::update_many()
        .set(closed(by, now))
        .filter(Column::Id.is_in(any_of(ids.iter().copied())))
        .filter(looked_at(State::Open));
    Ok(update.exec(tx).await?.rows_affected)
}

/// Ends a closed batch. `false`: it is still open, or has ended already.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn finish<C: ConnectionTrait>(
    tx: &C,
    id: BatchId,
    outcome: Outcome,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let end = ActiveModel {
        state: Set(outcome.into()),
        finished_at: Set(Some(now)),
        reason: Set(reason.map(str::to_owned)),
        ..Default::default()
    };
    won(tx, change(id, State::Closed, end)).await
}

/// Ends a batch whose reply has reached the contact: from closed, or from failed, where the last
/// attempt did not know that it had. `false`: it has ended otherwise.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn finish_sent<C: ConnectionTrait>(
    tx: &C,
    id: BatchId,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    Ok(finish_all_sent(tx, &[id], now).await? > 0)
}

/// [`finish_sent`] of several batches in one statement; how many had not ended otherwise.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn finish_all_sent<C: ConnectionTrait>(
    tx: &C,
    ids: &[BatchId],
    now: DateTime<Utc>,
) -> Result<u64, DbErr> {
    let end = ActiveModel {
        state: Set(State::Replied),
        finished_at: Set(Some(now)),
        reason: Set(None),
        ..Default::default()
    };
    let update = Entity::update_many()
        .set(end)
        .filter(Column::Id.is_in(any_of(ids.iter().copied())))
        .filter(looked_at(State::Closed).or(looked_at(State::Failed)));
    Ok(update.exec(tx).await?.rows_affected)
}

/// Notes that the sweeper drives the batch on. `false`: another sweeper has done so since
/// `swept_before`, or the batch is no longer in this state.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn sweep<C: ConnectionTrait>(
    db: &C,
    id: BatchId,
    state: State,
    swept_before: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let swept = ActiveModel {
        swept_at: Set(Some(now)),
        ..Default::default()
    };
    won(
        db,
        change(id, state, swept).filter(not_swept_since(swept_before)),
    )
    .await
}

/// Notes that the message of a closed batch waits in a lane until `at`, so that the sweeper leaves
/// the batch alone until then.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn expect_back<C: ConnectionTrait>(
    db: &C,
    id: BatchId,
    at: DateTime<Utc>,
) -> Result<(), DbErr> {
    let waiting = ActiveModel {
        due_back_at: Set(Some(at)),
        ..Default::default()
    };
    won(db, change(id, State::Closed, waiting)).await?;
    Ok(())
}

/// Lets a failed batch go on: it is closed again and waits for its reply. `false`: it has not
/// failed.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn resume_failed<C: ConnectionTrait>(tx: &C, id: BatchId) -> Result<bool, DbErr> {
    let again = ActiveModel {
        state: Set(State::Closed),
        finished_at: Set(None),
        reason: Set(None),
        ..Default::default()
    };
    won(tx, change(id, State::Failed, again)).await
}

fn closing(id: BatchId, by: ClosedBy, now: DateTime<Utc>) -> UpdateMany<Entity> {
    change(id, State::Open, closed(by, now))
}

fn closed(by: ClosedBy, now: DateTime<Utc>) -> ActiveModel {
    ActiveModel {
        state: Set(State::Closed),
        closed_at: Set(Some(now)),
        closed_by: Set(Some(by)),
        ..Default::default()
    }
}

fn change(id: BatchId, expected: State, row: ActiveModel) -> UpdateMany<Entity> {
    Entity::update_many()
        .set(row)
        .filter(Column::Id.eq(id))
        .filter(Column::State.eq(expected))
}
