//! Plays the contacts and the people of the business.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Answer, parse};
use crate::app::{App, lock};
use crate::providers::highlevel::store::Author;
use crate::providers::highlevel::webhook;
use crate::webhooks::{self, Deliver, DeliveryMode, Webhook};

/// How the account behaves; what is left out stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    nested_messages: Option<bool>,
    echo_outbound: Option<bool>,
}

/// `POST /sandbox/highlevel`.
pub(crate) async fn set(State(app): State<Arc<App>>, body: Bytes) -> Answer {
    let settings: Settings = parse(&body)?;
    let mut store = lock(&app.highlevel);
    store.nested_messages = settings.nested_messages.unwrap_or(store.nested_messages);
    store.echo_outbound = settings.echo_outbound.unwrap_or(store.echo_outbound);
    Ok(Json(json!({"nested_messages": store.nested_messages,
                   "echo_outbound": store.echo_outbound})))
}

/// A contact to create.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateContact {
    id: String,
    first_name: Option<String>,
    last_name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
}

/// `POST /sandbox/highlevel/contacts`: sends `ContactCreate`.
pub(crate) async fn create_contact(State(app): State<Arc<App>>, body: Bytes) -> Answer {
    let wanted: CreateContact = parse(&body)?;
    let (shown, webhook) = {
        let mut store = lock(&app.highlevel);
        let contact = store.contact(&wanted.id);
        let set = |field: &mut String, value: Option<String>| {
            if let Some(value) = value {
                *field = value;
            }
        };
        set(&mut contact.first_name, wanted.first_name);
        set(&mut contact.last_name, wanted.last_name);
        set(&mut contact.email, wanted.email);
        set(&mut contact.phone, wanted.phone);
        (contact.show(), webhook::contact_created(contact))
    };
    let deliveries = send(&app, webhook, None).await;
    Ok(Json(json!({"contact": shown, "deliveries": deliveries})))
}

/// A message of a contact or of a person of the business.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Write {
    text: String,
    /// As webhooks name it (default `SMS`).
    #[serde(default = "sms")]
    channel: String,
    /// The person who answers by hand.
    #[serde(default = "some_user")]
    user_id: String,
    /// How this one webhook is delivered, in place of the usual way.
    deliver: Option<Deliver>,
    #[serde(default)]
    delay_ms: u64,
}

/// `POST /sandbox/highlevel/contacts/{id}/messages`: the contact writes.
pub(crate) async fn write(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Answer {
    let message: Write = parse(&body)?;
    add(&app, &id, message, Author::Contact).await
}

/// `POST /sandbox/highlevel/contacts/{id}/human-reply`: a person of the business answers.
pub(crate) async fn human_reply(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Answer {
    let message: Write = parse(&body)?;
    let author = Author::Person(message.user_id.clone());
    add(&app, &id, message, author).await
}

async fn add(app: &Arc<App>, contact_id: &str, write: Write, author: Author) -> Answer {
    let (message, webhook) = {
        let mut store = lock(&app.highlevel);
        let contact = store.contact(contact_id).clone();
        let message = store.add(contact_id, &write.channel, &write.text, author);
        let webhook = webhook::message(&message, &contact);
        (message.show(), webhook)
    };
    let mode = write.deliver.map(|deliver| DeliveryMode {
        deliver,
        delay_ms: write.delay_ms,
    });
    let webhook_id = webhook.id.clone();
    let deliveries = send(app, webhook, mode).await;
    Ok(Json(
        json!({"message": message, "webhook_id": webhook_id, "deliveries": deliveries}),
    ))
}

/// Do-not-disturb for one channel, or for all.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetDnd {
    /// For every channel (default true when no channel is named).
    dnd: Option<bool>,
    channel: Option<String>,
    /// `active` (blocked, the default), `inactive` or `permanent`.
    status: Option<String>,
}

/// `POST /sandbox/highlevel/contacts/{id}/dnd`: sends `ContactDndUpdate`.
pub(crate) async fn set_dnd(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Answer {
    let change: SetDnd = parse(&body)?;
    let (shown, webhook) = {
        let mut store = lock(&app.highlevel);
        let contact = store.contact(&id);
        match change.channel {
            Some(channel) => {
                let status = change.status.unwrap_or_else(|| "active".to_owned());
                contact.dnd_settings.insert(channel, status);
                contact.dnd = change.dnd.unwrap_or(contact.dnd);
            }
            None => contact.dnd = change.dnd.unwrap_or(true),
        }
        (contact.show(), webhook::dnd_updated(contact))
    };
    let deliveries = send(&app, webhook, None).await;
    Ok(Json(json!({"contact": shown, "deliveries": deliveries})))
}

/// An event of a kind that has no route of its own here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SendEvent {
    /// As webhooks name it: `OpportunityCreate`.
    r#type: String,
    /// The fields of its body, beside those that every webhook has.
    #[serde(default)]
    fields: Map<String, Value>,
}

/// `POST /sandbox/highlevel/events`.
pub(crate) async fn send_event(State(app): State<Arc<App>>, body: Bytes) -> Answer {
    let event: SendEvent = parse(&body)?;
    let webhook = webhook::other(&event.r#type, Value::Object(event.fields));
    let deliveries = send(&app, webhook, None).await;
    Ok(Json(json!({"deliveries": deliveries})))
}

async fn send(
    app: &Arc<App>,
    webhook: Webhook,
    mode: Option<DeliveryMode>,
) -> Vec<webhooks::Attempt> {
    webhooks::send(app, webhook, mode).wait().await
}

fn sms() -> String {
    "SMS".to_owned()
}

fn some_user() -> String {
    "sandbox-user".to_owned()
}
