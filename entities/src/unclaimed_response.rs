//! Responses whose webhook has come and that no job knows yet.
//!
//! A webhook may wait for its next attempt for an hour, or lie in a parking lot, while its job,
//! which does not know the response's id, decides whether to submit again. So the response is
//! written down before anything else, and the job looks here first.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, QueryOrder, QuerySelect, entity::prelude::*};

use crate::{ResponseId, write::insert_if_absent};

/// One such response.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "unclaimed_responses")]
pub struct Model {
    /// OpenAI's id of it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub response_id: ResponseId,
    /// When its webhook first came.
    pub seen_at: DateTime<Utc>,
}

/// Nobody knows yet whose it is.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Writes the response down. Once is enough.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn note<C: ConnectionTrait>(
    db: &C,
    id: &ResponseId,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        response_id: Set(id.clone()),
        seen_at: Set(now),
    };
    insert_if_absent(db, row).await?;
    Ok(())
}

/// Takes the response off the list: its job knows it now, or it is none of ours.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn settle<C: ConnectionTrait>(db: &C, id: &ResponseId) -> Result<(), DbErr> {
    Entity::delete_by_id(id.clone()).exec(db).await?;
    Ok(())
}

/// The list, the oldest first.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn list<C: ConnectionTrait>(db: &C, limit: u64) -> Result<Vec<ResponseId>, DbErr> {
    let rows = Entity::find()
        .order_by_asc(Column::SeenAt)
        .limit(limit)
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|row| row.response_id).collect())
}
