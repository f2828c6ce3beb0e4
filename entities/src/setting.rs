//! Settings that an operator changes while the pods run, for all of them at once.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, entity::prelude::*, sea_query::OnConflict};

const BATCH_WAIT_SECONDS: &str = "batch_wait_seconds";

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "settings")]
pub struct Model {
    /// Its name.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// Its value, as text.
    pub value: String,
    /// When it was last written.
    pub updated_at: DateTime<Utc>,
}

/// No row here belongs to another.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The wait for a quiet contact, in seconds, if an operator has set it.
///
/// # Errors
///
/// Any database error (see [`crate::is_transient`]); [`DbErr::Type`] when what is stored is no
/// number, which no retry helps.
pub async fn batch_wait_seconds<C: ConnectionTrait>(db: &C) -> Result<Option<u32>, DbErr> {
    get(db, BATCH_WAIT_SECONDS)
        .await?
        .map(|value| {
            value
                .parse()
                .map_err(|_| DbErr::Type(format!("{BATCH_WAIT_SECONDS} is {value:?}, no number")))
        })
        .transpose()
}

/// Sets the wait for a quiet contact, in seconds. The range is the caller's to check.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn set_batch_wait_seconds<C: ConnectionTrait>(
    db: &C,
    seconds: u32,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    put(db, BATCH_WAIT_SECONDS, &seconds.to_string(), now).await
}

/// The value of a setting, if it was ever written.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn get<C: ConnectionTrait>(db: &C, key: &str) -> Result<Option<String>, DbErr> {
    let row = Entity::find_by_id(key).one(db).await?;
    Ok(row.map(|row| row.value))
}

/// Writes a setting; the last one wins.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn put<C: ConnectionTrait>(
    db: &C,
    key: &str,
    value: &str,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        key: Set(key.to_owned()),
        value: Set(value.to_owned()),
        updated_at: Set(now),
    };
    Entity::insert(row)
        .on_conflict(
            OnConflict::column(Column::Key)
                .update_columns([Column::Value, Column::UpdatedAt])
                .to_owned(),
        )
        .exec_without_returning(db)
        .await?;
    Ok(())
}
