//! Connections, alike on SQLite and PostgreSQL.

use std::{str::FromStr, time::Duration};

use sea_orm::{
    ConnAcquireErr, DatabaseConnection, DbErr, RuntimeErr,
    sqlx::{
        self, ConnectOptions, Connection, Executor,
        postgres::{PgConnectOptions, PgPoolOptions},
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
    },
};

/// How long a SQLite writer waits for the one before it.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a caller waits for a connection. Longer than a SQLite writer waits, so that a full
/// pool behind one slow writer is not mistaken for a database that is down.
pub(crate) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(15);

/// The same for connections that may be opened while the database is down: whoever asks for a
/// status wants to hear soon that there is none.
const LAZY_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// SQLite has one writer at a time. Those who wait for it look again and again; those who wait for a
/// connection are told, as are those of this process who want to write (`transaction.rs`).
const SQLITE_CONNECTIONS: u32 = 4;

/// How much of the file each connection keeps in memory at most: in KiB where it is negative. By default it
/// is 2 MiB, less than the inner pages of the indexes of a million messages.
const SQLITE_CACHE: &str = "-16384";

/// After how many pages of the write-ahead log (of 4 KiB) they are written into the file itself. By default
/// these are 1000; a page that is written again and again is then written twice each time.
const SQLITE_CHECKPOINT: &str = "8000";

/// How long a connection may have been idle before it is asked whether it is still there.
const UNTESTED: Duration = Duration::from_secs(1);

/// What each connection to PostgreSQL is told once.
///
/// The guarded updates are written for `READ COMMITTED`: each looks at the newest row. It is PostgreSQL's
/// default unless somebody has changed it.
///
/// `random_page_cost` is 4 by default, which is a disk with an arm, and our statements name rows by their keys:
/// for some dozens of keys PostgreSQL would read all of a table of some ten thousand rows, and go on so with that
/// plan while the table grows.
const SESSION: &str = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED; \
                       SET random_page_cost = 1.1";

/// Why there is no connection. No text here contains a password.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// `DATABASE_URL` can't be understood; a retry does not help.
    #[error(
        "the database address must look like sqlite://PATH?mode=rwc or \
         postgres://USER:PASSWORD@HOST:PORT/NAME, with special characters percent-encoded"
    )]
    Address,
    /// The database does not answer, or refuses us; see [`ConnectError::is_transient`].
    #[error("can't connect to the database at {place}: {source}")]
    Connect {
        /// The host, port and name, or the file.
        place: String,
        /// What the driver says.
        source: sqlx::Error,
    },
}

impl ConnectError {
    /// Whether the same attempt may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Address => false,
            Self::Connect { source, .. } => is_transient_driver_error(source),
        }
    }
}

/// Opens a pool after a first connection has shown that the database answers.
///
/// SQLite: the file is created with `?mode=rwc`, and written so that a power cut loses nothing
/// committed (WAL, `synchronous=FULL`).
///
/// # Errors
///
/// [`ConnectError`].
pub async fn connect(url: &str, max_connections: u32) -> Result<DatabaseConnection, ConnectError> {
    let server = Server::parse(url)?;
    let first = tokio::time::timeout(ACQUIRE_TIMEOUT, server.try_once())
        .await
        .unwrap_or(Err(sqlx::Error::PoolTimedOut));
    match first {
        Ok(()) => Ok(server.pool(max_connections, ACQUIRE_TIMEOUT)),
        Err(source) => Err(ConnectError::Connect {
            place: place(url),
            source,
        }),
    }
}

/// Opens a pool that connects on first use, so that a gateway starts while the database is down.
/// A query then waits 3 seconds before it fails. Must be called inside a Tokio runtime.
///
/// # Errors
///
/// [`ConnectError::Address`].
pub fn connect_lazy(url: &str, max_connections: u32) -> Result<DatabaseConnection, ConnectError> {
    Ok(Server::parse(url)?.pool(max_connections, LAZY_ACQUIRE_TIMEOUT))
}

/// Whether the database could not do it now and may later: connection lost, pool empty, busy,
/// deadlock, disk full, restart. The caller waits and tries the whole transaction again.
#[must_use]
pub fn is_transient(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(ConnAcquireErr::Timeout | ConnAcquireErr::ConnectionClosed) => {
            true
        }
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => is_transient_driver_error(error),
        _ => false,
    }
}

fn is_transient_driver_error(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            if error
                .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
                .is_some()
            {
                is_transient_sqlstate(&code)
            } else {
                code.parse().is_ok_and(is_transient_sqlite_code)
            }
        }
        _ => false,
    }
}

/// PostgreSQL's error codes, <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn is_transient_sqlstate(code: &str) -> bool {
    // Connection, authorization (a password that is being rotated: no fault of the message),
    // transaction rollback (serialization, deadlock), resources, system (disk).
    ["08", "28", "40", "53", "58"].contains(&code.get(..2).unwrap_or_default())
        || matches!(
            code,
            "25006" // read-only: a standby during a failover
            | "25P03" | "25P04" // idle in transaction, transaction too long
            | "55P03" // lock not available
            | "57014" // statement timeout
            | "57P01" | "57P02" | "57P03" | "57P05" // shut down, crashed, starting, idle too long
        )
}

/// SQLite's result codes, <https://www.sqlite.org/rescode.html>; the low byte is the family.
fn is_transient_sqlite_code(code: i32) -> bool {
    const BUSY: i32 = 5;
    const LOCKED: i32 = 6;
    const IO: i32 = 10;
    const FULL: i32 = 13;
    const CANT_OPEN: i32 = 14;
    matches!(code & 0xff, BUSY | LOCKED | IO | FULL | CANT_OPEN)
}

/// A database that an address names.
enum Server {
    Sqlite(Box<SqliteConnectOptions>),
    Postgres(Box<PgConnectOptions>),
}

impl Server {
    fn parse(url: &str) -> Result<Self, ConnectError> {
        if url.starts_with("sqlite:") {
            let options = SqliteConnectOptions::from_str(url)
                .map_err(|_| ConnectError::Address)?
                .busy_timeout(BUSY_TIMEOUT)
                .foreign_keys(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .pragma("cache_size", SQLITE_CACHE)
                .pragma("wal_autocheckpoint", SQLITE_CHECKPOINT);
            Ok(Self::Sqlite(Box::new(options)))
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            let options = PgConnectOptions::from_str(url).map_err(|_| ConnectError::Address)?;
            Ok(Self::Postgres(Box::new(options)))
        } else {
            Err(ConnectError::Address)
        }
    }

    async fn try_once(&self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(options) => options.connect().await?.close().await,
            Self::Postgres(options) => options.connect().await?.close().await,
        }
    }

    fn pool(self, max_connections: u32, acquire_timeout: Duration) -> DatabaseConnection {
        match self {
            Self::Sqlite(options) => SqlitePoolOptions::new()
                .max_connections(max_connections.min(SQLITE_CONNECTIONS))
                .acquire_timeout(acquire_timeout)
                .test_before_acquire(false)
                .connect_lazy_with(*options)
                .into(),
            Self::Postgres(options) => PgPoolOptions::new()
                .max_connections(max_connections)
                .acquire_timeout(acquire_timeout)
                .test_before_acquire(false)
                .before_acquire(|connection, metadata| {
                    Box::pin(async move {
                        // What was used a moment ago is there; asking each time costs as much as a
                        // statement. If it is not, its next statement fails and is tried again.
                        if metadata.idle_for > UNTESTED {
                            connection.ping().await?;
                        }
                        Ok(true)
                    })
                })
                .after_connect(|connection, _| {
                    Box::pin(async move {
                        connection.execute(SESSION).await?;
                        Ok(())
                    })
                })
                .connect_lazy_with(*options)
                .into(),
        }
    }
}

/// What may be told of an address: the part after the credentials, without parameters (they can
/// hold a password too). An `@` among the parameters hides which part is which: nothing is told.
fn place(url: &str) -> String {
    let address = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (before, after) = address.rsplit_once('@').unwrap_or(("", address));
    if before.contains('?') {
        return "the configured address".to_owned();
    }
    let end = after.find('?').unwrap_or(after.len());
    after[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_an_address_holds_no_password() {
        for (address, told) in [
            (
                "sqlite:///var/lib/millrace.db?mode=rwc",
                "/var/lib/millrace.db",
            ),
            ("sqlite:millrace.db", "sqlite:millrace.db"),
            (
                "postgres://user:secret@db.example:5432/millrace",
                "db.example:5432/millrace",
            ),
            (
                "postgres://user:se#cr@et@db.example/millrace",
                "db.example/millrace",
            ),
            (
                "postgres://db.example/m?user=u&password=secret",
                "db.example/m",
            ),
            (
                "postgres://db.example/m?password=sec@ret",
                "the configured address",
            ),
            (
                "postgres://user:sec?ret@db.example/m",
                "the configured address",
            ),
        ] {
            assert_eq!(place(address), told, "{address}");
        }
    }

    #[test]
    fn an_address_that_is_no_database_is_refused_without_repeating_it() {
        for address in [
            "mysql://user:secret@host/db",
            "secret",
            "postgres://u:se/cret@host/db",
        ] {
            let Err(error) = Server::parse(address) else {
                panic!("{address} was accepted");
            };
            assert!(!error.is_transient());
            assert!(!format!("{error} {error:?}").contains("cret@"));
        }
    }

    #[test]
    fn what_passes_by_itself_is_transient_and_what_does_not_is_not() {
        for code in [
            "08006", "28P01", "40001", "40P01", "53300", "53100", "57P01", "57P03",
        ] {
            assert!(is_transient_sqlstate(code), "{code}");
        }
        for code in ["23505", "42P01", "22P02", ""] {
            assert!(!is_transient_sqlstate(code), "{code}");
        }
        let busy_snapshot = 517;
        let unique_constraint = 2067;
        assert!(is_transient_sqlite_code(busy_snapshot));
        assert!(!is_transient_sqlite_code(unique_constraint));
        assert!(is_transient(&DbErr::ConnectionAcquire(
            ConnAcquireErr::Timeout
        )));
        assert!(!is_transient(&DbErr::RecordNotInserted));
    }
}
