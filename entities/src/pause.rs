//! The pauses that providers ask for (429, `Retry-After`): one pod meets the limit, all of them
//! slow down.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, entity::prelude::*};

use crate::write::{insert_if_absent, won};

/// One provider's latest pause.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "provider_pauses")]
pub struct Model {
    /// The provider's name.
    #[sea_orm(primary_key, auto_increment = false)]
    pub provider: String,
    /// Until when it wants no calls.
    pub paused_until: DateTime<Utc>,
}

/// No row here belongs to another.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Pauses the provider until this time. A longer pause that is running stays.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn extend<C: ConnectionTrait>(
    db: &C,
    provider: &str,
    until: DateTime<Utc>,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        provider: Set(provider.to_owned()),
        paused_until: Set(until),
    };
    if insert_if_absent(db, row).await? {
        return Ok(());
    }
    let longer = ActiveModel {
        paused_until: Set(until),
        ..Default::default()
    };
    let update = Entity::update_many()
        .set(longer)
        .filter(Column::Provider.eq(provider))
        .filter(Column::PausedUntil.lt(until));
    won(db, update).await?;
    Ok(())
}

/// Until when the provider wants no calls, if that is later than `now`.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn until<C: ConnectionTrait>(
    db: &C,
    provider: &str,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, DbErr> {
    let pause = Entity::find_by_id(provider).one(db).await?;
    Ok(pause
        .map(|pause| pause.paused_until)
        .filter(|until| *until > now))
}

/// The providers that want no calls now, by name, and until when.
pub type Pauses = HashMap<String, DateTime<Utc>>;

/// All [`Pauses`].
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn all<C: ConnectionTrait>(db: &C, now: DateTime<Utc>) -> Result<Pauses, DbErr> {
    let pauses = Entity::find()
        .filter(Column::PausedUntil.gt(now))
        .all(db)
        .await?;
    Ok(pauses
        .into_iter()
        .map(|pause| (pause.provider, pause.paused_until))
        .collect())
}
