//! Contacts, their batches, the messages in them and the replies to them.

use sea_orm_migration::{prelude::*, schema::*};

use super::index;

pub(super) async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    contacts(manager).await?;
    batches(manager).await?;
    messages(manager).await?;
    replies(manager).await
}

async fn contacts(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            Table::create()
                .table("contacts")
                .col(text("id").primary_key())
                .col(text_null("location_id"))
                .col(text_null("first_name"))
                .col(text_null("last_name"))
                .col(text_null("full_name"))
                .col(text_null("email"))
                .col(text_null("phone"))
                .col(boolean("dnd"))
                .col(json_binary("dnd_channels"))
                .col(timestamp_with_time_zone_null("opted_out_at"))
                .col(timestamp_with_time_zone_null("human_replied_at"))
                .col(timestamp_with_time_zone("created_at"))
                .col(timestamp_with_time_zone("updated_at"))
                .take(),
        )
        .await
}

async fn batches(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            Table::create()
                .table("batches")
                .col(uuid("id").primary_key())
                .col(text("contact_id"))
                .col(text_null("location_id"))
                .col(text("state"))
                .col(integer("sequence"))
                .col(text("channel"))
                .col(text_null("conversation_id"))
                .col(text_null("conversation_provider_id"))
                .col(text_null("traceparent"))
                .col(timestamp_with_time_zone("opened_at"))
                .col(timestamp_with_time_zone("last_message_at"))
                .col(timestamp_with_time_zone_null("closed_at"))
                .col(text_null("closed_by"))
                .col(timestamp_with_time_zone_null("finished_at"))
                .col(text_null("reason"))
                .col(timestamp_with_time_zone_null("swept_at"))
                .take(),
        )
        .await?;
    // At most one open batch for each contact, whatever the pods do at the same time.
    manager
        .create_index(
            Index::create()
                .name("batches_one_open_per_contact")
                .table("batches")
                .col("contact_id")
                .unique()
                .and_where(Expr::col("state").eq("open"))
                .take(),
        )
        .await?;
    index(manager, "batches", &["state", "last_message_at"]).await?;
    index(manager, "batches", &["contact_id", "opened_at"]).await
}

async fn messages(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            Table::create()
                .table("messages")
                .col(uuid("id").primary_key())
                .col(text("event_id").unique_key())
                .col(text("contact_id"))
                .col(uuid_null("batch_id"))
                .col(integer_null("sequence"))
                .col(text("direction"))
                .col(text("author"))
                .col(text_null("provider_message_id"))
                .col(text_null("email_message_id"))
                .col(text("channel"))
                .col(text_null("subject"))
                .col(text("text"))
                .col(json_binary("attachments"))
                .col(timestamp_with_time_zone("sent_at"))
                .col(timestamp_with_time_zone("received_at"))
                .foreign_key(
                    ForeignKey::create()
                        .name("messages_batch")
                        .from("messages", "batch_id")
                        .to("batches", "id"),
                )
                .take(),
        )
        .await?;
    index(manager, "messages", &["contact_id", "sent_at"]).await?;
    index(manager, "messages", &["batch_id"]).await
}

async fn replies(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            Table::create()
                .table("replies")
                .col(uuid("batch_id").primary_key())
                .col(text("text"))
                .col(boolean("send"))
                .col(text("model"))
                .col(big_integer_null("input_tokens"))
                .col(big_integer_null("cached_tokens"))
                .col(big_integer_null("output_tokens"))
                .col(big_integer_null("reasoning_tokens"))
                .col(double_null("cost_usd"))
                .col(timestamp_with_time_zone("generated_at"))
                .col(timestamp_with_time_zone_null("sent_at"))
                .col(text_null("provider_message_id"))
                .col(text_null("conversation_id"))
                .foreign_key(
                    ForeignKey::create()
                        .name("replies_batch")
                        .from("replies", "batch_id")
                        .to("batches", "id"),
                )
                .take(),
        )
        .await
}
