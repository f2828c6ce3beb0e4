//! The database's schema and how it comes about, on SQLite and on PostgreSQL.
//!
//! [`migrate`] brings a database up to date; [`pending`] only looks, so that a worker that meets
//! an older schema can say so and stop. Nothing here knows the entities: a migration describes
//! the schema of its day and must not change when an entity does. Tested in `entities/tests`,
//! where a schema meets the entities that need it.

mod api_keys;
mod batch_index;
mod initial;
mod keeping;
mod recovery;

use sea_orm_migration::{
    prelude::*,
    sea_orm::{
        DatabaseConnection, DbBackend, EntityTrait, SqliteTransactionMode, TransactionOptions,
        TransactionTrait,
    },
    seaql_migrations,
};

/// The key of PostgreSQL's advisory lock that one migrator holds at a time ("millrace" in ASCII).
const MIGRATION_LOCK: i64 = 0x6d69_6c6c_7261_6365;

struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(initial::Migration),
            Box::new(keeping::Migration),
            Box::new(recovery::Migration),
            Box::new(api_keys::Migration),
            Box::new(batch_index::Migration),
        ]
    }
}

/// Applies what is missing and returns how many migrations that were.
///
/// All of it is one transaction: a crash leaves the database as it was. Several processes may
/// call this at once; one works, the others wait and then find nothing left to do. A database
/// that is newer than this build is left alone as long as nothing of ours is missing.
///
/// # Errors
///
/// Any database error; the waiting ones (connection lost, busy) can be tried again.
pub async fn migrate(db: &DatabaseConnection) -> Result<usize, DbErr> {
    let transaction = db
        .begin_with_options(TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        })
        .await?;
    if transaction.get_database_backend() == DbBackend::Postgres {
        transaction
            .execute_unprepared(&format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
            .await?;
    }
    let missing = pending(&transaction).await?.len();
    if missing > 0 {
        Migrator::up(&transaction, None).await?;
    }
    transaction.commit().await?;
    Ok(missing)
}

/// The names of the migrations that this build has and the database has not, oldest first.
///
/// Only reads: an empty database stays empty and all names come back.
///
/// # Errors
///
/// Any database error; the waiting ones (connection lost, busy) can be tried again.
pub async fn pending<C: ConnectionTrait>(db: &C) -> Result<Vec<String>, DbErr> {
    let applied = if has_table(db, "seaql_migrations").await? {
        seaql_migrations::Entity::find().all(db).await?
    } else {
        Vec::new()
    };
    Ok(Migrator::migrations()
        .iter()
        .map(|migration| migration.name().to_owned())
        .filter(|name| !applied.iter().any(|row| row.version == *name))
        .collect())
}

async fn has_table<C: ConnectionTrait>(db: &C, name: &str) -> Result<bool, DbErr> {
    let (catalogue, column) = match db.get_database_backend() {
        DbBackend::Postgres => ("pg_tables", "tablename"),
        _ => ("sqlite_master", "name"),
    };
    let mut query = Query::select();
    query
        .column(column)
        .from(catalogue)
        .and_where(Expr::col(column).eq(name));
    if db.get_database_backend() == DbBackend::Postgres {
        query.and_where(Expr::col("schemaname").eq(Expr::cust("current_schema()")));
    }
    Ok(db.query_one(&query).await?.is_some())
}
