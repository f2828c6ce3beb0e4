//! The CloudEvents 1.0 envelope (structured mode, JSON format) with the distributed-tracing
//! extension `traceparent`.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Content type of a message body: the JSON event format of CloudEvents 1.0.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

/// Data that belongs to one or more event types.
pub trait EventData: Serialize + DeserializeOwned {
    /// The event types whose `data` has this shape.
    const TYPES: &'static [&'static str];
}

/// One message: a CloudEvents 1.0 event whose data stays raw JSON until a handler asks for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Envelope {
    /// The CloudEvents version, `1.0`.
    pub specversion: String,
    /// Identifies the event: the same event delivered twice has the same id.
    pub id: String,
    /// Which part made the event, for example `/webhook/openai`.
    pub source: String,
    /// The event type, see [`crate::event_type`]. Also the routing key.
    #[serde(rename = "type")]
    pub event_type: String,
    /// What the event is about: a deal, response, contact, batch or job id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When the event was made.
    pub time: DateTime<Utc>,
    /// Always `application/json`.
    #[serde(default = "json_content_type")]
    pub datacontenttype: String,
    /// W3C trace context of the work that made the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The event's data as it was written.
    pub data: Box<RawValue>,
}

/// Why a message body could not be read. A retry can't help: the bytes stay as they are.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The body is not a CloudEvents JSON object.
    #[error("the message body is not a CloudEvents 1.0 JSON object ({0})")]
    Envelope(Place),
    /// A CloudEvents version that this build does not know.
    #[error("the message has CloudEvents version {0:?}; only \"1.0\" is known")]
    Version(String),
    /// The envelope is of a type that the reader has no handler for.
    #[error("the message has type {found:?}; expected one of {expected:?}")]
    Type {
        /// The type in the envelope.
        found: String,
        /// The types that the reader understands.
        expected: &'static [&'static str],
    },
    /// The data does not have the fields of its type.
    #[error("the data of {event_type:?} does not have the fields of its type ({place})")]
    Data {
        /// The type in the envelope.
        event_type: String,
        /// Where the parser stumbled.
        place: Place,
    },
}

/// Where JSON can't be read. The parser's own words would quote what stands there, and this goes into
/// logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1; 0 for a line break.
    pub column: usize,
}

impl Place {
    fn of(error: &serde_json::Error) -> Self {
        Self {
            line: error.line(),
            column: error.column(),
        }
    }

    fn after(before: &[u8]) -> Self {
        let mut lines = before.split(|byte| *byte == b'\n');
        let last = lines.next_back().unwrap_or_default();
        Self {
            line: lines.count() + 1,
            column: last.len() + 1,
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "line {}, column {}", self.line, self.column)
    }
}

impl Envelope {
    /// Wraps `data` as an event of type `event_type`, without a trace.
    ///
    /// # Panics
    /// Only if `data` can't be written as JSON, which none of this crate's types allow.
    #[must_use]
    pub fn new<T: Serialize>(
        event_type: &str,
        id: impl Into<String>,
        source: &str,
        time: DateTime<Utc>,
        data: &T,
    ) -> Self {
        let data = serde_json::value::to_raw_value(data)
            .expect("event data has string keys only, so it is always valid JSON");
        Self {
            specversion: "1.0".to_owned(),
            id: id.into(),
            source: source.to_owned(),
            event_type: event_type.to_owned(),
            subject: None,
            time,
            datacontenttype: json_content_type(),
            traceparent: None,
            data,
        }
    }

    /// Names what the event is about.
    #[must_use]
    pub fn with_subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Sets the W3C trace context.
    #[must_use]
    pub fn with_traceparent(mut self, traceparent: Option<String>) -> Self {
        self.traceparent = traceparent;
        self
    }

    /// Reads a message body. U+0000, which PostgreSQL takes in no text, becomes U+FFFD.
    ///
    /// # Errors
    /// [`DecodeError::Envelope`] or [`DecodeError::Version`] when the body is not ours to read.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        // JSON is UTF-8 throughout, also where the parser skips what it has no field for.
        let text = std::str::from_utf8(body)
            .map_err(|error| DecodeError::Envelope(Place::after(&body[..error.valid_up_to()])))?;
        let envelope: Self = serde_json::from_str(&without_nul(text))
            .map_err(|error| DecodeError::Envelope(Place::of(&error)))?;
        if envelope.specversion != "1.0" {
            return Err(DecodeError::Version(envelope.specversion));
        }
        Ok(envelope)
    }

    /// Writes the message body.
    ///
    /// # Panics
    /// Never: an envelope holds only strings and JSON that was valid before.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an envelope is always valid JSON")
    }

    /// Reads the data.
    ///
    /// # Errors
    /// [`DecodeError::Type`] when `T` does not belong to this event's type, [`DecodeError::Data`]
    /// when a field is missing or has the wrong kind of value.
    pub fn data<T: EventData>(&self) -> Result<T, DecodeError> {
        if !T::TYPES.contains(&self.event_type.as_str()) {
            return Err(DecodeError::Type {
                found: self.event_type.clone(),
                expected: T::TYPES,
            });
        }
        serde_json::from_str(self.data.get()).map_err(|error| DecodeError::Data {
            event_type: self.event_type.clone(),
            place: Place::of(&error),
        })
    }
}

/// The escape `\u0000` as `\ufffd`. A text that spells the escape out changes too, which harms nobody.
fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains("\\u0000") {
        Cow::Owned(text.replace("\\u0000", "\\ufffd"))
    } else {
        Cow::Borrowed(text)
    }
}

fn json_content_type() -> String {
    "application/json".to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{DecodeError, Envelope};
    use crate::MessageReceived;

    fn body(data: &serde_json::Value) -> Vec<u8> {
        let event = json!({
            "specversion": "1.0", "id": "e\0 1", "source": "/test", "time": "2026-11-22T12:00:00Z",
            "type": "highlevel.message.received", "data": data,
        });
        event.to_string().into_bytes()
    }

    #[test]
    fn a_decoded_event_holds_no_nul() {
        let event = Envelope::decode(&body(&json!({
            "contact_id": "a\0b", "channel": "SMS", "text": "one\0two",
            "sent_at": "2026-11-22T12:00:00Z",
        })));
        let event = event.unwrap();
        let message: MessageReceived = event.data().unwrap();
        assert_eq!(event.id, "e\u{fffd} 1");
        assert_eq!(message.contact_id, "a\u{fffd}b");
        assert_eq!(message.text, "one\u{fffd}two");
    }

    #[test]
    fn an_event_that_is_not_utf_8_is_unreadable_also_in_a_field_that_nobody_reads() {
        let text = br#"{"specversion": "1.0", "id": "e\u0000", "source": "/", "type": "t",
"time": "2026-11-22T12:00:00Z", "data": {}, "unknown": "#;
        let body = [&text[..], b"\"\xff\"}"].concat();
        let Err(DecodeError::Envelope(place)) = Envelope::decode(&body) else {
            panic!("it was read");
        };
        assert_eq!((place.line, place.column), (2, 57));
        let body = [&text[..], b"\"\"}"].concat();
        assert_eq!(Envelope::decode(&body).unwrap().id, "e\u{fffd}");
    }

    #[test]
    fn an_error_tells_the_place_and_not_what_stands_there() {
        let event = Envelope::decode(&body(&json!("my secret garden"))).unwrap();
        let error = event.data::<MessageReceived>().unwrap_err();
        assert!(matches!(error, DecodeError::Data { .. }));
        let unreadable = Envelope::decode(b"\"my secret garden\"").unwrap_err();
        for error in [error, unreadable] {
            let told = format!("{error} {error:?}");
            assert!(
                told.contains("line 1") && !told.contains("garden"),
                "{told}"
            );
        }
    }
}
