//! The reply to a batch: generated once, sent once.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ExprTrait, QuerySelect, QueryTrait,
    entity::prelude::*,
    sea_query::{OnConflict, Query},
};

use crate::{
    BatchId, batch,
    write::{any_of, brought, in_statements},
};

/// The reply to one batch.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "replies")]
pub struct Model {
    /// The batch it answers.
    #[sea_orm(primary_key, auto_increment = false)]
    pub batch_id: BatchId,
    /// The text to send.
    pub text: String,
    /// Whether the model thinks an answer is called for.
    pub send: bool,
    /// The model that wrote it.
    pub model: String,
    /// Tokens read.
    pub input_tokens: Option<i64>,
    /// Of these, tokens read from the provider's cache.
    pub cached_tokens: Option<i64>,
    /// Tokens written.
    pub output_tokens: Option<i64>,
    /// Of these, tokens of reasoning.
    pub reasoning_tokens: Option<i64>,
    /// What it cost, in US dollars.
    pub cost_usd: Option<f64>,
    /// When it was generated.
    pub generated_at: DateTime<Utc>,
    /// When it was sent.
    pub sent_at: Option<DateTime<Utc>>,
    /// HighLevel's id of the sent message.
    pub provider_message_id: Option<String>,
    /// The conversation it was sent in.
    pub conversation_id: Option<String>,
}

/// The batch is found by its id.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A reply as the model gave it.
#[derive(Clone, Debug, PartialEq)]
pub struct NewReply {
    /// The batch it answers.
    pub batch_id: BatchId,
    /// The text to send.
    pub text: String,
    /// Whether the model thinks an answer is called for.
    pub send: bool,
    /// The model that wrote it.
    pub model: String,
    /// Tokens read.
    pub input_tokens: Option<i64>,
    /// Of these, tokens read from the provider's cache.
    pub cached_tokens: Option<i64>,
    /// Tokens written.
    pub output_tokens: Option<i64>,
    /// Of these, tokens of reasoning.
    pub reasoning_tokens: Option<i64>,
    /// What it cost, in US dollars.
    pub cost_usd: Option<f64>,
    /// When it was generated.
    pub generated_at: DateTime<Utc>,
}

/// Stores the reply and returns the one that is stored: the first wins, so that a batch never
/// gets two different answers.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`]. A batch that does not exist is an error.
pub async fn store<C: ConnectionTrait>(db: &C, reply: NewReply) -> Result<Model, DbErr> {
    let batch = reply.batch_id;
    let stored = store_all(db, vec![reply]).await?.pop();
    stored.ok_or_else(|| DbErr::RecordNotFound(format!("the reply to batch {batch}")))
}

/// [`store`] of several replies at once; returns those that are stored, in their order.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`]. A batch that does not exist is an error.
pub async fn store_all<C: ConnectionTrait>(
    db: &C,
    replies: Vec<NewReply>,
) -> Result<Vec<Model>, DbErr> {
    let batches: Vec<BatchId> = replies.iter().map(|reply| reply.batch_id).collect();
    // In one order for all pods, or two of them wait for each other.
    let mut replies = replies;
    replies.sort_by_key(|reply| reply.batch_id);
    let rows = replies.into_iter().map(|reply| ActiveModel {
        batch_id: Set(reply.batch_id),
        text: Set(reply.text),
        send: Set(reply.send),
        model: Set(reply.model),
        input_tokens: Set(reply.input_tokens),
        cached_tokens: Set(reply.cached_tokens),
        output_tokens: Set(reply.output_tokens),
        reasoning_tokens: Set(reply.reasoning_tokens),
        cost_usd: Set(reply.cost_usd),
        generated_at: Set(reply.generated_at),
        sent_at: Set(None),
        provider_message_id: Set(None),
        conversation_id: Set(None),
    });
    let mut inserted = HashMap::new();
    for rows in in_statements(rows) {
        let replies = Entity::insert_many(rows)
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .exec_with_returning(db)
            .await?;
        inserted.extend(replies.into_iter().map(|reply| (reply.batch_id, reply)));
    }
    let mut stored = Vec::with_capacity(batches.len());
    for batch in batches {
        stored.push(match inserted.remove(&batch) {
            Some(reply) => reply,
            None => find(db, batch)
                .await?
                .ok_or_else(|| DbErr::RecordNotFound(format!("the reply to batch {batch}")))?,
        });
    }
    Ok(stored)
}

/// The reply to this batch, if one was generated.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn find<C: ConnectionTrait>(db: &C, batch: BatchId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(batch).one(db).await
}

/// The replies to these batches, where one was generated.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn find_all<C: ConnectionTrait>(
    db: &C,
    batches: impl IntoIterator<Item = BatchId>,
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::BatchId.is_in(any_of(batches)))
        .all(db)
        .await
}

/// Whether a reply was generated to a later batch of the same contact. It answers the messages of
/// earlier batches that had failed or were superseded by then, too.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn exists_for_newer<C: ConnectionTrait>(
    db: &C,
    batch: &batch::Model,
) -> Result<bool, DbErr> {
    let newer = batch::Entity::find()
        .select_only()
        .column(batch::Column::Id)
        .filter(batch::Column::ContactId.eq(batch.contact_id.clone()))
        .filter(batch::Column::OpenedAt.gt(batch.opened_at))
        .into_query();
    let found = Entity::find()
        .filter(Column::BatchId.in_subquery(newer))
        .limit(1)
        .one(db)
        .await?;
    Ok(found.is_some())
}

/// A reply that has reached the contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentReply {
    /// The batch it answers.
    pub batch_id: BatchId,
    /// HighLevel's id of the message.
    pub provider_message_id: String,
    /// The conversation it was sent in.
    pub conversation_id: Option<String>,
}

/// Notes that these replies were sent; how many of them there are of which that was not noted before
/// (the first note stays).
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn mark_all_sent<C: ConnectionTrait>(
    db: &C,
    sent: impl IntoIterator<Item = SentReply>,
    now: DateTime<Utc>,
) -> Result<u64, DbErr> {
    let rows = sent.into_iter().map(|sent| {
        let SentReply {
            batch_id,
            provider_message_id,
            conversation_id,
        } = sent;
        (batch_id, provider_message_id, conversation_id)
    });
    let mut marked = 0;
    for rows in in_statements(rows) {
        let update = Query::update()
            .table(Entity)
            .value(Column::SentAt, now)
            .value(Column::ProviderMessageId, Expr::col(("sent", "column2")))
            .value(Column::ConversationId, Expr::col(("sent", "column3")))
            .from(brought(rows, "sent"))
            .and_where(Expr::col((Entity, Column::BatchId)).equals(("sent", "column1")))
            .and_where(Expr::col((Entity, Column::SentAt)).is_null())
            .to_owned();
        marked += db.execute(&update).await?.rows_affected();
    }
    Ok(marked)
}
