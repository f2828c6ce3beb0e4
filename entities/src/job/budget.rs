//! The day's money.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, DbBackend, ExprTrait, QuerySelect, Select, entity::prelude::*,
    sea_query::Func,
};

use super::{ActiveModel, Column, Entity, State, transitions::change};
use crate::{JobId, write::won};

/// The key of PostgreSQL's advisory lock that one reservation holds at a time ("budget" in ASCII).
const BUDGET_LOCK: i64 = 0x6275_6467_6574;

/// What [`reserve_budget`] found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reservation {
    /// The money is set aside: submit.
    Reserved,
    /// It does not fit: the job awaits its budget.
    OverBudget {
        /// What the day's other jobs cost or may cost, in US dollars.
        spent: f64,
    },
    /// The job does not wait to be submitted.
    NotQueued,
}

/// Sets the job's estimated cost aside, if the day's limit allows it.
///
/// It fits: `queued | awaiting_budget → queued`, reserved now. It does not: `→ awaiting_budget`,
/// with nothing reserved. One reservation at a time over all pods, until the transaction (from
/// [`crate::begin`]) ends, so that two can't both take the last dollars. Repeated, it counts the
/// job once. An estimate above the whole limit never fits.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn reserve_budget<C: ConnectionTrait>(
    tx: &C,
    id: JobId,
    estimated_cost_usd: f64,
    daily_limit_usd: Option<f64>,
    day_start: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Reservation, DbErr> {
    if tx.get_database_backend() == DbBackend::Postgres {
        tx.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({BUDGET_LOCK})"))
            .await?;
    }
    let others = reserved_since(day_start).filter(Column::Id.ne(id));
    let spent = sum(tx, others).await?;
    let fits = daily_limit_usd.is_none_or(|limit| spent + estimated_cost_usd <= limit);
    let row = ActiveModel {
        state: Set(if fits {
            State::Queued
        } else {
            State::AwaitingBudget
        }),
        estimated_cost_usd: Set(Some(estimated_cost_usd)),
        reserved_at: Set(fits.then_some(now)),
        updated_at: Set(now),
        ..Default::default()
    };
    let waiting = [State::Queued, State::AwaitingBudget];
    Ok(match (won(tx, change(id, &waiting, row)).await?, fits) {
        (false, _) => Reservation::NotQueued,
        (true, true) => Reservation::Reserved,
        (true, false) => Reservation::OverBudget { spent },
    })
}

/// What the jobs reserved since `day_start` cost, or may cost as long as that is not known, in US
/// dollars.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn spent_since<C: ConnectionTrait>(
    db: &C,
    day_start: DateTime<Utc>,
) -> Result<f64, DbErr> {
    sum(db, reserved_since(day_start)).await
}

fn reserved_since(day_start: DateTime<Utc>) -> Select<Entity> {
    Entity::find().filter(Column::ReservedAt.gte(day_start))
}

async fn sum<C: ConnectionTrait>(db: &C, jobs: Select<Entity>) -> Result<f64, DbErr> {
    let cost = Func::coalesce([
        Expr::col(Column::CostUsd),
        Expr::col(Column::EstimatedCostUsd),
    ]);
    let total: Option<Option<f64>> = jobs
        .select_only()
        .column_as(Expr::from(cost).sum(), "total")
        .into_tuple()
        .one(db)
        .await?;
    Ok(total.flatten().unwrap_or_default())
}
