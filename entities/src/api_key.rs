//! The keys by which clients and operators prove who they are: made and revoked while the gateways
//! run.
//!
//! A key's text is shown once and stored nowhere; here is only its hash. Plain SHA-256 is enough: a
//! key is 32 random bytes, so nobody finds it by trying, which is what salts and slow hashes hinder
//! for passwords that people choose.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, DeriveValueType, QueryOrder, entity::prelude::*};
use sha2::{Digest, Sha256};

use crate::{ApiKeyId, TextList, write::won};

/// One key.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_keys")]
pub struct Model {
    /// Its id, by which it is revoked.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ApiKeyId,
    /// Who has it, for people to read.
    pub name: String,
    /// What it is recognised by.
    #[sea_orm(unique)]
    pub hash: KeyHash,
    /// The names of its scopes.
    pub scopes: TextList,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// From when on it opens nothing; never where it is null.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was taken back.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// No row here belongs to another.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Whether the key opens routes of this scope. A scope that only a later build knows opens none
    /// here.
    #[must_use]
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.0.iter().any(|name| name == scope.name())
    }

    /// Whether the key's time is over.
    #[must_use]
    pub fn is_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_some_and(|expiry| expiry <= now)
    }
}

/// What a key opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Asking for research, which costs money.
    Submit,
    /// Reading jobs, batches and settings.
    Read,
    /// Changing settings, and closing batches.
    Operate,
}

/// There is no scope of this name.
#[derive(Debug, thiserror::Error)]
#[error("a scope is submit, read or operate")]
pub struct UnknownScope;

impl Scope {
    /// Its name, on the command line and in the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Read => "read",
            Self::Operate => "operate",
        }
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        [Self::Submit, Self::Read, Self::Operate]
            .into_iter()
            .find(|scope| scope.name() == text)
            .ok_or(UnknownScope)
    }
}

/// The SHA-256 of a key, in hexadecimal.
#[derive(Clone, PartialEq, Eq, Hash, DeriveValueType)]
pub struct KeyHash(String);

impl KeyHash {
    /// Hashes a key as its holder shows it.
    #[must_use]
    pub fn of(key: &str) -> Self {
        Self(hex::encode(Sha256::digest(key)))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// Stores a new key.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn insert<C: ConnectionTrait>(
    db: &C,
    name: &str,
    hash: KeyHash,
    scopes: &[Scope],
    expires_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<ApiKeyId, DbErr> {
    let id = ApiKeyId::random();
    let row = ActiveModel {
        id: Set(id),
        name: Set(name.to_owned()),
        hash: Set(hash),
        scopes: Set(scopes.iter().map(|scope| scope.name()).collect()),
        created_at: Set(now),
        expires_at: Set(expires_at),
        revoked_at: Set(None),
    };
    Entity::insert(row).exec_without_returning(db).await?;
    Ok(id)
}

/// All keys, also those that open nothing any more; the oldest first.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn all<C: ConnectionTrait>(db: &C) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .order_by_asc(Column::CreatedAt)
        .order_by_asc(Column::Id)
        .all(db)
        .await
}

/// Takes a key back; says whether it was still in use.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn revoke<C: ConnectionTrait>(
    db: &C,
    id: ApiKeyId,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let revoked = ActiveModel {
        revoked_at: Set(Some(now)),
        ..Default::default()
    };
    let update = Entity::update_many()
        .set(revoked)
        .filter(Column::Id.eq(id))
        .filter(Column::RevokedAt.is_null());
    won(db, update).await
}
