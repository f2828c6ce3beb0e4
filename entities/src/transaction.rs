//! Transactions, alike on SQLite and PostgreSQL.

use sea_orm::{
    AccessMode, ConnAcquireErr, ConnectionTrait, DatabaseConnection, DatabaseTransaction,
    DbBackend, DbErr, ExecResult, IsolationLevel, QueryResult, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait, prelude::async_trait::async_trait,
};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

use crate::connection::ACQUIRE_TIMEOUT;

/// SQLite has one writer at a time, and lets the others look again and again, with longer and longer pauses.
/// Those of this process take turns instead: each is told when it is its turn, and in the order they came.
static TURN: Mutex<()> = Mutex::const_new(());

/// A transaction. One that ends without [`Transaction::commit`] is rolled back.
pub struct Transaction {
    inner: DatabaseTransaction,
    /// Given back after the transaction has ended: fields are dropped in their order.
    _turn: Option<MutexGuard<'static, ()>>,
}

impl Transaction {
    /// Makes what was written last.
    ///
    /// # Errors
    ///
    /// Any database error; see [`crate::is_transient`]. Whether it was committed is not known then.
    pub async fn commit(self) -> Result<(), DbErr> {
        self.inner.commit().await
    }
}

/// Begins a transaction that may read first and write then.
///
/// SQLite takes the write lock at once (`BEGIN IMMEDIATE`): a transaction that has read and then
/// wants to write would otherwise fail when another wrote in between. PostgreSQL: `READ
/// COMMITTED`.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn begin(db: &DatabaseConnection) -> Result<Transaction, DbErr> {
    let turn = match db.get_database_backend() {
        DbBackend::Sqlite => match timeout(ACQUIRE_TIMEOUT, TURN.lock()).await {
            Ok(turn) => Some(turn),
            Err(_) => return Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)),
        },
        _ => None,
    };
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    };
    to_its_beginning(db, options, turn).await
}

/// Begins a transaction that only reads, and sees the database as it was at its first look: counts
/// of several tables fit together.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn snapshot(db: &DatabaseConnection) -> Result<Transaction, DbErr> {
    let postgres = db.get_database_backend() == DbBackend::Postgres;
    let options = TransactionOptions {
        isolation_level: postgres.then_some(IsolationLevel::RepeatableRead),
        access_mode: postgres.then_some(AccessMode::ReadOnly),
        sqlite_transaction_mode: Some(SqliteTransactionMode::Deferred),
    };
    to_its_beginning(db, options, None).await
}

/// Begins in a task of its own, so that it is not broken off when the caller is: sqlx ends the
/// transaction of a caller that is dropped only once PostgreSQL has answered `BEGIN`. Dropped before, the
/// connection would go back into the pool in the middle of a transaction, and what the next caller
/// writes would be part of it: not there for others, and lost with the connection.
async fn to_its_beginning(
    db: &DatabaseConnection,
    options: TransactionOptions,
    turn: Option<MutexGuard<'static, ()>>,
) -> Result<Transaction, DbErr> {
    let db = db.clone();
    let beginning = async move {
        Ok(Transaction {
            inner: db.begin_with_options(options).await?,
            _turn: turn,
        })
    };
    match tokio::spawn(beginning).await {
        Ok(begun) => begun,
        Err(failure) if failure.is_panic() => std::panic::resume_unwind(failure.into_panic()),
        // The runtime is shutting down.
        Err(_) => Err(DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed)),
    }
}

#[async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.inner.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.inner.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.inner.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.inner.query_all_raw(statement).await
    }
}
