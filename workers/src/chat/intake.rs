//! Stores what HighLevel reports, and arms the timers that close batches.
//!
//! Reads `chat.intake`. Writes contacts, messages and batches, all in one transaction with the
//! record of the event, so running it twice stores nothing twice and arms the same timers again.
//! A parked message here was unreadable: compare it with contracts of HighLevel's payloads.

use broker::{Attempt, Failure, Handler, Outgoing, Unavailable, Verdict};
use clients::highlevel::Channel;
use crash_points::crash_point;
use entities::batch::BatchRoute;
use entities::message::{Author, Direction, NewMessage};
use entities::{BatchId, ContactId, batch, contact, message, processed_event, setting};
use messages::{ContactChanged, ContactDetails, Envelope, MessageReceived, event_type};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};

use super::opt_out::{Wish, wish};
use crate::follow_ups::{deadline_timer, quiet_timer};
use crate::halt::{Handled, settled};

const CONSUMER: &str = "chat.intake";

/// Stores messages and contacts.
pub(crate) struct Intake {
    pub(crate) db: DatabaseConnection,
    /// The wait where `/batch-config` has set none, in seconds.
    pub(crate) default_wait_seconds: u32,
    /// The longest that a talkative contact waits, in seconds.
    pub(crate) max_wait_seconds: u32,
}

impl Handler for Intake {
    async fn handle(&self, event: &Envelope, _: Attempt) -> Verdict {
        let handled = match event.event_type.as_str() {
            event_type::MESSAGE_RECEIVED => self.received(event).await,
            event_type::MESSAGE_SENT => self.sent(event).await,
            _ => self.contact_changed(event).await,
        };
        settled(&self.db, handled).await
    }

    async fn give_up(&self, _: &Envelope, _: &Failure) -> Result<Vec<Outgoing>, Unavailable> {
        // The transaction that failed has left nothing behind that could be marked.
        Ok(Vec::new())
    }
}

impl Intake {
    async fn received(&self, event: &Envelope) -> Handled {
        let data: MessageReceived = event.data()?;
        let contact_id = ContactId(data.contact_id.clone());
        let now = crate::time::now();
        let tx = entities::begin(&self.db).await?;
        let first = processed_event::record(&tx, CONSUMER, &event.id, now).await?;
        if !first {
            tx.commit().await?;
            return self.received_before(event, &contact_id).await;
        }
        contact::upsert(
            &tx,
            &contact_id,
            &details(&data.contact, data.location_id.as_deref()),
            now,
        )
        .await?;
        // Read again under the lock: the send of a reply waits for us, or we for it.
        let contact = contact::lock(&tx, &contact_id).await?;
        // From here on messages of this contact come one by one; so do the times of their batch.
        let now = crate::time::now();
        match wish(&data.text) {
            Some(Wish::OptOut) => {
                contact::set_opted_out(&tx, &contact_id, Some(data.sent_at), now).await?;
            }
            // An older START that comes late does not undo a STOP.
            Some(Wish::OptIn) => {
                let opted_out_at = contact.and_then(|contact| contact.opted_out_at);
                if opted_out_at.is_some_and(|opted_out_at| opted_out_at < data.sent_at) {
                    contact::set_opted_out(&tx, &contact_id, None, now).await?;
                }
            }
            None => {}
        }
        let message = new_message(event, &data, Direction::Inbound, Author::Contact);
        let answerable = Channel::from_webhook(&data.channel).is_some();
        let empty = data.text.trim().is_empty() && data.attachments.is_empty();
        if !answerable || empty {
            message::store_without_batch(&tx, &contact_id, message, now).await?;
            tx.commit().await?;
            return Ok(Verdict::Skipped(if answerable {
                "empty_message"
            } else {
                "channel_not_answered"
            }));
        }
        let route = BatchRoute {
            channel: data.channel,
            location_id: data.location_id,
            conversation_id: data.conversation_id,
            conversation_provider_id: data.conversation_provider_id,
        };
        let traceparent = broker::trace::current_traceparent();
        let added = batch::add_message(
            &tx,
            &contact_id,
            message,
            route,
            traceparent.as_deref(),
            now,
        )
        .await?;
        let wait_seconds = self.wait_seconds(&tx).await?;
        crash_point!("chat.intake.stored");
        tx.commit().await?;
        Ok(Verdict::Done(self.timers(
            &contact_id,
            added.batch_id,
            added.sequence,
            wait_seconds,
        )))
    }

    /// The same event again: the timers of its message, in case they were lost the first time.
    async fn received_before(&self, event: &Envelope, contact_id: &ContactId) -> Handled {
        let stored = message::find_by_event(&self.db, &event.id).await?;
        let place = stored.and_then(|message| Some((message.batch_id?, message.sequence?)));
        let Some((batch_id, sequence)) = place else {
            return Ok(Verdict::Duplicate(Vec::new()));
        };
        let batch = batch::find(&self.db, batch_id).await?;
        if batch.is_none_or(|batch| batch.state != batch::State::Open) {
            return Ok(Verdict::Duplicate(Vec::new()));
        }
        let wait_seconds = self.wait_seconds(&self.db).await?;
        Ok(Verdict::Duplicate(self.timers(
            contact_id,
            batch_id,
            sequence,
            wait_seconds,
        )))
    }

    /// The business wrote: a person of it takes the conversation over.
    async fn sent(&self, event: &Envelope) -> Handled {
        let data: MessageReceived = event.data()?;
        let author = match (&data.user_id, data.sent_from.as_deref()) {
            (Some(_), _) => Author::Person,
            // Our own replies come back as events; they are stored when they are sent.
            (None, Some("api") | None) => return Ok(Verdict::Skipped("own_message")),
            (None, Some(_)) => Author::Assistant,
        };
        let contact_id = ContactId(data.contact_id.clone());
        let now = crate::time::now();
        let tx = entities::begin(&self.db).await?;
        if !processed_event::record(&tx, CONSUMER, &event.id, now).await? {
            tx.commit().await?;
            return Ok(Verdict::Duplicate(Vec::new()));
        }
        contact::upsert(
            &tx,
            &contact_id,
            &details(&data.contact, data.location_id.as_deref()),
            now,
        )
        .await?;
        contact::lock(&tx, &contact_id).await?;
        if author == Author::Person {
            contact::mark_human_reply(&tx, &contact_id, data.sent_at, now).await?;
        }
        let message = new_message(event, &data, Direction::Outbound, author);
        message::store_without_batch(&tx, &contact_id, message, now).await?;
        tx.commit().await?;
        Ok(Verdict::Done(Vec::new()))
    }

    async fn contact_changed(&self, event: &Envelope) -> Handled {
        let data: ContactChanged = event.data()?;
        let contact_id = ContactId(data.contact_id);
        let now = crate::time::now();
        let tx = entities::begin(&self.db).await?;
        if !processed_event::record(&tx, CONSUMER, &event.id, now).await? {
            tx.commit().await?;
            return Ok(Verdict::Duplicate(Vec::new()));
        }
        contact::upsert(
            &tx,
            &contact_id,
            &details(&data.contact, data.location_id.as_deref()),
            now,
        )
        .await?;
        if data.dnd.is_some() || data.dnd_channels.is_some() {
            let current = contact::lock(&tx, &contact_id).await?;
            let (dnd, channels) = current
                .map(|contact| (contact.dnd, contact.dnd_channels.0))
                .unwrap_or_default();
            let dnd = data.dnd.unwrap_or(dnd);
            let channels = data.dnd_channels.unwrap_or(channels);
            contact::set_dnd(&tx, &contact_id, dnd, &channels, now).await?;
        }
        tx.commit().await?;
        Ok(Verdict::Done(Vec::new()))
    }

    async fn wait_seconds<C: ConnectionTrait>(&self, db: &C) -> Result<u32, DbErr> {
        Ok(setting::batch_wait_seconds(db)
            .await?
            .unwrap_or(self.default_wait_seconds))
    }

    fn timers(
        &self,
        contact: &ContactId,
        batch: BatchId,
        sequence: i32,
        wait_seconds: u32,
    ) -> Vec<Outgoing> {
        let mut timers = vec![quiet_timer(contact, batch, sequence, wait_seconds)];
        if sequence == 1 {
            timers.push(deadline_timer(
                contact,
                batch,
                self.max_wait_seconds.max(wait_seconds),
            ));
        }
        timers
    }
}

fn details(contact: &ContactDetails, location_id: Option<&str>) -> contact::Details {
    contact::Details {
        location_id: location_id.map(str::to_owned),
        first_name: contact.first_name.clone(),
        last_name: contact.last_name.clone(),
        full_name: contact.full_name.clone(),
        email: contact.email.clone(),
        phone: contact.phone.clone(),
    }
}

fn new_message(
    event: &Envelope,
    data: &MessageReceived,
    direction: Direction,
    author: Author,
) -> NewMessage {
    NewMessage {
        event_id: event.id.clone(),
        direction,
        author,
        provider_message_id: data.message_id.clone(),
        email_message_id: data.email_message_id.clone(),
        channel: data.channel.clone(),
        subject: data.subject.clone(),
        text: data.text.clone(),
        attachments: data.attachments.clone(),
        sent_at: data.sent_at,
    }
}
