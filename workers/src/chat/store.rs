//! Stores what contacts have written: of several messages at once, all in one transaction with the
//! records of their events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use clients::highlevel::Channel;
use crash_points::crash_point;
use entities::batch::{BatchRoute, Incoming};
use entities::message::{Author, Direction};
use entities::{ContactId, Transaction, batch, contact, message, processed_event, setting};
use messages::{DecodeError, Envelope, MessageReceived};
use sea_orm::{ConnectionTrait, DbErr};

use super::intake::{CONSUMER, details, new_message};
use super::opt_out::{Wish, wish};
use super::timers::{BatchWaits, Together};

/// A message of a contact, as its event tells it.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    incoming: Incoming,
    details: contact::Details,
    wish: Option<Wish>,
    /// Why nobody answers it.
    unanswered: Option<&'static str>,
}

/// What became of a message.
#[derive(Debug)]
pub(crate) enum Stored {
    /// Its event was taken before.
    Before,
    /// It is kept, and nobody answers it.
    Unanswered(&'static str),
    /// It is in a batch; these are the timers of all that were added with it.
    Added(Arc<Together>),
}

impl Received {
    pub(super) fn read(event: &Envelope) -> Result<Self, DecodeError> {
        let data: MessageReceived = event.data()?;
        let message = new_message(event, &data, Direction::Inbound, Author::Contact);
        let empty = data.text.trim().is_empty() && data.attachments.is_empty();
        Ok(Self {
            details: details(&data.contact, data.location_id.as_deref()),
            wish: wish(&data.text),
            unanswered: match Channel::from_webhook(&data.channel) {
                None => Some("channel_not_answered"),
                Some(_) if empty => Some("empty_message"),
                Some(_) => None,
            },
            incoming: Incoming {
                contact: ContactId(data.contact_id),
                message,
                route: BatchRoute {
                    channel: data.channel,
                    location_id: data.location_id,
                    conversation_id: data.conversation_id,
                    conversation_provider_id: data.conversation_provider_id,
                },
                traceparent: broker::trace::current_traceparent(),
            },
        })
    }

    pub(super) fn contact(&self) -> &ContactId {
        &self.incoming.contact
    }
}

/// Stores the messages, and says what became of each.
pub(super) async fn store(
    tx: Transaction,
    waits: BatchWaits,
    group: Vec<Received>,
) -> Result<Vec<Stored>, DbErr> {
    let ids: Vec<&str> = group
        .iter()
        .map(|received| received.incoming.message.event_id.as_str())
        .collect();
    let now = crate::time::now();
    let first = processed_event::record_all(&tx, CONSUMER, &ids, now).await?;
    let new: Vec<&Received> = group
        .iter()
        .zip(&first)
        .filter_map(|(received, first)| first.then_some(received))
        .collect();
    let mut contacts: BTreeMap<&ContactId, contact::Details> = BTreeMap::new();
    for received in &new {
        let known = contacts.entry(received.contact()).or_default();
        known.overwrite_with(&received.details);
    }
    contact::upsert_all(&tx, contacts.iter().map(|(id, known)| (*id, known)), now).await?;
    // From here on the contacts are held: the send of a reply waits for us, or we for it, and the
    // messages of a contact come one by one; so do the times of their batch.
    let now = crate::time::now();
    let mut incoming = Vec::with_capacity(new.len());
    for received in new {
        heed(&tx, received, now).await?;
        if received.unanswered.is_none() {
            incoming.push(received.incoming.clone());
        } else {
            let message = received.incoming.message.clone();
            message::store_without_batch(&tx, received.contact(), message, now).await?;
        }
    }
    let places = batch::add_messages(&tx, incoming, now).await?;
    let wait_seconds = setting::batch_wait_seconds(&tx).await?;
    crash_point!("chat.intake.stored");
    tx.commit().await?;

    // From the last one back: whose batch has been seen was not the latest.
    let mut seen = BTreeSet::new();
    let mut places = places.into_iter().rev();
    let mut timers = Vec::new();
    // `None`: added, and to get the timers of all, once they are known.
    let mut stored: Vec<Option<Stored>> = Vec::with_capacity(group.len());
    for (received, first) in group.iter().zip(first).rev() {
        stored.push(match (received.unanswered, first) {
            (_, false) => Some(Stored::Before),
            (Some(reason), true) => Some(Stored::Unanswered(reason)),
            (None, true) => {
                let place = places.next().ok_or_else(without_place)?;
                let latest = seen.insert(place.batch_id);
                let own = waits.timers(received.contact(), place, latest, wait_seconds);
                let traceparent = &received.incoming.traceparent;
                let own = own.into_iter();
                timers.extend(own.map(|timer| timer.in_trace(traceparent.clone())));
                None
            }
        });
    }
    let added = stored.iter().filter(|answer| answer.is_none()).count();
    let together = Arc::new(Together::of(added, timers));
    let answers = stored.into_iter().rev();
    Ok(answers
        .map(|answer| answer.unwrap_or_else(|| Stored::Added(together.clone())))
        .collect())
}

fn without_place() -> DbErr {
    DbErr::Custom("a message that was added has no place in a batch".to_owned())
}

/// Keeps what the message says about further ones.
async fn heed<C: ConnectionTrait>(
    tx: &C,
    received: &Received,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let (id, sent_at) = (received.contact(), received.incoming.message.sent_at);
    match received.wish {
        Some(Wish::OptOut) => contact::set_opted_out(tx, id, Some(sent_at), now).await,
        // An older START that comes late does not undo a STOP.
        Some(Wish::OptIn) => {
            let contact = contact::find(tx, id).await?;
            let opted_out_at = contact.and_then(|contact| contact.opted_out_at);
            if opted_out_at.is_some_and(|opted_out_at| opted_out_at < sent_at) {
                contact::set_opted_out(tx, id, None, now).await?;
            }
            Ok(())
        }
        None => Ok(()),
    }
}
