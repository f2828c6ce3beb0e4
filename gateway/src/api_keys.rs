//! Which API keys open what: those of the table `api_keys`, and those of `API_KEYS`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use config::Secret;
use entities::api_key::{self, KeyHash, Scope};
use sea_orm::DatabaseConnection;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::warn;

/// How long the list of the table is believed: so long does a revoked key open, and so long may a
/// new one have to wait.
const BELIEVED: Duration = Duration::from_secs(10);

/// How long requests wait for the database to hand the list out. They then go by the list that was
/// read before.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long the database may take. Longer than requests wait: one that is slow, or far away while
/// the first connection is made, is heard all the same. Shorter than [`BELIEVED`], so that it is
/// asked once at a time.
const DATABASE_DEADLINE: Duration = Duration::from_secs(4);

/// The keys. A presented key is hashed and the hash looked up: what the time of a lookup gives away
/// is about the hash, from which nobody can work out a key.
pub struct ApiKeys {
    /// The keys of `API_KEYS`: all scopes, known without the database.
    configured: HashSet<KeyHash>,
    stored: watch::Sender<Stored>,
}

/// The list of the table, as it was when it was last read.
#[derive(Default)]
struct Stored {
    keys: Option<Arc<Keys>>,
    /// When the database was last asked.
    asked_at: Option<Instant>,
    /// Whether that has ended, with or without an answer.
    has_ended: bool,
}

type Keys = HashMap<KeyHash, api_key::Model>;

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
            stored: watch::Sender::default(),
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
    /// away. Of several requests that find it too old one asks, and all wait for the answer.
    async fn stored(&self, database: &DatabaseConnection) -> Option<Arc<Keys>> {
        let is_old = self.stored.send_if_modified(|stored| {
            let is_old = stored.asked_at.is_none_or(|at| at.elapsed() >= BELIEVED);
            if is_old {
                (stored.asked_at, stored.has_ended) = (Some(Instant::now()), false);
            }
            is_old
        });
        if is_old {
            // In a task of its own: it goes on when the request has waited long enough, or is gone.
            tokio::spawn(read(self.stored.clone(), database.clone()));
        }
        let mut stored = self.stored.subscribe();
        let asked_at = stored.borrow().asked_at.unwrap_or_else(Instant::now);
        let end = stored.wait_for(|stored| stored.has_ended);
        // However the waiting ends, what is known then counts.
        let _ = timeout_at(asked_at + PATIENCE, end).await;
        self.stored.borrow().keys.clone()
    }
}

/// Asks the database for the list.
async fn read(stored: watch::Sender<Stored>, database: DatabaseConnection) {
    let keys = match timeout(DATABASE_DEADLINE, api_key::all(&database)).await {
        Ok(Ok(rows)) => {
            let by_hash = rows.into_iter().map(|row| (row.hash.clone(), row));
            Some(Arc::new(by_hash.collect()))
        }
        Ok(Err(error)) => {
            warn!(%error, "The table of API keys could not be read.");
            None
        }
        Err(_) => {
            warn!("The table of API keys could not be read: no answer in time.");
            None
        }
    };
    stored.send_modify(|stored| {
        stored.has_ended = true;
        stored.keys = keys.or_else(|| stored.keys.take());
    });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::DateTime;
    use entities::api_key::{self, KeyHash, Scope};
    use sea_orm::{ConnectionTrait as _, DatabaseConnection, TransactionTrait as _};
    use test_support::{Database, eventually};

    use super::{ApiKeys, Refusal};

    async fn check(keys: &ApiKeys, key: &str, db: &DatabaseConnection) -> Result<(), Refusal> {
        let now = DateTime::UNIX_EPOCH;
        keys.check(&KeyHash::of(key), Scope::Read, db, now).await
    }

    /// As if the list had been read too long ago.
    fn list_grows_old(keys: &ApiKeys) {
        keys.stored.send_modify(|stored| stored.asked_at = None);
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
        list_grows_old(&keys);
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
        list_grows_old(&keys);
        assert_eq!(check(&keys, "k", &db).await, Ok(()));
        assert_eq!(check(&keys, "other", &db).await, Err(Refusal::Unknown));
        // A gateway that has never seen the list knows nothing.
        let fresh = ApiKeys::new(&[]);
        let unknown = check(&fresh, "k", &db).await;
        assert_eq!(unknown, Err(Refusal::ListUnavailable));
    }

    #[tokio::test]
    async fn a_slow_database_is_not_waited_for_and_heard_in_the_end() {
        let database = Database::postgres().await;
        let db = database.connect().await;
        let now = DateTime::UNIX_EPOCH;
        api_key::insert(&db, "k", KeyHash::of("k"), &[Scope::Read], None, now)
            .await
            .unwrap();
        let (keys, fresh) = (ApiKeys::new(&[]), ApiKeys::new(&[]));
        eventually("the list is read", Duration::from_secs(60), async || {
            check(&keys, "k", &db).await
        })
        .await;

        // Whoever reads the table waits until the transaction ends.
        let transaction = database.connect().await.begin().await.unwrap();
        transaction
            .execute_unprepared("LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE")
            .await
            .unwrap();
        list_grows_old(&keys);
        assert_eq!(check(&keys, "k", &db).await, Ok(()));
        let unknown = check(&fresh, "k", &db).await;
        assert_eq!(unknown, Err(Refusal::ListUnavailable));

        transaction.rollback().await.unwrap();
        eventually("the list is read", Duration::from_secs(60), async || {
            check(&fresh, "k", &db).await
        })
        .await;
    }
}
