//! The conversation and contact calls (contracts/highlevel.md sections 4 and 5).

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::{ApiError, bad_request, for_status, unprocessable};
use super::store::{Author, Message, conversation_id};
use super::webhook;
use crate::app::{App, lock};
use crate::effects::EffectKind;
use crate::keys;
use crate::providers::Provider;
use crate::webhooks::{self, Deliver};

type Answer = Result<Json<Value>, ApiError>;

const CHANNELS: [&str; 10] = [
    "SMS",
    "RCS",
    "Email",
    "WhatsApp",
    "IG",
    "FB",
    "Custom",
    "Live_Chat",
    "TIKTOK",
    "InternalComment",
];
const USUAL_LIMIT: usize = 20;

/// `POST /conversations/messages`: every call sends.
pub(crate) async fn send(State(app): State<Arc<App>>, body: Bytes) -> Answer {
    let body: Value = serde_json::from_slice(&body)
        .map_err(|error| bad_request(&format!("Unexpected JSON: {error}")))?;
    let channel = body["type"]
        .as_str()
        .filter(|channel| CHANNELS.contains(channel));
    let channel = channel.ok_or_else(|| unprocessable(&["type must be a valid enum value"]))?;
    let contact_id = body["contactId"].as_str().filter(|id| !id.is_empty());
    let contact_id = contact_id.ok_or_else(|| {
        unprocessable(&[
            "contactId should not be empty",
            "contactId must be a string",
        ])
    })?;
    let text = body["message"]
        .as_str()
        .or(body["html"].as_str())
        .unwrap_or_default();
    if text.is_empty() && body["attachments"].as_array().is_none_or(Vec::is_empty) {
        return Err(bad_request(
            "There is no message or attachments for this message. Skip sending.",
        ));
    }

    let (message, echo) = {
        let mut store = lock(&app.highlevel);
        let contact = store.contacts.get(contact_id);
        let contact = contact
            .ok_or_else(|| bad_request("Contact not found"))?
            .clone();
        if contact.blocks(channel) {
            let message = format!("Cannot send message as DND is active for {channel}.");
            return Err(bad_request(&message));
        }
        let message = store.add(contact_id, channel, text, Author::Api);
        let echo = store
            .echo_outbound
            .then(|| webhook::message(&message, &contact));
        (message, echo)
    };
    let detail = json!({"message_id": message.id, "channel": channel, "text": text});
    app.effect(EffectKind::MessagesSent, Some(contact_id), detail);
    if let Some(echo) = echo {
        let sent = webhooks::send(&app, echo, None);
        if app.webhooks.mode(Provider::HighLevel).deliver == Deliver::BeforeAnswer {
            sent.wait().await;
        }
    }
    let mut answer = json!({"conversationId": message.conversation_id, "messageId": message.id,
                            "msg": "Message queued successfully.", "status": "pending"});
    if channel == "Email" {
        answer["emailMessageId"] = json!(message.id);
    }
    Ok(Json(answer))
}

/// What can be asked for when messages are listed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListQuery {
    limit: Option<usize>,
    last_message_id: Option<String>,
    #[serde(rename = "type")]
    kinds: Option<String>,
}

/// `GET /conversations/{id}/messages`, newest first.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(query): Query<ListQuery>,
) -> Answer {
    let store = lock(&app.highlevel);
    if !store
        .contacts
        .keys()
        .any(|contact| conversation_id(contact) == id)
    {
        return Err(bad_request("Conversation not found"));
    }
    let kinds: Option<Vec<&str>> = query
        .kinds
        .as_deref()
        .map(|kinds| kinds.split(',').collect());
    let newest_first: Vec<&Message> = store
        .messages
        .iter()
        .rev()
        .filter(|message| message.conversation_id == id)
        .filter(|message| {
            kinds
                .as_ref()
                .is_none_or(|kinds| kinds.contains(&message.api_type()))
        })
        .collect();
    let start = query
        .last_message_id
        .and_then(|last| newest_first.iter().position(|message| message.id == last))
        .map_or(0, |index| index + 1);
    let limit = query.limit.unwrap_or(USUAL_LIMIT);
    let page: Vec<Value> = newest_first[start..]
        .iter()
        .take(limit)
        .map(|message| message.show())
        .collect();
    let next_page = newest_first.len() > start + page.len();
    let last_id = page.last().map(|message| message["id"].clone());
    let messages = json!({"lastMessageId": last_id, "nextPage": next_page, "messages": page});
    Ok(Json(if store.nested_messages {
        json!({"messages": messages})
    } else {
        messages
    }))
}

/// What can be asked for when conversations are searched.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SearchQuery {
    location_id: Option<String>,
    contact_id: Option<String>,
}

/// `GET /conversations/search`.
pub(crate) async fn search(
    State(app): State<Arc<App>>,
    Query(query): Query<SearchQuery>,
) -> Answer {
    match query.location_id.as_deref() {
        None => return Err(unprocessable(&["locationId must be a string"])),
        Some(keys::HIGHLEVEL_LOCATION_ID) => {}
        Some(_) => {
            let message = "The token does not have access to this location.";
            return Err(for_status(StatusCode::FORBIDDEN, message));
        }
    }
    let store = lock(&app.highlevel);
    let wanted = |id: &str| {
        query
            .contact_id
            .as_deref()
            .is_none_or(|wanted| wanted == id)
    };
    let conversations: Vec<Value> = store
        .contacts
        .values()
        .filter(|contact| wanted(&contact.id))
        .filter_map(|contact| {
            let last = store
                .messages
                .iter()
                .rfind(|message| message.contact_id == contact.id)?;
            Some(json!({
                "id": last.conversation_id, "contactId": contact.id,
                "locationId": keys::HIGHLEVEL_LOCATION_ID,
                "fullName": format!("{} {}", contact.first_name, contact.last_name),
                "lastMessageBody": last.body, "lastMessageDate": last.milliseconds(),
                "lastMessageType": last.api_type(), "lastMessageDirection": last.direction(),
                "type": "TYPE_PHONE", "unreadCount": 0,
            }))
        })
        .collect();
    Ok(Json(
        json!({"total": conversations.len(), "conversations": conversations}),
    ))
}

/// `GET /contacts/{id}`.
pub(crate) async fn contact(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    let store = lock(&app.highlevel);
    let contact = store.contacts.get(&id);
    let contact = contact.ok_or_else(|| bad_request(&format!("Contact with id {id} not found")))?;
    Ok(Json(json!({"contact": contact.show()})))
}
