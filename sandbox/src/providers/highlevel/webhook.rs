//! HighLevel's webhooks: flat JSON, Ed25519 over the raw body (contracts/highlevel.md section 2).

use serde_json::{Value, json};
use uuid::Uuid;

use super::store::{Contact, Message};
use crate::app::now_text;
use crate::keys;
use crate::providers::Provider;
use crate::webhooks::{SignedRequest, Webhook};

/// `InboundMessage` or `OutboundMessage`, by the message's direction.
pub(crate) fn message(message: &Message, contact: &Contact) -> Webhook {
    let event = if message.outbound {
        "OutboundMessage"
    } else {
        "InboundMessage"
    };
    let mut body = json!({
        "attachments": [], "body": message.body, "contactId": message.contact_id,
        "contentType": "text/plain", "conversationId": message.conversation_id,
        "dateAdded": message.date_added, "direction": message.direction(),
        "messageType": message.channel.replace('_', " "), "status": "delivered",
        "messageId": message.id,
    });
    let (ours, theirs) = ("+33199999999", contact.phone.as_str());
    body["from"] = json!(if message.outbound { ours } else { theirs });
    body["to"] = json!(if message.outbound { theirs } else { ours });
    if let Some(source) = message.source {
        body["source"] = json!(source);
    }
    if let Some(user_id) = &message.user_id {
        body["userId"] = json!(user_id);
    }
    webhook(event, body)
}

/// `ContactCreate`.
pub(crate) fn contact_created(contact: &Contact) -> Webhook {
    let mut body = contact.show();
    if let Some(fields) = body.as_object_mut() {
        fields.remove("dndSettings");
    }
    webhook("ContactCreate", body)
}

/// `ContactDndUpdate`.
pub(crate) fn dnd_updated(contact: &Contact) -> Webhook {
    webhook("ContactDndUpdate", contact.show())
}

/// An event of any other kind, as the account's owner may have subscribed to it.
pub(crate) fn other(event: &str, body: Value) -> Webhook {
    webhook(event, body)
}

fn webhook(event: &str, mut body: Value) -> Webhook {
    let id = Uuid::new_v4().to_string();
    body["type"] = json!(event);
    body["locationId"] = json!(keys::HIGHLEVEL_LOCATION_ID);
    body["appId"] = json!("worthless-sandbox-app");
    body["versionId"] = json!("worthless-sandbox-app");
    body["webhookId"] = json!(id);
    body["timestamp"] = json!(now_text());
    let body = body.to_string().into_bytes();
    let build = move |_attempt| SignedRequest {
        headers: vec![
            ("content-type", "application/json".to_owned()),
            ("x-ghl-signature", keys::sign_highlevel(&body)),
        ],
        body: body.clone(),
    };
    Webhook {
        provider: Provider::HighLevel,
        event: event.to_owned(),
        id,
        path: "/webhook/highlevel",
        build: Box::new(build),
    }
}
