//! Messages, in either direction.

use chrono::{DateTime, Utc};
use messages::{MessageReceived, event_type};
use serde_json::Value;

use super::PayloadError;
use super::channel;
use super::contact::{details, id_in_any_shape, location_id, plain};
use super::fields::{text, time, whole, words};

/// Where the words of a message have been seen. A text in `/message` itself counts too.
const WORDS: [&str; 11] = [
    "/body",
    "/message/body",
    "/message/content",
    "/message/text",
    "/message",
    "/message_body",
    "/customData/message",
    "/customData/message_body",
    "/customData/messageBody",
    "/customData/body",
    "/customData/text",
];

const CHANNELS: [&str; 9] = [
    "/messageType",
    "/messageTypeString",
    "/messageTypeId",
    "/message/type",
    "/message/messageType",
    "/message/channel",
    "/message_type",
    "/channel",
    "/customData/channel",
];

const MESSAGE_IDS: [&str; 8] = [
    "/messageId",
    "/message_id",
    "/message/id",
    "/message/messageId",
    "/message/message_id",
    "/customData/message_id",
    "/customData/messageId",
    "/customData/message/id",
];

/// Whether this is a message: by its type, or, whatever its type says, because it names a contact
/// and has a message.
pub(super) fn is_message(kind: Option<&str>, payload: &Value) -> bool {
    let by_type = matches!(
        kind.map(plain).as_deref(),
        Some("inboundmessage" | "outboundmessage" | "contactreply")
    );
    let has_message = || {
        payload
            .get("message")
            .is_some_and(|message| !message.is_null())
            || words(payload, &WORDS).is_some()
    };
    by_type || (id_in_any_shape(payload).is_some() && has_message())
}

/// Reads a message and says whether it was received or sent.
pub(super) fn read(
    kind: Option<&str>,
    payload: &Value,
    received_at: DateTime<Utc>,
) -> Result<(&'static str, MessageReceived), PayloadError> {
    let contact_id = id_in_any_shape(payload).ok_or(PayloadError::MissingContact {
        pointer: match kind.map(plain).as_deref() {
            Some("inboundmessage" | "outboundmessage") => "/contactId",
            Some("contactreply") => "/contact/id",
            _ => "/contact_id",
        },
    })?;
    let sent = is_outbound(kind, payload);
    let message = MessageReceived {
        contact_id,
        location_id: location_id(payload),
        conversation_id: text(
            payload,
            &[
                "/conversationId",
                "/conversation_id",
                "/message/conversationId",
                "/conversation/id",
            ],
        ),
        message_id: text(payload, &MESSAGE_IDS),
        email_message_id: text(payload, &["/emailMessageId", "/message/emailMessageId"]),
        channel: text(payload, &CHANNELS)
            .map_or_else(|| "SMS".to_owned(), |given| channel::name(&given)),
        conversation_provider_id: text(
            payload,
            &["/conversationProviderId", "/message/conversationProviderId"],
        ),
        subject: text(payload, &["/subject", "/message/subject"]),
        text: words(payload, &WORDS).unwrap_or_default(),
        attachments: attachments(payload),
        user_id: sent
            .then(|| text(payload, &["/userId", "/message/userId"]))
            .flatten(),
        sent_from: sent
            .then(|| text(payload, &["/source", "/message/source"]))
            .flatten(),
        sent_at: time(
            payload,
            &[
                "/dateAdded",
                "/message/dateAdded",
                "/message/timestamp",
                "/timestamp",
            ],
        )
        .unwrap_or(received_at),
        contact: details(payload),
        original: whole(payload),
    };
    let event_type = if sent {
        event_type::MESSAGE_SENT
    } else {
        event_type::MESSAGE_RECEIVED
    };
    Ok((event_type, message))
}

/// Some published samples disagree with themselves; a message that anything calls outbound is never
/// answered.
fn is_outbound(kind: Option<&str>, payload: &Value) -> bool {
    let is_outbound = |text: &str| text.eq_ignore_ascii_case("outbound");
    let direction = |pointer| payload.pointer(pointer).and_then(Value::as_str);
    kind.map(plain).as_deref() == Some("outboundmessage")
        || direction("/direction").is_some_and(is_outbound)
        || direction("/message/direction").is_some_and(is_outbound)
        || direction("/customData/direction").is_some_and(is_outbound)
}

/// Addresses, as texts or as objects with a `url`.
fn attachments(payload: &Value) -> Vec<String> {
    let list = ["/attachments", "/message/attachments"]
        .iter()
        .find_map(|pointer| {
            payload
                .pointer(pointer)?
                .as_array()
                .filter(|list| !list.is_empty())
        });
    let address = |item: &Value| {
        let text = item.as_str().or_else(|| item.get("url")?.as_str())?;
        (!text.trim().is_empty()).then(|| text.trim().to_owned())
    };
    list.into_iter().flatten().filter_map(address).collect()
}
