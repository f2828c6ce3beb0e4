//! Messages find their batches.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use sea_orm::{
    ActiveValue::Set,
    ExprTrait, QuerySelect,
    entity::prelude::*,
    sea_query::{Func, OnConflict},
};

use super::{ActiveModel, Column, Entity, State, opened};
use crate::{
    BatchId, ContactId,
    message::{self, NewMessage},
    write::{any_of, in_statements},
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

/// A message that wants to be in a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Who wrote it.
    pub contact: ContactId,
    /// What it says.
    pub message: NewMessage,
    /// The way that it came.
    pub route: BatchRoute,
    /// Its trace (W3C Trace Context), which is its batch's if it opens one.
    pub traceparent: Option<String>,
}

/// Where a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Added {
    /// The batch it is in.
    pub batch_id: BatchId,
    /// The sequence it raised the batch to. 1: it opened the batch, which needs a deadline.
    pub sequence: i32,
}

/// What the new messages of one contact do to its batch.
struct Raise<'a> {
    first: &'a Incoming,
    latest: BatchRoute,
    messages: i32,
}

/// Stores the messages, each in its contact's open batch, and raises the batches' sequences; who has
/// no open batch gets one. Says where each message went, in their order. A message whose event is
/// stored already is where it was.
///
/// Needs a transaction from [`crate::begin`] that holds the contacts ([`crate::contact::upsert`]). If
/// a batch closes at the same moment, either its messages are in it, or it is left alone and they
/// open the next one.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn add_messages<C: ConnectionTrait>(
    tx: &C,
    messages: Vec<Incoming>,
    now: DateTime<Utc>,
) -> Result<Vec<Added>, DbErr> {
    let stored = stored_before(tx, &messages).await?;
    let is_new = |incoming: &&Incoming| !stored.contains_key(&incoming.message.event_id);
    let raised = raise(tx, messages.iter().filter(is_new), now).await?;

    let mut added = Vec::with_capacity(messages.len());
    let mut rows = Vec::with_capacity(messages.len());
    let mut next = raised;
    for Incoming {
        contact, message, ..
    } in messages
    {
        if let Some(before) = stored.get(&message.event_id) {
            added.push(*before);
            continue;
        }
        let place = next
            .get_mut(&contact)
            .ok_or_else(|| DbErr::RecordNotFound(format!("the open batch of {contact}")))?;
        added.push(*place);
        let here = Some((place.batch_id, place.sequence));
        rows.push(message::row(&contact, message, here, now));
        place.sequence += 1;
    }
    for rows in in_statements(rows) {
        message::Entity::insert_many(rows)
            .exec_without_returning(tx)
            .await?;
    }
    Ok(added)
}

/// Where the events are that brought a message before.
async fn stored_before<C: ConnectionTrait>(
    tx: &C,
    messages: &[Incoming],
) -> Result<HashMap<String, Added>, DbErr> {
    let ids = messages.iter().map(|one| one.message.event_id.as_str());
    let stored: Vec<(String, Option<BatchId>, Option<i32>)> = message::Entity::find()
        .select_only()
        .columns([
            message::Column::EventId,
            message::Column::BatchId,
            message::Column::Sequence,
        ])
        .filter(message::Column::EventId.is_in(any_of(ids)))
        .into_tuple()
        .all(tx)
        .await?;
    let place = |batch_id: Option<BatchId>, sequence: Option<i32>| {
        Some(Added {
            batch_id: batch_id?,
            sequence: sequence?,
        })
    };
    Ok(stored
        .into_iter()
        .filter_map(|(event, batch, sequence)| Some((event, place(batch, sequence)?)))
        .collect())
}

/// Raises the open batches of the messages' contacts, or opens them. Returns where
/// the first message of each contact goes.
///
/// On PostgreSQL this waits for a transaction that is just closing a batch, and then opens the next.
async fn raise<'a, C: ConnectionTrait>(
    tx: &C,
    messages: impl Iterator<Item = &'a Incoming>,
    now: DateTime<Utc>,
) -> Result<HashMap<ContactId, Added>, DbErr> {
    let mut raises: BTreeMap<&ContactId, Raise<'_>> = BTreeMap::new();
    for incoming in messages {
        let raise = raises.entry(&incoming.contact).or_insert_with(|| Raise {
            first: incoming,
            latest: incoming.route.clone(),
            messages: 0,
        });
        raise.messages += 1;
        raise.latest = later(&raise.latest, &incoming.route);
    }
    if raises.is_empty() {
        return Ok(HashMap::new());
    }
    let opened = opened(tx, raises.keys().copied()).await?;
    let rows = raises.iter().map(|(contact, raise)| {
        let last = opened.get(*contact).map(|opened| opened.last);
        ActiveModel {
            id: Set(BatchId::new(now)),
            contact_id: Set((*contact).clone()),
            location_id: Set(raise.latest.location_id.clone()),
            state: Set(State::Open),
            sequence: Set(raise.messages),
            channel: Set(raise.latest.channel.clone()),
            conversation_id: Set(raise.latest.conversation_id.clone()),
            conversation_provider_id: Set(raise.latest.conversation_provider_id.clone()),
            traceparent: Set(raise.first.traceparent.clone()),
            opened_at: Set(after(last, now)),
            last_message_at: Set(now),
            closed_at: Set(None),
            closed_by: Set(None),
            finished_at: Set(None),
            reason: Set(None),
            swept_at: Set(None),
            due_back_at: Set(None),
        }
    });
    let mut batches = Vec::with_capacity(raises.len());
    for rows in in_statements(rows) {
        let raised = Entity::insert_many(rows)
            .on_conflict(raise_the_open_one())
            .exec_with_returning(tx);
        batches.extend(raised.await?);
    }
    let first_place = |batch: super::Model| {
        let raise = raises.get(&batch.contact_id)?;
        let added = Added {
            batch_id: batch.id,
            sequence: batch.sequence - raise.messages + 1,
        };
        Some((batch.contact_id, added))
    };
    Ok(batches.into_iter().filter_map(first_place).collect())
}

/// The way of the later message; where it names no place, that of the earlier one.
fn later(earlier: &BatchRoute, later: &BatchRoute) -> BatchRoute {
    let mut route = later.clone();
    route.location_id = route.location_id.or_else(|| earlier.location_id.clone());
    route.conversation_id = route
        .conversation_id
        .or_else(|| earlier.conversation_id.clone());
    route
}

/// What a new batch does to the one that is open already. The index that keeps a contact from having
/// two is named by its own words, which PostgreSQL has to see when it plans.
fn raise_the_open_one() -> OnConflict {
    let theirs = |column| Expr::col((Entity, column));
    let ours = |column| Expr::col(("excluded", column));
    let named = |column| {
        let latest = Func::coalesce([ours(column), theirs(column)]);
        (column, Expr::from(latest))
    };
    OnConflict::column(Column::ContactId)
        .target_and_where(Expr::cust("state = 'open'"))
        .value(
            Column::Sequence,
            theirs(Column::Sequence).add(ours(Column::Sequence)),
        )
        .values([named(Column::LocationId), named(Column::ConversationId)])
        .update_columns([
            Column::Channel,
            Column::ConversationProviderId,
            Column::LastMessageAt,
        ])
        .to_owned()
}

/// `now`, or a microsecond (PostgreSQL's smallest step) after the contact's last batch opened if
/// this pod's clock is behind: "earlier" and "newer" batches are told by this time.
fn after(last: Option<DateTime<Utc>>, now: DateTime<Utc>) -> DateTime<Utc> {
    const MICROSECONDS: u16 = 6;
    let now = now.trunc_subsecs(MICROSECONDS);
    last.map_or(now, |last| Ord::max(now, last + TimeDelta::microseconds(1)))
}
