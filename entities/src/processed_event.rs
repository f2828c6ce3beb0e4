//! Which events a consumer has taken, so that the same event changes nothing twice.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, ExprTrait, entity::prelude::*, sea_query::OnConflict};

use crate::write::in_statements;

/// One event that one consumer has taken.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "processed_events")]
pub struct Model {
    /// The consumer's name: its work queue.
    #[sea_orm(primary_key, auto_increment = false)]
    pub consumer: String,
    /// The event's id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: String,
    /// When it was taken.
    pub processed_at: DateTime<Utc>,
    /// How often it came again after that.
    pub repeats: i32,
}

/// No row here belongs to another.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Records that `consumer` takes this event; `true` the first time, and counted after that. Call it
/// in the transaction that changes the state: both are kept or neither is.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn record<C: ConnectionTrait>(
    tx: &C,
    consumer: &str,
    event_id: &str,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let first = record_all(tx, consumer, &[event_id], now).await?;
    Ok(first == [true])
}

/// [`record`] of several events at once; says for each, in their order, whether it is taken
/// for the first time.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn record_all<C: ConnectionTrait>(
    tx: &C,
    consumer: &str,
    event_ids: &[&str],
    now: DateTime<Utc>,
) -> Result<Vec<bool>, DbErr> {
    // In one order for all pods, or two of them wait for each other.
    let ids: BTreeSet<&str> = event_ids.iter().copied().collect();
    let mut inserted = HashSet::new();
    for ids in in_statements(ids) {
        let keys = Entity::insert_many(ids.into_iter().map(|id| row(consumer, id, now)))
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .exec_with_returning_keys(tx)
            .await?;
        inserted.extend(keys.into_iter().map(|(_, id)| id));
    }
    let mut first = Vec::with_capacity(event_ids.len());
    for id in event_ids {
        let is_first = inserted.remove(*id);
        if !is_first {
            count_repeat(tx, consumer, id).await?;
        }
        first.push(is_first);
    }
    Ok(first)
}

fn row(consumer: &str, event_id: &str, now: DateTime<Utc>) -> ActiveModel {
    ActiveModel {
        consumer: Set(consumer.to_owned()),
        event_id: Set(event_id.to_owned()),
        processed_at: Set(now),
        repeats: Set(0),
    }
}

async fn count_repeat<C: ConnectionTrait>(
    tx: &C,
    consumer: &str,
    event_id: &str,
) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::Repeats, Expr::col(Column::Repeats).add(1))
        .filter(Column::Consumer.eq(consumer))
        .filter(Column::EventId.eq(event_id))
        .exec(tx)
        .await?;
    Ok(())
}
