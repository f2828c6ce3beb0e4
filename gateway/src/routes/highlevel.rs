//! `POST /webhook`, `/webhook/highlevel` and `/webhook/t/{secret}`: HighLevel's webhooks and its
//! workflows' actions.

use axum::Json;
use axum::extract::State as FromState;
use chrono::{DateTime, Utc};
use serde::Serialize;
use tracing::warn;
use utoipa::ToSchema;

use super::{Status, timestamp};
use crate::contract::{CanFail, Problems, Publishes};
use crate::highlevel_payload::{PayloadError, read};
use crate::problem::Problem;
use crate::state::State;
use crate::verify::{HighLevelDelivery, Verified};

/// The same for all three routes; the one with the secret in its path is named nowhere.
const SOURCE: &str = "/webhook/highlevel";

/// The answer of the older server, field for field.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HighLevelAccepted {
    status: Status,
    /// What happened, for people.
    message: &'static str,
    /// The contact whom the event is about, if there is one.
    #[schema(required)]
    contact_id: Option<String>,
    #[schema(format = DateTime)]
    timestamp: String,
}

/// Webhooks of HighLevel and its workflow actions
///
/// Native webhooks show a signature, workflow actions the shared secret. 429 is also the answer
/// where the broker does not confirm: HighLevel tries again on no other.
#[utoipa::path(
    post,
    path = "/webhook",
    operation_id = "highLevelWebhook",
    tag = "webhooks",
    security(
        ("highLevelSignature" = []),
        ("bearer" = []),
        ("webhookToken" = []),
        ("webhookSignature" = []),
    ),
    request_body(content(
        (ref("#/components/schemas/HighLevelEvent") = "application/json", examples(
            ("native" = (summary = "A webhook of HighLevel", value = json!({
                "type": "InboundMessage", "locationId": "0xYz", "contactId": "ocQHyuzHvysMo5N5VsXc",
                "conversationId": "fcanlLgpbQgQhderivVs", "messageId": "8xT5w2",
                "messageType": "SMS", "direction": "inbound", "body": "Are you open on Sunday?",
                "dateAdded": "2026-11-21T12:00:00.000Z",
            }))),
            ("workflow" = (summary = "A workflow action", value = json!({
                "contact_id": "ocQHyuzHvysMo5N5VsXc", "first_name": "Ada",
                "message": {"type": 2, "body": "Are you open on Sunday?"},
            }))),
            ("olderBot" = (summary = "An older bot", value = json!({
                "type": "contact.reply", "contact": {"id": "ocQHyuzHvysMo5N5VsXc"},
                "message": {"content": "Are you open on Sunday?"},
            }))),
        )),
        (ref("#/components/schemas/HighLevelForm") = "application/x-www-form-urlencoded", example = json!({
            "contact_id": "ocQHyuzHvysMo5N5VsXc", "message[body]": "Are you open on Sunday?",
        })),
    )),
    responses(
        (
            status = 200,
            description = "The broker has the event on disk.",
            body = HighLevelAccepted,
            example = json!(HighLevelAccepted::new(
                Some("ocQHyuzHvysMo5N5VsXc".to_owned()), DateTime::UNIX_EPOCH
            )),
        ),
        Problems::<(Verified<HighLevelDelivery>, HighLevelDelivery, Publishes<HighLevelDelivery>)>,
    ),
)]
pub(crate) async fn webhook(
    FromState(state): FromState<State>,
    delivery: Verified<HighLevelDelivery>,
) -> Result<Json<HighLevelAccepted>, Problem> {
    let now = state.clock.now();
    let content_type = delivery.content_type.as_deref();
    let reading = read(content_type, &delivery.body, SOURCE, now).map_err(|error| {
        warn!(
            provider = "highlevel",
            "Could not read a verified webhook: {error}."
        );
        problem(&error)
    })?;
    state
        .ingress
        .publish(&delivery, vec![reading.event])
        .await?;
    Ok(Json(HighLevelAccepted::new(reading.contact_id, now)))
}

impl HighLevelAccepted {
    fn new(contact_id: Option<String>, now: DateTime<Utc>) -> Self {
        Self {
            status: Status::Success,
            message: "Accepted.",
            contact_id,
            timestamp: timestamp(now),
        }
    }
}

impl CanFail for HighLevelDelivery {
    fn problems() -> Vec<Problem> {
        let pointer = "/contact_id";
        vec![problem(&PayloadError::MissingContact { pointer })]
    }
}

fn problem(error: &PayloadError) -> Problem {
    match error {
        PayloadError::Malformed { line, column } => Problem::malformed(format!(
            "The body must be a JSON object or a form (line {line}, column {column}). Merge fields \
             that hold quotes or line breaks break the JSON of a workflow action."
        )),
        PayloadError::MissingContact { pointer } => {
            Problem::invalid_field(pointer, "The id of the contact is missing.")
        }
    }
}
