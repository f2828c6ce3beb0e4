//! The document that came of a research job.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, QueryOrder, QuerySelect, entity::prelude::*};

use crate::{
    JobId, TextList,
    write::{insert_if_absent, won},
};

/// One document.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "documents")]
pub struct Model {
    /// The job it belongs to.
    #[sea_orm(primary_key, auto_increment = false)]
    pub job_id: JobId,
    /// Where it lives.
    pub provider: Provider,
    /// Its id there: Google's file id, or a path.
    pub provider_id: String,
    /// Where a person opens it.
    pub url: String,
    /// Its title.
    pub title: String,
    /// The sections that the research did not deliver.
    #[sea_orm(column_type = "JsonBinary")]
    pub missing_sections: TextList,
    /// When it was made. A document taken over from another job keeps its time, so that reuse
    /// does not make old research look new.
    pub created_at: DateTime<Utc>,
    /// When its files were removed because its time was over; see [`crate::retention`].
    pub removed_at: Option<DateTime<Utc>>,
}

/// The job is found by its id.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Where a document lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum Provider {
    /// A Google Doc.
    Google,
    /// Files under `DOCUMENTS_DIR`.
    Local,
}

/// Stores the job's document and returns the one that is stored: the first wins.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`]. A job that does not exist is an error.
pub async fn store<C: ConnectionTrait>(tx: &C, document: Model) -> Result<Model, DbErr> {
    let job = document.job_id;
    insert_if_absent(tx, ActiveModel::from(document).reset_all()).await?;
    find(tx, job)
        .await?
        .ok_or_else(|| DbErr::RecordNotFound(format!("the document of job {job}")))
}

/// The job's document, if there is one.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn find<C: ConnectionTrait>(db: &C, job: JobId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(job).one(db).await
}

/// Documents in files of ours that were made before this time and whose files have not been removed,
/// in the order of their jobs, from the one after `after`.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn old_files<C: ConnectionTrait>(
    db: &C,
    before: DateTime<Utc>,
    after: Option<JobId>,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let mut old = Entity::find()
        .filter(Column::Provider.eq(Provider::Local))
        .filter(Column::RemovedAt.is_null())
        .filter(Column::CreatedAt.lt(before))
        .order_by_asc(Column::JobId)
        .limit(limit);
    if let Some(after) = after {
        old = old.filter(Column::JobId.gt(after));
    }
    old.all(db).await
}

/// Notes that the document's files were removed. `false`: that was noted before.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn mark_removed<C: ConnectionTrait>(
    db: &C,
    job: JobId,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let removed = ActiveModel {
        removed_at: Set(Some(now)),
        ..Default::default()
    };
    let update = Entity::update_many()
        .set(removed)
        .filter(Column::JobId.eq(job))
        .filter(Column::RemovedAt.is_null());
    won(db, update).await
}
