//! Which events a consumer has taken, so that the same event changes nothing twice.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, ExprTrait, entity::prelude::*};

use crate::write::insert_if_absent;

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
    let row = ActiveModel {
        consumer: Set(consumer.to_owned()),
        event_id: Set(event_id.to_owned()),
        processed_at: Set(now),
        repeats: Set(0),
    };
    if insert_if_absent(tx, row).await? {
        return Ok(true);
    }
    Entity::update_many()
        .col_expr(Column::Repeats, Expr::col(Column::Repeats).add(1))
        .filter(Column::Consumer.eq(consumer))
        .filter(Column::EventId.eq(event_id))
        .exec(tx)
        .await?;
    Ok(false)
}
