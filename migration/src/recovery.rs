//! What is needed to drive on what stands still, and nothing that doesn't: webhooks whose response
//! nobody knows yet, and when a message that waits in a lane is due back.

use sea_orm_migration::{prelude::*, schema::*};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261129_000003_recovery"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("unclaimed_responses")
                    .col(text("response_id").primary_key())
                    .col(timestamp_with_time_zone("seen_at"))
                    .take(),
            )
            .await?;
        for table in ["batches", "research_jobs"] {
            manager
                .alter_table(
                    Table::alter()
                        .table(table)
                        .add_column(timestamp_with_time_zone_null("due_back_at"))
                        .take(),
                )
                .await?;
        }
        Ok(())
    }
}
