//! The first schema: the chat batches, the research jobs, and what both need to happen once.
//!
//! Timestamps are instants (`timestamptz`; RFC 3339 text in UTC on SQLite, which sorts as time
//! does). States are text, so that a person can read a row and a later state needs no migration.

mod bookkeeping;
mod chat;
mod research;

use sea_orm_migration::prelude::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261122_000001_initial"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        chat::up(manager).await?;
        research::up(manager).await?;
        bookkeeping::up(manager).await
    }
}

/// Creates an index named `<table>_<columns>`.
async fn index(
    manager: &SchemaManager<'_>,
    table: &'static str,
    columns: &[&'static str],
) -> Result<(), DbErr> {
    let mut index = Index::create();
    index
        .name(format!("{table}_{}", columns.join("_")))
        .table(table);
    for column in columns {
        index.col(*column);
    }
    manager.create_index(index).await
}
