//! What makes things happen once: the effects ledger, the processed events; the settings; and the
//! pauses that providers ask for.

use sea_orm_migration::{prelude::*, schema::*};

use super::index;

pub(super) async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            Table::create()
                .table("effects")
                .col(text("key").primary_key())
                .col(text("state"))
                .col(json_binary_null("result"))
                .col(timestamp_with_time_zone("started_at"))
                .col(timestamp_with_time_zone_null("finished_at"))
                .take(),
        )
        .await?;
    manager
        .create_table(
            Table::create()
                .table("processed_events")
                .col(text("consumer"))
                .col(text("event_id"))
                .col(timestamp_with_time_zone("processed_at"))
                .primary_key(Index::create().col("consumer").col("event_id"))
                .take(),
        )
        .await?;
    index(manager, "processed_events", &["processed_at"]).await?;
    manager
        .create_table(
            Table::create()
                .table("settings")
                .col(text("key").primary_key())
                .col(text("value"))
                .col(timestamp_with_time_zone("updated_at"))
                .take(),
        )
        .await?;
    manager
        .create_table(
            Table::create()
                .table("provider_pauses")
                .col(text("provider").primary_key())
                .col(timestamp_with_time_zone("paused_until"))
                .take(),
        )
        .await
}
