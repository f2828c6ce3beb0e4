//! The shapes in which HighLevel and its workflows write.

use chrono::{DateTime, TimeZone as _, Utc};
use messages::{ContactChanged, MessageReceived, event_type};
use serde_json::{Value, json};

use super::{OF_CONTACTS, PayloadError, Reading, read};

fn received_at() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 22, 12, 0, 30).unwrap()
}

fn read_json(payload: &Value) -> Result<Reading, PayloadError> {
    let body = payload.to_string();
    read(
        Some("application/json"),
        body.as_bytes(),
        "/webhook",
        received_at(),
    )
}

fn message(payload: &Value) -> (String, MessageReceived) {
    let event = read_json(payload).unwrap().event;
    (event.event_type.clone(), event.data().unwrap())
}

fn contact(payload: &Value) -> (String, ContactChanged) {
    let event = read_json(payload).unwrap().event;
    (event.event_type.clone(), event.data().unwrap())
}

#[test]
fn the_native_message_is_read_whole() {
    let payload = json!({
        "type": "InboundMessage", "locationId": "l1", "webhookId": "w1",
        "timestamp": "2026-11-22T12:00:01.000Z", "attachments": ["https://files.example/a.png"],
        "body": " Hi\nthere ", "contactId": "c1", "conversationId": "v1",
        "dateAdded": "2026-11-22T12:00:00.000Z", "direction": "inbound",
        "messageType": "WhatsApp", "messageId": "m1", "conversationProviderId": "p1",
        "novelty": {"nobody": "knows"},
    });
    let reading = read_json(&payload).unwrap();
    assert_eq!(reading.contact_id.as_deref(), Some("c1"));
    assert_eq!(reading.event.id, "w1");
    assert_eq!(reading.event.event_type, event_type::MESSAGE_RECEIVED);
    assert_eq!(reading.event.subject.as_deref(), Some("c1"));
    assert_eq!(reading.event.source, "/webhook");
    let data: MessageReceived = reading.event.data().unwrap();
    assert_eq!(data.text, " Hi\nthere ");
    assert_eq!(data.channel, "WhatsApp");
    assert_eq!(data.attachments, ["https://files.example/a.png"]);
    assert_eq!(data.location_id.as_deref(), Some("l1"));
    assert_eq!(data.conversation_id.as_deref(), Some("v1"));
    assert_eq!(data.message_id.as_deref(), Some("m1"));
    assert_eq!(data.conversation_provider_id.as_deref(), Some("p1"));
    assert_eq!(
        data.sent_at,
        Utc.with_ymd_and_hms(2026, 11, 22, 12, 0, 0).unwrap()
    );
    assert_eq!(Value::Object(data.original), payload);
}

#[test]
fn an_email_keeps_its_html_subject_and_thread() {
    let (_, data) = message(&json!({
        "type": "InboundMessage", "contactId": "c1", "body": "<p>Hi</p>", "messageType": "Email",
        "emailMessageId": "e1", "subject": "Question", "from": {}, "to": ["a@example.com"],
    }));
    assert_eq!(
        (data.text.as_str(), data.channel.as_str()),
        ("<p>Hi</p>", "Email")
    );
    assert_eq!(data.email_message_id.as_deref(), Some("e1"));
    assert_eq!(data.subject.as_deref(), Some("Question"));
}

#[test]
fn the_workflow_form_is_a_message() {
    let (event_type, data) = message(&json!({
        "contact_id": "c1", "first_name": "Ada", "last_name": "Lovelace",
        "full_name": "Ada Lovelace", "email": "ada@example.com", "phone": "+100",
        "location": {"id": "l1", "name": "Office"}, "contact": {"attributionSource": {}},
        "message": {"type": 2, "body": "Hello"},
        "customData": {"message_id": "m7"},
    }));
    assert_eq!(event_type, event_type::MESSAGE_RECEIVED);
    assert_eq!(
        (data.contact_id.as_str(), data.text.as_str()),
        ("c1", "Hello")
    );
    assert_eq!(data.channel, "SMS");
    assert_eq!(data.location_id.as_deref(), Some("l1"));
    assert_eq!(data.message_id.as_deref(), Some("m7"));
    assert_eq!(data.sent_at, received_at());
    assert_eq!(data.contact.first_name.as_deref(), Some("Ada"));
    assert_eq!(data.contact.full_name.as_deref(), Some("Ada Lovelace"));
    assert_eq!(data.contact.phone.as_deref(), Some("+100"));
}

#[test]
fn custom_data_may_hold_the_text() {
    let (_, data) = message(&json!({"contact_id": "c1", "customData": {"message": "Hello"}}));
    assert_eq!(data.text, "Hello");
}

#[test]
fn the_older_bots_form_is_a_message_with_an_object_or_a_text() {
    for written in [
        json!({"content": "Hello", "timestamp": "2026-11-22T12:00:00Z"}),
        json!("Hello"),
    ] {
        let (event_type, data) = message(&json!({
            "type": "contact.reply", "message": written,
            "contact": {"id": "c1", "email": "ada@example.com", "firstName": "Ada"},
        }));
        assert_eq!(event_type, event_type::MESSAGE_RECEIVED);
        assert_eq!(
            (data.contact_id.as_str(), data.text.as_str()),
            ("c1", "Hello")
        );
        assert_eq!(
            (data.channel.as_str(), data.contact.first_name.as_deref()),
            ("SMS", Some("Ada"))
        );
    }
}

#[test]
fn a_form_is_read_like_its_json() {
    let body = b"contact%5Bid%5D=c1&message%5Bbody%5D=Hello+there&message%5Btype%5D=3";
    let form = Some("application/x-www-form-urlencoded");
    let reading = read(form, body, "/webhook", received_at()).unwrap();
    let data: MessageReceived = reading.event.data().unwrap();
    assert_eq!(
        (data.text.as_str(), data.channel.as_str()),
        ("Hello there", "Email")
    );
    let reading = read(
        form,
        b"contact_id=c1&message=Hello",
        "/webhook",
        received_at(),
    )
    .unwrap();
    let data: MessageReceived = reading.event.data().unwrap();
    assert_eq!(
        (data.contact_id.as_str(), data.text.as_str()),
        ("c1", "Hello")
    );
}

#[test]
fn json_that_is_called_a_form_is_read_as_json() {
    let body = br#" {"contact_id":"c1","message":"a=b&c"}"#;
    let form = Some("application/x-www-form-urlencoded");
    let reading = read(form, body, "/webhook", received_at()).unwrap();
    let data: MessageReceived = reading.event.data().unwrap();
    assert_eq!(
        (data.contact_id.as_str(), data.text.as_str()),
        ("c1", "a=b&c")
    );
}

#[test]
fn whatever_calls_itself_outbound_was_sent() {
    for payload in [
        json!({"type": "OutboundMessage", "contactId": "c", "body": "b", "userId": "u", "source": "app"}),
        json!({"type": "OutboundMessage", "direction": "inbound", "contactId": "c", "userId": "u", "source": "app"}),
        json!({"type": "InboundMessage", "direction": "outbound", "contactId": "c", "userId": "u", "source": "app"}),
        json!({"contact_id": "c", "message": {"body": "b", "direction": "Outbound", "userId": "u", "source": "app"}}),
    ] {
        let (event_type, data) = message(&payload);
        assert_eq!(event_type, event_type::MESSAGE_SENT, "{payload}");
        assert_eq!(
            (data.user_id.as_deref(), data.sent_from.as_deref()),
            (Some("u"), Some("app"))
        );
    }
}

#[test]
fn a_message_without_words_is_accepted() {
    let (event_type, data) = message(
        &json!({"type": "InboundMessage", "contactId": "c", "messageType": "CALL", "body": null}),
    );
    assert_eq!(event_type, event_type::MESSAGE_RECEIVED);
    assert_eq!((data.text.as_str(), data.channel.as_str()), ("", "CALL"));
}

#[test]
fn contacts_have_their_id_in_id_or_in_an_object() {
    let (event_type, change) = contact(&json!({
        "type": "ContactCreate", "id": "c1", "locationId": "l1", "name": "Ada", "dnd": false,
    }));
    assert_eq!(
        (event_type.as_str(), change.contact_id.as_str()),
        (event_type::CONTACT_CREATED, "c1")
    );
    assert_eq!((change.dnd, change.dnd_channels), (Some(false), None));
    let (event_type, change) =
        contact(&json!({"type": "contact.created", "contact": {"id": "c2", "firstName": "Bo"}}));
    assert_eq!(
        (event_type.as_str(), change.contact_id.as_str()),
        (event_type::CONTACT_CREATED, "c2")
    );
    assert_eq!(change.contact.first_name.as_deref(), Some("Bo"));
    let (event_type, _) = contact(&json!({"type": "ContactUpdate", "id": "c1"}));
    assert_eq!(event_type, event_type::CONTACT_UPDATED);
}

#[test]
fn active_and_permanent_do_not_disturb_mean_blocked() {
    let (event_type, change) = contact(&json!({
        "type": "ContactDndUpdate", "id": "c1", "dnd": false,
        "dndSettings": {
            "SMS": {"status": "active"}, "Email": {"status": "inactive"},
            "WhatsApp": {"status": "permanent"},
        },
    }));
    assert_eq!(event_type, event_type::CONTACT_DND_CHANGED);
    let mut blocked = change.dnd_channels.unwrap();
    blocked.sort();
    assert_eq!(blocked, ["SMS", "WhatsApp"]);
}

#[test]
fn other_events_are_kept_as_they_came() {
    let body = br#"{"type":"ContactTagUpdate", "id":"c1",  "tags":["x"]}"#;
    let event = read(None, body, "/webhook", received_at()).unwrap().event;
    assert_eq!(event.event_type, "highlevel.contact_tag_update");
    assert_eq!(event.data.get().as_bytes(), body);
    let install = read_json(&json!({"type": "INSTALL", "webhookId": "w9"})).unwrap();
    assert_eq!(
        (install.contact_id, install.event.id.as_str()),
        (None, "w9")
    );
    let workflow = read_json(&json!({"contact_id": "c1", "workflow": {"id": "f"}})).unwrap();
    assert_eq!(workflow.event.event_type, "highlevel.workflow");
}

#[test]
fn an_unknown_type_with_a_contact_and_a_message_is_a_message() {
    let (event_type, _) = message(&json!({"type": "lead", "contact_id": "c", "message": "Hi"}));
    assert_eq!(event_type, event_type::MESSAGE_RECEIVED);
}

#[test]
fn a_missing_contact_is_said_where_its_shape_has_it() {
    for (payload, pointer) in [
        (
            json!({"type": "InboundMessage", "body": "Hi"}),
            "/contactId",
        ),
        (
            json!({"type": "contact.reply", "message": "Hi"}),
            "/contact/id",
        ),
        (json!({"type": "ContactCreate", "name": "Ada"}), "/id"),
        (
            json!({"type": "contact.created", "contact": {}}),
            "/contact/id",
        ),
        (json!({"message": "Hi", "contact_id": " "}), "/contact_id"),
        (json!({}), "/contact_id"),
    ] {
        let error = read_json(&payload).unwrap_err();
        assert_eq!(error, PayloadError::MissingContact { pointer }, "{payload}");
    }
}

#[test]
fn a_type_that_is_only_spelled_alike_needs_no_contact() {
    for (kind, event_type) in [
        ("inbound_message", "highlevel.inbound_message"),
        (" InboundMessage", "highlevel.inbound_message"),
        ("CONTACT.CREATED", "highlevel.unknown.contact.created"),
    ] {
        let reading = read_json(&json!({"type": kind, "body": "Hi"})).unwrap();
        assert_eq!(
            (reading.contact_id, reading.event.event_type.as_str()),
            (None, event_type)
        );
    }
    let with_contact = json!({"type": "inbound_message", "contactId": "c", "body": "Hi"});
    assert_eq!(message(&with_contact).0, event_type::MESSAGE_RECEIVED);
}

#[test]
fn the_description_asks_the_same_types_for_a_contact() {
    let schemas = &crate::contract::DOCUMENT["components"]["schemas"];
    let event = &schemas["HighLevelOtherEvent"]["properties"]["type"];
    let form = schemas["HighLevelForm"]["anyOf"].as_array().unwrap();
    let form = form.iter().find_map(|one| one["properties"].get("type"));
    for described in [event, form.unwrap()] {
        assert_eq!(described["not"]["enum"], json!(OF_CONTACTS));
    }
}

#[test]
fn broken_json_is_told_with_its_place() {
    let body = b"{\"contact_id\":\"c\",\n\"message\":\"say \"hi\"\"}";
    let error = read(None, body, "/webhook", received_at()).unwrap_err();
    assert!(
        matches!(error, PayloadError::Malformed { line: 2, .. }),
        "{error:?}"
    );
    let error = read(None, b"[]", "/webhook", received_at()).unwrap_err();
    assert!(matches!(error, PayloadError::Malformed { .. }), "{error:?}");
}

#[test]
fn the_same_workflow_call_within_a_minute_is_the_same_event() {
    let payload = json!({"contact_id": "c", "message": "Hi"});
    let id = |payload: &Value| read_json(payload).unwrap().event.id;
    assert_eq!(id(&payload), id(&payload));
    assert_ne!(
        id(&payload),
        id(&json!({"contact_id": "c", "message": "Hi again"}))
    );
}
