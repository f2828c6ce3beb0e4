//! A message finds its batch.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use sea_orm::{ActiveValue::Set, ExprTrait, entity::prelude::*};

use super::{ActiveModel, Column, Entity, State, latest_of_contact};
use crate::{
    BatchId, ContactId,
    message::{self, NewMessage},
    write::insert_if_absent,
};

/// The way that a message came, and its reply should go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchRoute {
    /// The channel as the webhook named it.
    pub channel: String,
    /// The sub-account it came to.
    pub location_id: Option<String>,
    /// The conversation.
    pub conversation_id: Option<String>,
    /// The custom provider, for channels that need it.
    pub conversation_provider_id: Option<String>,
}

/// Where a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Added {
    /// The batch it is in.
    pub batch_id: BatchId,
    /// The sequence it raised the batch to. 1: it opened the batch, which needs a deadline.
    pub sequence: i32,
}

/// Stores the message in the contact's open batch, opening one if there is none, and raises the
/// batch's sequence to the message's. A message whose event is stored already is where it was.
///
/// Needs a transaction from [`crate::begin`]. If the batch closes at the same moment, either this
/// message is in it, or the batch is left alone and the message opens the next one.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn add_message<C: ConnectionTrait>(
    tx: &C,
    contact: &ContactId,
    message: NewMessage,
    route: BatchRoute,
    traceparent: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Added, DbErr> {
    let event_id = message.event_id.clone();
    if !message::store_without_batch(tx, contact, message, now).await?
        && let Some(stored) = message::find_by_event(tx, &event_id).await?
        && let (Some(batch_id), Some(sequence)) = (stored.batch_id, stored.sequence)
    {
        return Ok(Added { batch_id, sequence });
    }

    // Each further turn means that another transaction has opened or closed the batch between
    // our two statements, so this ends.
    let added = loop {
        if let Some(added) = raise(tx, contact, &route, now).await? {
            break added;
        }
        if let Some(added) = open(tx, contact, &route, traceparent, now).await? {
            break added;
        }
    };
    let place = message::ActiveModel {
        batch_id: Set(Some(added.batch_id)),
        sequence: Set(Some(added.sequence)),
        ..Default::default()
    };
    message::Entity::update_many()
        .set(place)
        .filter(message::Column::EventId.eq(event_id))
        .exec(tx)
        .await?;
    Ok(added)
}

/// Raises the open batch's sequence; `None` when there is no open batch. On PostgreSQL this waits
/// for a transaction that is just closing the batch, and then finds it closed.
async fn raise<C: ConnectionTrait>(
    tx: &C,
    contact: &ContactId,
    route: &BatchRoute,
    now: DateTime<Utc>,
) -> Result<Option<Added>, DbErr> {
    let mut latest = ActiveModel {
        channel: Set(route.channel.clone()),
        conversation_provider_id: Set(route.conversation_provider_id.clone()),
        last_message_at: Set(now),
        ..Default::default()
    };
    if route.location_id.is_some() {
        latest.location_id = Set(route.location_id.clone());
    }
    if route.conversation_id.is_some() {
        latest.conversation_id = Set(route.conversation_id.clone());
    }
    let raised = Entity::update_many()
        .set(latest)
        .col_expr(Column::Sequence, Expr::col(Column::Sequence).add(1))
        .filter(Column::ContactId.eq(contact.clone()))
        .filter(Column::State.eq(State::Open))
        .exec_with_returning(tx)
        .await?;
    Ok(raised.first().map(|batch| Added {
        batch_id: batch.id,
        sequence: batch.sequence,
    }))
}

/// Opens a batch; `None` when another pod has just opened one.
async fn open<C: ConnectionTrait>(
    tx: &C,
    contact: &ContactId,
    route: &BatchRoute,
    traceparent: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Option<Added>, DbErr> {
    let batch_id = BatchId::random();
    let sequence = 1;
    let row = ActiveModel {
        id: Set(batch_id),
        contact_id: Set(contact.clone()),
        location_id: Set(route.location_id.clone()),
        state: Set(State::Open),
        sequence: Set(sequence),
        channel: Set(route.channel.clone()),
        conversation_id: Set(route.conversation_id.clone()),
        conversation_provider_id: Set(route.conversation_provider_id.clone()),
        traceparent: Set(traceparent.map(str::to_owned)),
        opened_at: Set(after_the_last(tx, contact, now).await?),
        last_message_at: Set(now),
        closed_at: Set(None),
        closed_by: Set(None),
        finished_at: Set(None),
        reason: Set(None),
        swept_at: Set(None),
        due_back_at: Set(None),
    };
    let opened = insert_if_absent(tx, row).await?;
    Ok(opened.then_some(Added { batch_id, sequence }))
}

/// `now`, or a microsecond (PostgreSQL's smallest step) after the contact's last batch opened if
/// this pod's clock is behind: "earlier" and "newer" batches are told by this time.
async fn after_the_last<C: ConnectionTrait>(
    tx: &C,
    contact: &ContactId,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, DbErr> {
    const MICROSECONDS: u16 = 6;
    let now = now.trunc_subsecs(MICROSECONDS);
    let last = latest_of_contact(tx, contact).await?;
    Ok(last.map_or(now, |last| {
        Ord::max(now, last.opened_at + TimeDelta::microseconds(1))
    }))
}
