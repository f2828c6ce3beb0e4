//! Questions about jobs. None of these changes anything.

use chrono::{DateTime, Utc};
use sea_orm::{Condition, QueryOrder, QuerySelect, QueryTrait, entity::prelude::*};

use super::{Column, Entity, Model, State};
use crate::{JobId, ResponseId, document};

/// The job with this id.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn find<C: ConnectionTrait>(db: &C, id: JobId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(db).await
}

/// Reads the job and holds its row until the transaction (from [`crate::begin`]) ends.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn lock<C: ConnectionTrait>(tx: &C, id: JobId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).lock_exclusive().one(tx).await
}

/// The job that this response belongs to, if we have stored its id.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn find_by_response<C: ConnectionTrait>(
    db: &C,
    response_id: &ResponseId,
) -> Result<Option<Model>, DbErr> {
    Entity::find()
        .filter(Column::ResponseId.eq(response_id.clone()))
        .one(db)
        .await
}

/// The newest document made at or after `since` for the same company and the same input, with
/// the job it belongs to.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn fresh_document<C: ConnectionTrait>(
    db: &C,
    company_id: &str,
    input_hash: &str,
    since: DateTime<Utc>,
) -> Result<Option<(Model, document::Model)>, DbErr> {
    let same_question = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::CompanyId.eq(company_id))
        .filter(Column::InputHash.eq(input_hash))
        .into_query();
    let newest = document::Entity::find()
        .filter(document::Column::CreatedAt.gte(since))
        .filter(document::Column::RemovedAt.is_null())
        .filter(document::Column::JobId.in_subquery(same_question))
        .order_by_desc(document::Column::CreatedAt)
        .limit(1)
        .one(db)
        .await?;
    let Some(document) = newest else {
        return Ok(None);
    };
    let job = find(db, document.job_id).await?;
    Ok(job.map(|job| (job, document)))
}

/// Jobs in this state whose row has not changed since `before`, the longest untouched first;
/// without those whose message was to be back later.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn stuck<C: ConnectionTrait>(
    db: &C,
    state: State,
    before: DateTime<Utc>,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::State.eq(state))
        .filter(Column::UpdatedAt.lt(before))
        .filter(
            Condition::any()
                .add(Column::DueBackAt.is_null())
                .add(Column::DueBackAt.lt(before)),
        )
        .order_by_asc(Column::UpdatedAt)
        .limit(limit)
        .all(db)
        .await
}
