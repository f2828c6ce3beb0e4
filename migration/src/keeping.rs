//! What keeping needs: how often an event came again, which messages are parked, and what has been
//! emptied or removed because its time was over.

use sea_orm_migration::{prelude::*, schema::*};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261129_000002_keeping"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let repeats = integer("repeats").default(0).take();
        add_column(manager, "processed_events", repeats).await?;
        add_column(
            manager,
            "messages",
            timestamp_with_time_zone_null("emptied_at"),
        )
        .await?;
        add_column(
            manager,
            "documents",
            timestamp_with_time_zone_null("removed_at"),
        )
        .await?;
        manager
            .create_table(
                Table::create()
                    .table("parked_messages")
                    .col(text("consumer"))
                    .col(text("event_id"))
                    .col(text("reason"))
                    .col(timestamp_with_time_zone("parked_at"))
                    .primary_key(Index::create().col("consumer").col("event_id"))
                    .take(),
            )
            .await?;
        index(manager, "messages", "received_at").await?;
        index(manager, "batches", "finished_at").await
    }
}

async fn add_column(
    manager: &SchemaManager<'_>,
    table: &'static str,
    column: ColumnDef,
) -> Result<(), DbErr> {
    manager
        .alter_table(Table::alter().table(table).add_column(column).take())
        .await
}

async fn index(
    manager: &SchemaManager<'_>,
    table: &'static str,
    column: &'static str,
) -> Result<(), DbErr> {
    let mut index = Index::create();
    index
        .name(format!("{table}_{column}"))
        .table(table)
        .col(column);
    manager.create_index(index).await
}
