//! Which API keys open what: those of the table `api_keys`, and those of `API_KEYS`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use config::Secret;
use entities::api_key::{self, KeyHash, Scope};
use sea_orm::DatabaseConnection;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::warn;

/// How long the list of the table is believed: so long does a revoked key open, and so long may a
/// new one have to wait.
const BELIEVED: Duration = Duration::from_secs(10);

/// How long the database may take to hand the list out.
const DATABASE_DEADLINE: Duration = Duration::from_secs(4);

/// The keys. A presented key is hashed and the hash looked up: what the time of a lookup gives away
/// is about the hash, from which nobody can work out a key.
pub struct ApiKeys {
    /// The keys of `API_KEYS`: all scopes, known without the database.
    configured: HashSet<KeyHash>,
    stored: Mutex<Stored>,
}

/// The list of the table, as it was when it was last read.
#[derive(Default)]
struct Stored {
    keys: Option<Arc<HashMap<KeyHash, api_key::Model>>>,
    /// When the database was last asked, whether or not it answered.
    asked_at: Option<Instant>,
}

/// Why a key does not open a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no key at all, neither in `API_KEYS` nor in the table.
    NoKeys,
    /// No such key.
    Unknown,
    /// The key was taken back.
    Revoked,
    /// The key's time is over.
    Expired,
    /// The key is good, for other routes.
    OutOfScope,
    /// The database could not be asked yet, so nobody knows.
    ListUnavailable,
}

impl ApiKeys {
    /// The keys of `API_KEYS`; the table is read when it is first needed.
    #[must_use]
    pub fn new(configured: &[Secret]) -> Self {
        let hash = |key: &Secret| KeyHash::of(key.expose());
        Self {
            configured: configured.iter().map(hash).collect(),
            stored: Mutex::default(),
        }
    }

    /// Whether the key opens routes of this scope.
    ///
    /// # Errors
    /// [`Refusal`]
    pub async fn check(
        &self,
        key: &KeyHash,
        scope: Scope,
        database: &DatabaseConnection,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        if self.configured.contains(key) {
            return Ok(());
        }
        let stored = self.stored(database).await;
        let stored = stored.ok_or(Refusal::ListUnavailable)?;
        match stored.get(key) {
            None if stored.is_empty() && self.configured.is_empty() => Err(Refusal::NoKeys),
            None => Err(Refusal::Unknown),
            Some(row) if row.revoked_at.is_some() => Err(Refusal::Revoked),
            Some(row) if row.is_expired(now) => Err(Refusal::Expired),
            Some(row) if !row.allows(scope) => Err(Refusal::OutOfScope),
            Some(_) => Ok(()),
        }
    }

    /// The list of the table, at most [`BELIEVED`] old; the last known one while the database is
    /// away. Of several requests that find it too old one asks, and the others wait for its answer.
    async fn stored(
        &self,
        database: &DatabaseConnection,
    ) -> Option<Arc<HashMap<KeyHash, api_key::Model>>> {
        let mut stored = self.stored.lock().await;
        if stored.asked_at.is_none_or(|at| at.elapsed() >= BELIEVED) {
            match timeout(DATABASE_DEADLINE, api_key::all(database)).await {
                Ok(Ok(rows)) => {
                    let by_hash = rows.into_iter().map(|row| (row.hash.clone(), row));
                    stored.keys = Some(Arc::new(by_hash.collect()));
                }
                Ok(Err(error)) => warn!(%error, "The table of API keys could not be read."),
                Err(_) => warn!("The table of API keys could not be read: no answer in time."),
            }
            stored.asked_at = Some(Instant::now());
        }
        stored.keys.clone()
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use entities::api_key::{self, KeyHash, Scope};
    use sea_orm::{ConnectionTrait as _, DatabaseConnection};
    use test_support::Database;

    use super::{ApiKeys, Refusal};

    async fn check(keys: &ApiKeys, key: &str, db: &DatabaseConnection) -> Result<(), Refusal> {
        let now = DateTime::UNIX_EPOCH;
        keys.check(&KeyHash::of(key), Scope::Read, db, now).await
    }

    /// As if the list had been read too long ago.
    async fn list_grows_old(keys: &ApiKeys) {
        keys.stored.lock().await.asked_at = None;
    }

    #[tokio::test]
    async fn keys_come_and_go_while_the_gateway_runs() {
        let database = Database::sqlite().await;
        let db = database.connect().await;
        let keys = ApiKeys::new(&[]);
        let make = async |key: &str| {
            let (hash, now) = (KeyHash::of(key), DateTime::UNIX_EPOCH);
            let made = api_key::insert(&db, key, hash, &[Scope::Read], None, now).await;
            made.unwrap()
        };
        let old = make("old").await;
        assert_eq!(check(&keys, "old", &db).await, Ok(()));

        make("new").await;
        api_key::revoke(&db, old, DateTime::UNIX_EPOCH)
            .await
            .unwrap();
        // The list is believed for a while.
        assert_eq!(check(&keys, "old", &db).await, Ok(()));
        list_grows_old(&keys).await;
        assert_eq!(check(&keys, "old", &db).await, Err(Refusal::Revoked));
        assert_eq!(check(&keys, "new", &db).await, Ok(()));
    }

    #[tokio::test]
    async fn while_the_database_is_away_the_last_known_list_counts() {
        let database = Database::sqlite().await;
        let db = database.connect().await;
        let (keys, now) = (ApiKeys::new(&[]), DateTime::UNIX_EPOCH);
        api_key::insert(&db, "k", KeyHash::of("k"), &[Scope::Read], None, now)
            .await
            .unwrap();
        assert_eq!(check(&keys, "k", &db).await, Ok(()));

        db.execute_unprepared("ALTER TABLE api_keys RENAME TO out_of_reach")
            .await
            .unwrap();
        list_grows_old(&keys).await;
        assert_eq!(check(&keys, "k", &db).await, Ok(()));
        assert_eq!(check(&keys, "other", &db).await, Err(Refusal::Unknown));
        // A gateway that has never seen the list knows nothing.
        let fresh = ApiKeys::new(&[]);
        let unknown = check(&fresh, "k", &db).await;
        assert_eq!(unknown, Err(Refusal::ListUnavailable));
    }
}
