//! `POST /webhook`, `/webhook/highlevel` and `/webhook/t/{secret}`: HighLevel's webhooks and its
//! workflows' actions.

use axum::Json;
use axum::extract::State as FromState;
use serde::Serialize;
use tracing::warn;

use super::timestamp;
use crate::highlevel_payload::{PayloadError, read};
use crate::problem::Problem;
use crate::state::State;
use crate::verify::{HighLevelDelivery, Verified};

/// The same for all three routes; the one with the secret in its path is named nowhere.
const SOURCE: &str = "/webhook/highlevel";

/// The answer of the older server, field for field.
#[derive(Debug, Serialize)]
pub(crate) struct Accepted {
    status: &'static str,
    message: &'static str,
    contact_id: Option<String>,
    timestamp: String,
}

/// Publishes what was sent.
pub(crate) async fn webhook(
    FromState(state): FromState<State>,
    delivery: Verified<HighLevelDelivery>,
) -> Result<Json<Accepted>, Problem> {
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
    Ok(Json(Accepted {
        status: "success",
        message: "Accepted.",
        contact_id: reading.contact_id,
        timestamp: timestamp(now),
    }))
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
