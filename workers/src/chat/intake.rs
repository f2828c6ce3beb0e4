//! Stores what HighLevel reports, and arms the timers that close batches.
//!
//! Reads `chat.intake`. Writes contacts, messages and batches, all in one transaction with the
//! record of the event, so running it twice stores nothing twice and arms the same timers again.
//! A parked message here was unreadable: compare it with contracts of HighLevel's payloads.

use broker::{Attempt, Failure, Handler, Outgoing, Publisher, Unavailable, Verdict};
use entities::batch::Added;
use entities::message::{Author, Direction, NewMessage};
use entities::{ContactId, batch, contact, message, processed_event, setting};
use messages::{ContactChanged, ContactDetails, Envelope, MessageReceived, event_type};
use sea_orm::DatabaseConnection;

use super::store::{Received, Stored, store};
use super::timers::{self, BatchWaits};
use crate::group_commit::GroupCommit;
use crate::halt::{Handled, settled};

pub(super) const CONSUMER: &str = "chat.intake";

/// Stores messages and contacts.
pub(crate) struct Intake {
    pub(crate) db: DatabaseConnection,
    pub(crate) publisher: Publisher,
    pub(crate) waits: BatchWaits,
    /// Messages that come at once are stored together.
    pub(crate) storing: GroupCommit<Received, Stored>,
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
        let received = Received::read(event)?;
        let contact = received.contact().clone();
        let begin = || entities::begin(&self.db);
        let stored = self
            .storing
            .join(received, begin, |tx, group| store(tx, self.waits, group));
        Ok(match stored.await? {
            Stored::Before => return self.received_before(event, &contact).await,
            Stored::Unanswered(reason) => Verdict::Skipped(reason),
            Stored::Added(timers) => match timers.of_one() {
                Some(messages) => Verdict::Done(messages.to_vec()),
                None => match timers.arm(&self.publisher).await {
                    Ok(()) => Verdict::Done(Vec::new()),
                    Err(unavailable) => Verdict::Hold(unavailable),
                },
            },
        })
    }

    /// The same event again: the timers of its message, in case they were lost the first time.
    async fn received_before(&self, event: &Envelope, contact_id: &ContactId) -> Handled {
        let stored = message::find_by_event(&self.db, &event.id).await?;
        let place = stored.and_then(|message| {
            Some(Added {
                batch_id: message.batch_id?,
                sequence: message.sequence?,
            })
        });
        let Some(place) = place else {
            return Ok(Verdict::Duplicate(Vec::new()));
        };
        let batch = batch::find(&self.db, place.batch_id).await?;
        if batch.is_none_or(|batch| batch.state != batch::State::Open) {
            return Ok(Verdict::Duplicate(Vec::new()));
        }
        let set_seconds = setting::batch_wait_seconds(&self.db).await?;
        let own = self.waits.timers(contact_id, place, true, set_seconds);
        Ok(Verdict::Duplicate(timers::messages(own)))
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
}

pub(super) fn details(contact: &ContactDetails, location_id: Option<&str>) -> contact::Details {
    contact::Details {
        location_id: location_id.map(str::to_owned),
        first_name: contact.first_name.clone(),
        last_name: contact.last_name.clone(),
        full_name: contact.full_name.clone(),
        email: contact.email.clone(),
        phone: contact.phone.clone(),
    }
}

pub(super) fn new_message(
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
