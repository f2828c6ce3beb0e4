//! What HighLevel and its workflows send, in the three shapes of contracts/highlevel.md §2 and §3,
//! as JSON or form-encoded, read into one event.
//!
//! - the native webhooks: flat, `contactId`, `body`, `messageType`
//! - the workflow action: `contact_id`, `message: {type, body}`, `customData`
//! - the older bots: `type: "contact.reply"`, `contact: {id}`, `message: {content}` or a text
//!
//! Senders mix them, so each field is looked for in all the places where it has been seen.

mod channel;
mod contact;
mod fields;
mod form;
mod message;

use chrono::{DateTime, Utc};
use messages::{Envelope, highlevel_event_id};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::routes::unrouted_type;
use fields::text;

/// The types whose events have to name a contact, as HighLevel and the older bots write them. Other
/// spellings are read alike, but one without a contact may as well be an event of another kind.
const OF_CONTACTS: [&str; 8] = [
    "InboundMessage",
    "OutboundMessage",
    "ContactCreate",
    "ContactUpdate",
    "ContactDndUpdate",
    "contact.reply",
    "contact.created",
    "contact.updated",
];

/// One request, read.
#[derive(Debug)]
pub struct Reading {
    /// The contact that it is about; events that concern no contact have none.
    pub contact_id: Option<String>,
    /// The event to publish.
    pub event: Envelope,
}

/// Why a request could not be read. Sending it again does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// The body is neither a JSON object nor a form. Merge fields that hold quotes or line breaks
    /// break the JSON of the workflow action.
    #[error("the body is not a JSON object (line {line}, column {column})")]
    Malformed {
        /// Line of the first error, from 1; 0 where there is no such place.
        line: usize,
        /// Column of the first error.
        column: usize,
    },
    /// The contact's id is missing.
    #[error("the id of the contact is missing")]
    MissingContact {
        /// JSON pointer to where this shape has it.
        pointer: &'static str,
    },
}

/// Reads a request's body. `source` is the route, for the event's `source`.
///
/// # Errors
/// [`PayloadError`]
pub fn read(
    content_type: Option<&str>,
    body: &[u8],
    source: &str,
    received_at: DateTime<Utc>,
) -> Result<Reading, PayloadError> {
    // Workflow actions (and curl) may name the form's media type and send JSON all the same.
    let looks_like_json = body.trim_ascii_start().starts_with(b"{");
    let original = match content_type {
        Some("application/x-www-form-urlencoded") if !looks_like_json => form::read(body),
        _ => json(body)?,
    };
    let payload: Value = serde_json::from_str(original.get()).map_err(malformed)?;
    if !payload.is_object() {
        return Err(PayloadError::Malformed { line: 0, column: 0 });
    }
    Reader {
        payload: &payload,
        original: &original,
        source,
        received_at,
    }
    .read()
}

struct Reader<'a> {
    payload: &'a Value,
    original: &'a RawValue,
    source: &'a str,
    received_at: DateTime<Utc>,
}

impl Reader<'_> {
    fn read(&self) -> Result<Reading, PayloadError> {
        let kind = text(self.payload, &["/type"]);
        let reading = if let Some(event_type) = kind.as_deref().and_then(contact::event_type) {
            self.contact(event_type)
        } else if message::is_message(kind.as_deref(), self.payload) {
            self.message(kind.as_deref())
        } else {
            return self.other(kind.as_deref());
        };
        match reading {
            Err(PayloadError::MissingContact { .. }) if !self.is_of_contact() => {
                self.other(kind.as_deref())
            }
            reading => reading,
        }
    }

    fn is_of_contact(&self) -> bool {
        let kind = self.payload.get("type").and_then(Value::as_str);
        kind.is_some_and(|kind| OF_CONTACTS.contains(&kind))
    }

    fn contact(&self, event_type: &str) -> Result<Reading, PayloadError> {
        let change = contact::read(self.payload)?;
        let contact_id = change.contact_id.clone();
        let location = change.location_id.clone().unwrap_or_default();
        // Two changes of one contact within a minute differ in what they say.
        let id = self.id(
            None,
            event_type,
            &location,
            &contact_id,
            self.original.get(),
        );
        let event = Envelope::new(event_type, id, self.source, self.received_at, &change);
        Ok(Reading {
            event: event.with_subject(&contact_id),
            contact_id: Some(contact_id),
        })
    }

    fn message(&self, kind: Option<&str>) -> Result<Reading, PayloadError> {
        let (event_type, message) = message::read(kind, self.payload, self.received_at)?;
        let contact_id = message.contact_id.clone();
        let location = message.location_id.clone().unwrap_or_default();
        let message_id = message
            .message_id
            .as_deref()
            .or(message.email_message_id.as_deref());
        let id = self.id(
            message_id,
            event_type,
            &location,
            &contact_id,
            &message.text,
        );
        let event = Envelope::new(event_type, id, self.source, self.received_at, &message);
        Ok(Reading {
            event: event.with_subject(&contact_id),
            contact_id: Some(contact_id),
        })
    }

    /// Everything else is kept as it came.
    fn other(&self, kind: Option<&str>) -> Result<Reading, PayloadError> {
        let contact_id = contact::id_in_any_shape(self.payload);
        if kind.is_none() && contact_id.is_none() {
            return Err(PayloadError::MissingContact {
                pointer: "/contact_id",
            });
        }
        let event_type = unrouted_type("highlevel", kind.unwrap_or("workflow"));
        let location = contact::location_id(self.payload).unwrap_or_default();
        let subject = contact_id.as_deref().unwrap_or_default();
        let id = self.id(None, &event_type, &location, subject, self.original.get());
        let event = Envelope::new(
            &event_type,
            id,
            self.source,
            self.received_at,
            &self.original,
        );
        let event = match &contact_id {
            Some(contact_id) => event.with_subject(contact_id),
            None => event,
        };
        Ok(Reading { event, contact_id })
    }

    fn id(
        &self,
        message_id: Option<&str>,
        event_type: &str,
        location_id: &str,
        contact_id: &str,
        content: &str,
    ) -> String {
        let webhook_id = text(self.payload, &["/webhookId"]);
        highlevel_event_id(
            webhook_id.as_deref(),
            message_id,
            event_type,
            location_id,
            contact_id,
            content,
            self.received_at,
        )
    }
}

fn json(body: &[u8]) -> Result<Box<RawValue>, PayloadError> {
    serde_json::from_slice(body).map_err(malformed)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature that map_err wants"
)]
fn malformed(error: serde_json::Error) -> PayloadError {
    PayloadError::Malformed {
        line: error.line(),
        column: error.column(),
    }
}

#[cfg(test)]
mod tests;
