//! Which messages our workers have given up and parked. The messages themselves are in the parking
//! lots; what is missing there and recorded here has been lost, or was taken out by hand.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, QuerySelect, entity::prelude::*, sea_query::OnConflict};

/// One parked message.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "parked_messages")]
pub struct Model {
    /// The consumer that gave it up: its work queue.
    #[sea_orm(primary_key, auto_increment = false)]
    pub consumer: String,
    /// The event's id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: String,
    /// Why, as `x-failure-reason` says it.
    pub reason: String,
    /// When it was given up last.
    pub parked_at: DateTime<Utc>,
}

/// No row here belongs to another.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Records that the message is about to be parked. Recorded again, the last reason counts.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn record<C: ConnectionTrait>(
    db: &C,
    consumer: &str,
    event_id: &str,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        consumer: Set(consumer.to_owned()),
        event_id: Set(event_id.to_owned()),
        reason: Set(reason.to_owned()),
        parked_at: Set(now),
    };
    Entity::insert(row)
        .on_conflict(
            OnConflict::columns([Column::Consumer, Column::EventId])
                .update_columns([Column::Reason, Column::ParkedAt])
                .to_owned(),
        )
        .exec_without_returning(db)
        .await?;
    Ok(())
}

/// Strikes a message out that has left its parking lot: replayed, purged, or removed when its time
/// was over. `false`: it was not recorded.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn strike_out<C: ConnectionTrait>(
    db: &C,
    consumer: &str,
    event_id: &str,
) -> Result<bool, DbErr> {
    let deleted = Entity::delete_by_id((consumer.to_owned(), event_id.to_owned()))
        .exec(db)
        .await?;
    Ok(deleted.rows_affected > 0)
}

/// How many messages a consumer has given up, by reason.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn reasons<C: ConnectionTrait>(
    db: &C,
    consumer: &str,
) -> Result<BTreeMap<String, u64>, DbErr> {
    let counted: Vec<(String, i64)> = Entity::find()
        .select_only()
        .column(Column::Reason)
        .column_as(Column::EventId.count(), "messages")
        .filter(Column::Consumer.eq(consumer))
        .group_by(Column::Reason)
        .into_tuple()
        .all(db)
        .await?;
    Ok(counted
        .into_iter()
        .map(|(reason, count)| (reason, count.unsigned_abs()))
        .collect())
}
