//! Research jobs and the documents that come of them.

use sea_orm_migration::{prelude::*, schema::*};

use super::index;

pub(super) async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    jobs(manager).await?;
    documents(manager).await
}

async fn jobs(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            Table::create()
                .table("research_jobs")
                .col(uuid("id").primary_key())
                .col(text("state"))
                .col(text("source"))
                .col(text("idempotency_key"))
                .col(text("company_id"))
                .col(text_null("company_name"))
                .col(text_null("company_domain"))
                .col(big_integer_null("portal_id"))
                .col(text_null("deal_id"))
                .col(text_null("stage"))
                .col(text_null("stage_ts"))
                .col(json_binary_null("input"))
                .col(text_null("input_hash"))
                .col(boolean("refresh"))
                .col(integer("attempt").default(1))
                .col(text_null("response_id"))
                .col(text_null("response"))
                .col(text_null("model"))
                .col(double_null("estimated_cost_usd"))
                .col(double_null("cost_usd"))
                .col(big_integer_null("input_tokens"))
                .col(big_integer_null("cached_tokens"))
                .col(big_integer_null("output_tokens"))
                .col(big_integer_null("reasoning_tokens"))
                .col(big_integer_null("total_tokens"))
                .col(text_null("error"))
                .col(text_null("traceparent"))
                .col(timestamp_with_time_zone_null("reserved_at"))
                .col(timestamp_with_time_zone("created_at"))
                .col(timestamp_with_time_zone_null("submitted_at"))
                .col(timestamp_with_time_zone_null("completed_at"))
                .col(timestamp_with_time_zone_null("documented_at"))
                .col(timestamp_with_time_zone_null("notified_at"))
                .col(timestamp_with_time_zone("updated_at"))
                .take(),
        )
        .await?;
    index(manager, "research_jobs", &["response_id"]).await?;
    index(manager, "research_jobs", &["company_id", "input_hash"]).await?;
    index(manager, "research_jobs", &["state", "updated_at"]).await?;
    index(manager, "research_jobs", &["reserved_at"]).await
}

async fn documents(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            Table::create()
                .table("documents")
                .col(uuid("job_id").primary_key())
                .col(text("provider"))
                .col(text("provider_id"))
                .col(text("url"))
                .col(text("title"))
                .col(json_binary("missing_sections"))
                .col(timestamp_with_time_zone("created_at"))
                .foreign_key(
                    ForeignKey::create()
                        .name("documents_job")
                        .from("documents", "job_id")
                        .to("research_jobs", "id"),
                )
                .take(),
        )
        .await
}
