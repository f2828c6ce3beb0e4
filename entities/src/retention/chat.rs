//! Batches, messages and replies.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, Condition, QueryOrder, QuerySelect, QueryTrait, Select, entity::prelude::*,
    sea_query::SelectStatement,
};

use super::rows::remove_effects;
use crate::{BatchId, TextList, batch, message, reply};

/// Why a batch that was given up gets no reply any more.
const TEXTS_REMOVED: &str = "texts_removed";

/// States that no replay leads out of.
const ENDED: [batch::State; 3] = [
    batch::State::Replied,
    batch::State::Superseded,
    batch::State::Suppressed,
];

pub(super) fn given_up(before: DateTime<Utc>) -> Select<batch::Entity> {
    batch::Entity::find()
        .filter(batch::Column::State.eq(batch::State::Failed))
        .filter(batch::Column::FinishedAt.lt(before))
        .order_by_asc(batch::Column::Id)
}

pub(super) async fn end_given_up<C: ConnectionTrait>(
    tx: &C,
    batches: &[batch::Model],
) -> Result<(), DbErr> {
    let end = batch::ActiveModel {
        state: Set(batch::State::Suppressed),
        reason: Set(Some(TEXTS_REMOVED.to_owned())),
        ..Default::default()
    };
    batch::Entity::update_many()
        .set(end)
        .filter(batch::Column::Id.is_in(batches.iter().map(|batch| batch.id)))
        .filter(batch::Column::State.eq(batch::State::Failed))
        .exec(tx)
        .await?;
    Ok(())
}

/// Batches that ended before this time.
pub(super) fn ended(before: DateTime<Utc>) -> Select<batch::Entity> {
    batch::Entity::find()
        .filter(batch::Column::State.is_in(ENDED))
        .filter(batch::Column::FinishedAt.lt(before))
        .order_by_asc(batch::Column::Id)
}

fn ended_ids(before: DateTime<Utc>) -> SelectStatement {
    batch::Entity::find()
        .select_only()
        .column(batch::Column::Id)
        .filter(batch::Column::State.is_in(ENDED))
        .filter(batch::Column::FinishedAt.lt(before))
        .into_query()
}

pub(super) fn readable_messages(before: DateTime<Utc>) -> Select<message::Entity> {
    message::Entity::find()
        .filter(message::Column::EmptiedAt.is_null())
        .filter(message::Column::ReceivedAt.lt(before))
        .filter(
            Condition::any()
                .add(message::Column::BatchId.is_null())
                .add(message::Column::BatchId.in_subquery(ended_ids(before))),
        )
        .order_by_asc(message::Column::Id)
}

pub(super) async fn empty_messages<C: ConnectionTrait>(
    tx: &C,
    messages: &[message::Model],
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let emptied = message::ActiveModel {
        text: Set(String::new()),
        subject: Set(None),
        attachments: Set(TextList::default()),
        emptied_at: Set(Some(now)),
        ..Default::default()
    };
    message::Entity::update_many()
        .set(emptied)
        .filter(message::Column::Id.is_in(messages.iter().map(|message| message.id)))
        .exec(tx)
        .await?;
    Ok(())
}

pub(super) fn readable_replies(before: DateTime<Utc>) -> Select<reply::Entity> {
    reply::Entity::find()
        .filter(reply::Column::Text.ne(""))
        .filter(reply::Column::BatchId.in_subquery(ended_ids(before)))
        .order_by_asc(reply::Column::BatchId)
}

pub(super) async fn empty_replies<C: ConnectionTrait>(
    tx: &C,
    replies: &[reply::Model],
) -> Result<(), DbErr> {
    let emptied = reply::ActiveModel {
        text: Set(String::new()),
        ..Default::default()
    };
    reply::Entity::update_many()
        .set(emptied)
        .filter(reply::Column::BatchId.is_in(replies.iter().map(|reply| reply.batch_id)))
        .exec(tx)
        .await?;
    Ok(())
}

pub(super) fn loose_messages(before: DateTime<Utc>) -> Select<message::Entity> {
    message::Entity::find()
        .filter(message::Column::BatchId.is_null())
        .filter(message::Column::ReceivedAt.lt(before))
        .order_by_asc(message::Column::Id)
}

pub(super) async fn remove_messages<C: ConnectionTrait>(
    tx: &C,
    messages: &[message::Model],
) -> Result<(), DbErr> {
    message::Entity::delete_many()
        .filter(message::Column::Id.is_in(messages.iter().map(|message| message.id)))
        .exec(tx)
        .await?;
    Ok(())
}

/// Removes batches with everything that belongs to them. Needs a transaction.
pub(crate) async fn remove_batches<C: ConnectionTrait>(
    tx: &C,
    batches: &[BatchId],
) -> Result<(), DbErr> {
    let ids = || batches.iter().copied();
    message::Entity::delete_many()
        .filter(message::Column::BatchId.is_in(ids()))
        .exec(tx)
        .await?;
    reply::Entity::delete_many()
        .filter(reply::Column::BatchId.is_in(ids()))
        .exec(tx)
        .await?;
    remove_effects(tx, ids().map(|id| id.0)).await?;
    batch::Entity::delete_many()
        .filter(batch::Column::Id.is_in(ids()))
        .exec(tx)
        .await?;
    Ok(())
}
