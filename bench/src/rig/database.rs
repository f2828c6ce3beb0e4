//! PostgreSQL and SQLite: a database for each run, and what it knows of the run afterwards.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use sea_orm::{
    ConnectOptions, ConnectionTrait, DatabaseConnection, DbBackend, QueryResult, Statement,
    TryGetable,
};
use serde::Serialize;

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Postgres,
    Sqlite,
}

impl Kind {
    /// Its name for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::Sqlite => "SQLite",
        }
    }
}

/// An empty database, and a connection to look into it.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) kind: Kind,
    pub(crate) url: String,
    pub(crate) connection: DatabaseConnection,
}

/// What PostgreSQL says of one statement (`pg_stat_statements`).
#[derive(Debug, Clone, Serialize)]
pub(crate) struct StatementCost {
    pub(crate) statement: String,
    pub(crate) calls: i64,
    pub(crate) total_ms: f64,
}

impl Database {
    /// A database with nothing in it; what an earlier run left under the same name is removed.
    pub(crate) async fn create(
        kind: Kind,
        name: &str,
        folder: &Path,
        postgres_port: u16,
    ) -> anyhow::Result<Self> {
        Self::remove(kind, name, folder, postgres_port).await?;
        if kind == Kind::Postgres {
            let server = connect(&postgres_url(postgres_port, "postgres")).await?;
            for statement in [
                format!("create database {name}"),
                "create extension if not exists pg_stat_statements".to_owned(),
            ] {
                server.execute_unprepared(&statement).await?;
            }
            server.close().await?;
        }
        Self::open(kind, name, folder, postgres_port).await
    }

    /// Removes a database and all it holds; nothing when there is none.
    pub(crate) async fn remove(
        kind: Kind,
        name: &str,
        folder: &Path,
        postgres_port: u16,
    ) -> anyhow::Result<()> {
        match kind {
            Kind::Postgres => {
                let server = connect(&postgres_url(postgres_port, "postgres")).await?;
                let drop = format!("drop database if exists {name} with (force)");
                server.execute_unprepared(&drop).await?;
                server.close().await?;
            }
            Kind::Sqlite => {
                for ending in ["", "-wal", "-shm"] {
                    let file = sqlite_file(folder, name);
                    let _ = std::fs::remove_file(format!("{}{ending}", file.display()));
                }
            }
        }
        Ok(())
    }

    /// A database that is there.
    pub(crate) async fn open(
        kind: Kind,
        name: &str,
        folder: &Path,
        postgres_port: u16,
    ) -> anyhow::Result<Self> {
        let url = match kind {
            Kind::Postgres => postgres_url(postgres_port, name),
            Kind::Sqlite => format!("sqlite://{}?mode=rwc", sqlite_file(folder, name).display()),
        };
        let connection = connect(&url).await?;
        Ok(Self {
            kind,
            url,
            connection,
        })
    }

    /// The one number that this question has as its answer.
    pub(crate) async fn count(&self, question: &str) -> anyhow::Result<i64> {
        self.one(question).await
    }

    /// The one time that this question has as its answer.
    pub(crate) async fn time(&self, question: &str) -> anyhow::Result<DateTime<Utc>> {
        self.one(question).await
    }

    /// All rows that answer this question.
    pub(crate) async fn rows(&self, question: &str) -> anyhow::Result<Vec<QueryResult>> {
        let rows = self
            .connection
            .query_all_raw(self.statement(question))
            .await;
        rows.with_context(|| question.to_owned())
    }

    /// Makes PostgreSQL forget what statements have cost until now.
    pub(crate) async fn forget_costs(&self) -> anyhow::Result<()> {
        if self.kind == Kind::Postgres {
            let forget = "create extension if not exists pg_stat_statements; \
                          select pg_stat_statements_reset()";
            self.connection.execute_unprepared(forget).await?;
        }
        Ok(())
    }

    /// What the statements of this database have cost, the dearest first. Nothing for SQLite.
    pub(crate) async fn costs(&self) -> anyhow::Result<Vec<StatementCost>> {
        if self.kind == Kind::Sqlite {
            return Ok(Vec::new());
        }
        let question = "select query, calls, total_exec_time from pg_stat_statements s \
                        join pg_database d on d.oid = s.dbid where d.datname = current_database() \
                        order by total_exec_time desc";
        let rows = self.rows(question).await?;
        rows.iter()
            .map(|row| {
                Ok(StatementCost {
                    statement: row.try_get("", "query")?,
                    calls: row.try_get("", "calls")?,
                    total_ms: row.try_get("", "total_exec_time")?,
                })
            })
            .collect()
    }

    async fn one<T: TryGetable>(&self, question: &str) -> anyhow::Result<T> {
        let row = self
            .connection
            .query_one_raw(self.statement(question))
            .await?;
        let row = row.with_context(|| format!("no answer to: {question}"))?;
        row.try_get_by_index(0).with_context(|| question.to_owned())
    }

    fn statement(&self, text: &str) -> Statement {
        let backend = match self.kind {
            Kind::Postgres => DbBackend::Postgres,
            Kind::Sqlite => DbBackend::Sqlite,
        };
        Statement::from_string(backend, text)
    }
}

/// The version of the PostgreSQL server, and the settings that decide what a commit costs.
pub(crate) async fn postgres_description(port: u16) -> anyhow::Result<[String; 2]> {
    let connection = connect(&postgres_url(port, "postgres")).await?;
    let database = Database {
        kind: Kind::Postgres,
        url: String::new(),
        connection,
    };
    let version = database.one("show server_version").await?;
    let settings = "select string_agg(name || '=' || setting, ' ' order by name) from pg_settings \
                    where name in ('fsync', 'full_page_writes', 'shared_buffers', 'synchronous_commit')";
    Ok([version, database.one(settings).await?])
}

fn postgres_url(port: u16, name: &str) -> String {
    format!("postgres://millrace:millrace@127.0.0.1:{port}/{name}")
}

fn sqlite_file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.db"))
}

async fn connect(url: &str) -> anyhow::Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(2).sqlx_logging(false);
    Ok(sea_orm::Database::connect(options).await?)
}
