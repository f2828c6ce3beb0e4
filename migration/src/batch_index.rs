//! An index on open batches that a further message does not change: PostgreSQL then writes the batch's row
//! and none of its indexes.

use sea_orm_migration::prelude::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261129_000005_batch_index"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut by_latest_message = Index::drop();
        by_latest_message
            .name("batches_state_last_message_at")
            .table("batches");
        manager.drop_index(by_latest_message).await?;
        let mut by_opening = Index::create();
        by_opening
            .name("batches_state_opened_at")
            .table("batches")
            .col("state")
            .col("opened_at");
        manager.create_index(by_opening).await
    }
}
