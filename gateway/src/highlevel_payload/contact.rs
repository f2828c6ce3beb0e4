//! Contacts: who an event is about, and what it says about them.

use messages::{ContactChanged, ContactDetails, event_type};
use serde_json::Value;

use super::PayloadError;
use super::fields::{flag, text, whole};

/// Statuses in `dndSettings` that mean: blocked (contracts/highlevel.md §2.4).
const BLOCKED: [&str; 2] = ["active", "permanent"];

/// Our type for an event about a contact, or `None` for other events.
pub(super) fn event_type(kind: &str) -> Option<&'static str> {
    match plain(kind).as_str() {
        "contactcreate" | "contactcreated" => Some(event_type::CONTACT_CREATED),
        "contactupdate" | "contactupdated" => Some(event_type::CONTACT_UPDATED),
        "contactdndupdate" | "contactdndupdated" => Some(event_type::CONTACT_DND_CHANGED),
        _ => None,
    }
}

/// Reads an event about a contact. The native ones have the contact's id in `id`.
pub(super) fn read(payload: &Value) -> Result<ContactChanged, PayloadError> {
    let pointer = if payload.get("contact").is_some() {
        "/contact/id"
    } else {
        "/id"
    };
    let contact_id = text(
        payload,
        &["/contactId", "/contact_id", "/contact/id", "/id"],
    )
    .ok_or(PayloadError::MissingContact { pointer })?;
    Ok(ContactChanged {
        contact_id,
        location_id: location_id(payload),
        contact: details(payload),
        dnd: flag(payload, &["/dnd", "/contact/dnd"]),
        dnd_channels: dnd_channels(payload),
        original: whole(payload),
    })
}

/// The contact's id, wherever a message or an unknown event has it.
pub(super) fn id_in_any_shape(payload: &Value) -> Option<String> {
    let pointers = [
        "/contactId",
        "/contact_id",
        "/contact/id",
        "/contact/contact_id",
        "/customData/contact_id",
        "/customData/contactId",
    ];
    text(payload, &pointers)
}

/// The location's id, wherever it is.
pub(super) fn location_id(payload: &Value) -> Option<String> {
    let pointers = [
        "/locationId",
        "/location_id",
        "/location/id",
        "/contact/locationId",
        "/customData/location_id",
        "/customData/locationId",
    ];
    text(payload, &pointers)
}

/// What is said about the contact.
pub(super) fn details(payload: &Value) -> ContactDetails {
    let find = |names: &[&str]| {
        let pointers: Vec<String> = ["", "/contact"]
            .iter()
            .flat_map(|place| names.iter().map(move |name| format!("{place}/{name}")))
            .collect();
        text(
            payload,
            &pointers.iter().map(String::as_str).collect::<Vec<_>>(),
        )
    };
    ContactDetails {
        first_name: find(&["firstName", "first_name"]),
        last_name: find(&["lastName", "last_name"]),
        full_name: find(&["fullName", "full_name", "name"]),
        email: find(&["email"]),
        phone: find(&["phone"]),
    }
}

fn dnd_channels(payload: &Value) -> Option<Vec<String>> {
    let settings = ["/dndSettings", "/contact/dndSettings"]
        .iter()
        .find_map(|pointer| payload.pointer(pointer)?.as_object())?;
    let is_blocked = |setting: &Value| {
        let status = setting
            .get("status")
            .and_then(Value::as_str)
            .unwrap_or_default();
        BLOCKED
            .iter()
            .any(|blocked| status.eq_ignore_ascii_case(blocked))
    };
    let blocked = settings.iter().filter(|(_, setting)| is_blocked(setting));
    Some(blocked.map(|(channel, _)| channel.clone()).collect())
}

/// Letters and digits in lower case: `ContactCreate`, `contact.create` and `contact_create` alike.
pub(super) fn plain(kind: &str) -> String {
    kind.chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_lowercase()
}
