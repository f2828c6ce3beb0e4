//! Bodies of webhooks. What is accepted becomes an event that the workers can read.

use gateway::highlevel_payload;
use gateway::readers;
use gateway::verify::OpenAiDelivery;
use messages::{
    ContactChanged, DealStageChanged, Envelope, MessageReceived, ResponseEnded, event_type,
};

use crate::{first_line, now};

const ENDED: [&str; 4] = [
    event_type::RESPONSE_COMPLETED,
    event_type::RESPONSE_FAILED,
    event_type::RESPONSE_INCOMPLETE,
    event_type::RESPONSE_CANCELLED,
];

/// The media type in the first line (empty: none), then the body.
pub(crate) fn chat_payload(data: &[u8]) {
    let (media_type, body) = first_line(data);
    let media_type = std::str::from_utf8(media_type).ok();
    let media_type = media_type.filter(|name| !name.is_empty());
    let read = || highlevel_payload::read(media_type, body, "/webhook/highlevel", now());
    let Ok(reading) = read() else {
        return;
    };
    let again = read().expect("the same bytes are read again");
    assert_eq!(
        again.event.id, reading.event.id,
        "the same event has the same id"
    );
    let event = sent(&reading.event);
    match event.event_type.as_str() {
        event_type::MESSAGE_RECEIVED | event_type::MESSAGE_SENT => {
            let message: MessageReceived = event.data().expect("a message can be read");
            assert!(!message.contact_id.is_empty() && !message.channel.is_empty());
            assert!(reading.contact_id.is_some());
        }
        event_type::CONTACT_CREATED
        | event_type::CONTACT_UPDATED
        | event_type::CONTACT_DND_CHANGED => {
            let contact: ContactChanged = event.data().expect("a contact can be read");
            assert!(!contact.contact_id.is_empty());
        }
        other => assert!(other.starts_with("highlevel."), "{other}"),
    }
}

/// The array that HubSpot posts.
pub(crate) fn hubspot_events(data: &[u8]) {
    let Ok(events) = readers::hubspot_events(data, now()) else {
        return;
    };
    assert!(events.len() <= 100);
    for event in &events {
        let event = sent(event);
        if event.event_type == event_type::DEAL_STAGE_CHANGED {
            let change: DealStageChanged = event.data().expect("a change can be read");
            assert!(!change.stage.is_empty());
        } else {
            assert!(event.event_type.starts_with("hubspot."));
        }
    }
}

/// The event that OpenAI posts.
pub(crate) fn openai_event(data: &[u8]) {
    let delivery = OpenAiDelivery {
        webhook_id: "wh_1".to_owned(),
        body: data.to_vec().into(),
    };
    let Ok(event) = readers::openai_event(&delivery, now()) else {
        return;
    };
    let event = sent(&event);
    assert_eq!(event.id, "wh_1");
    assert!(event.event_type.starts_with("openai."));
    if ENDED.contains(&event.event_type.as_str()) {
        let ended: ResponseEnded = event.data().expect("an ended response can be read");
        assert!(!ended.response_id.is_empty());
    }
}

/// The event as a worker gets it. Its type is a routing key: AMQP takes 255 bytes.
fn sent(event: &Envelope) -> Envelope {
    assert!(!event.id.is_empty() && !event.event_type.is_empty());
    assert!(event.event_type.len() <= 255, "{}", event.event_type);
    Envelope::decode(&event.encode()).expect("what the gateway writes can be read")
}
