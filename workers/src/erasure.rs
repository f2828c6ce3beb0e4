//! Deleting what is stored about one contact, on request.
//!
//! Rows first, then parked messages. Running it again is harmless, and finds what came in between.

use std::collections::BTreeMap;
use std::time::Duration;

use broker::{
    BrokerSettings, DeadLetter, DeadLetterError, DeadLetters, DepthError, Depths, ParkingLot,
    WorkQueue,
};
use chrono::Utc;
use entities::erasure::{Erasure, Stored, erase, stored};
use entities::{BatchId, ContactId, parked_message};
use messages::Envelope;
use sea_orm::{DatabaseConnection, DbErr};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::chat::reply::IN_FLIGHT;

/// How often it looks whether a reply that is being sent has gone out.
const INTERVAL: Duration = Duration::from_secs(2);

/// How long it looks: longer than a send takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The queues whose messages can be about a contact.
const QUEUES: [WorkQueue; 4] = [
    WorkQueue::ChatIntake,
    WorkQueue::ChatFlush,
    WorkQueue::ChatReply,
    WorkQueue::NotificationDelivery,
];

/// Deletes what is stored about a contact.
pub struct Eraser {
    pub(crate) db: DatabaseConnection,
    pub(crate) broker: BrokerSettings,
}

/// What was deleted or, in a dry run, would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erased {
    /// What the database held.
    pub stored: Stored,
    /// Parked messages of the contact, by the queue they were in.
    pub parked: BTreeMap<String, u64>,
    /// Queues in which messages wait that may be about the contact, with the number of all that wait
    /// there. Messages in delay lanes can't be told apart at all.
    pub waiting: BTreeMap<String, u64>,
}

/// Why nothing, or not everything, was deleted. A retry can help.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// The database did not answer.
    #[error("the rows could not be deleted")]
    Rows(#[from] DbErr),
    /// The broker did not answer.
    #[error("the parked messages could not be deleted")]
    Parked(#[from] DeadLetterError),
    /// The broker did not answer.
    #[error("the messages that wait could not be counted")]
    Waiting(#[from] DepthError),
    /// Nothing was deleted.
    #[error("a reply to batch {0} has been on its way for a minute; nothing was deleted")]
    ReplyOnItsWay(BatchId),
}

impl Eraser {
    /// Deletes, or with `dry_run` says what would be deleted.
    ///
    /// # Errors
    /// [`EraseError`]; run it again then.
    pub async fn erase(&self, contact: &ContactId, dry_run: bool) -> Result<Erased, EraseError> {
        let stored = if dry_run {
            stored(&self.db, contact).await?
        } else {
            self.erase_rows(contact).await?
        };
        let letters = DeadLetters::connect(&self.broker).await?;
        let mut parked = BTreeMap::new();
        for lot in QUEUES
            .map(ParkingLot::Of)
            .into_iter()
            .chain([ParkingLot::Unrouted])
        {
            let about = |letter: &DeadLetter| is_about(letter, contact.as_str());
            let found = if dry_run {
                let mut found = letters.list(lot).await?;
                found.retain(about);
                found
            } else {
                letters.purge(lot, about).await?
            };
            if let (ParkingLot::Of(queue), false) = (lot, dry_run) {
                for id in found.iter().filter_map(|letter| letter.id.as_deref()) {
                    parked_message::strike_out(&self.db, queue.name(), id).await?;
                }
            }
            if !found.is_empty() {
                parked.insert(lot.name(), found.len() as u64);
            }
        }
        let depths = Depths::connect(&self.broker).await?;
        let mut waiting = BTreeMap::new();
        for queue in QUEUES {
            let count = depths.waiting(queue).await?;
            if count > 0 {
                waiting.insert(queue.name().to_owned(), count);
            }
        }
        Ok(Erased {
            stored,
            parked,
            waiting,
        })
    }

    /// Waits until no reply is being sent: who sends it would write its text down again.
    async fn erase_rows(&self, contact: &ContactId) -> Result<Stored, EraseError> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            match erase(&self.db, contact, Utc::now() - IN_FLIGHT).await? {
                Erasure::Erased(stored) => return Ok(stored),
                Erasure::ReplyOnItsWay(batch) if Instant::now() > give_up => {
                    return Err(EraseError::ReplyOnItsWay(batch));
                }
                Erasure::ReplyOnItsWay(_) => sleep(INTERVAL).await,
            }
        }
    }
}

/// Whether a parked message names the contact. In a body that can't be read, its id anywhere counts.
fn is_about(letter: &DeadLetter, contact: &str) -> bool {
    match Envelope::decode(&letter.body) {
        Ok(event) => {
            let data = serde_json::from_str(event.data.get()).unwrap_or_default();
            event.subject.as_deref() == Some(contact) || names(&data, contact)
        }
        Err(_) => String::from_utf8_lossy(&letter.body).contains(contact),
    }
}

/// Our events and HighLevel's own payloads name a contact `contact_id` or `contactId`; events about
/// contacts name it `id`, at the top or in `contact`.
fn names(value: &Value, contact: &str) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            let is_id = ["contact_id", "contactId", "id"].contains(&name.as_str());
            (is_id && value == contact) || names(value, contact)
        }),
        Value::Array(values) => values.iter().any(|value| names(value, contact)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::names;

    #[test]
    fn a_message_is_about_the_contact_it_names_and_not_about_one_it_mentions() {
        for about in [
            json!({"contact_id": "ada", "text": "Hello"}),
            json!({"type": "ContactTagUpdate", "id": "ada"}),
            json!({"payload": {"contact": {"id": "ada"}}}),
            json!([{"contactId": "ada"}]),
        ] {
            assert!(names(&about, "ada"), "{about}");
        }
        for other in [
            json!({"contact_id": "grace", "text": "ada"}),
            json!({"contact_id": "ada2"}),
            json!(null),
        ] {
            assert!(!names(&other, "ada"), "{other}");
        }
    }
}
