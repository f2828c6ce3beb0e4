//! `POST /webhook/openai`: a background response has ended, or something else has happened.

use axum::extract::State as FromState;
use axum::http::StatusCode;
use messages::{Envelope, ResponseEnded, event_type};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::unrouted_type;
use crate::body::not_json;
use crate::problem::Problem;
use crate::state::State;
use crate::verify::{OpenAiDelivery, Verified};

const SOURCE: &str = "/webhook/openai";

/// What is needed of a delivery (contracts/openai.md §2.3). It holds no result.
#[derive(Deserialize)]
struct Delivery {
    id: Option<String>,
    #[serde(rename = "type")]
    event_type: Option<String>,
    /// Unix seconds; a JSON number that may have a fraction.
    created_at: Option<f64>,
    data: Option<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    id: Option<String>,
}

/// Publishes the event under the id that all its deliveries share.
pub(crate) async fn webhook(
    FromState(state): FromState<State>,
    delivery: Verified<OpenAiDelivery>,
) -> Result<StatusCode, Problem> {
    let event = read(&delivery, &state)?;
    state.ingress.publish(&delivery, vec![event]).await?;
    Ok(StatusCode::ACCEPTED)
}

fn read(delivery: &OpenAiDelivery, state: &State) -> Result<Envelope, Problem> {
    let original: &RawValue =
        serde_json::from_slice(&delivery.body).map_err(|error| not_json(&error))?;
    let event: Delivery = serde_json::from_str(original.get())
        .map_err(|_| Problem::malformed("The body does not have the shape of an OpenAI event."))?;
    let name = event
        .event_type
        .ok_or_else(|| Problem::invalid_field("/type", "The type of the event is missing."))?;
    let subject = event
        .data
        .and_then(|subject| subject.id)
        .filter(|id| !id.is_empty());

    let now = state.clock.now();
    let id = delivery.webhook_id.as_str();
    let Some(event_type) = response_type(&name) else {
        let event = Envelope::new(&unrouted_type("openai", &name), id, SOURCE, now, &original);
        return Ok(match subject {
            Some(subject) => event.with_subject(subject),
            None => event,
        });
    };
    let response_id = subject
        .ok_or_else(|| Problem::invalid_field("/data/id", "The id of the response is missing."))?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "Unix seconds fit, and saturate if not"
    )]
    let created_at = event.created_at.map(|seconds| seconds as i64);
    let ended = ResponseEnded {
        response_id: response_id.clone(),
        event_id: event.id,
        created_at,
    };
    Ok(Envelope::new(event_type, id, SOURCE, now, &ended).with_subject(response_id))
}

fn response_type(name: &str) -> Option<&'static str> {
    match name {
        "response.completed" => Some(event_type::RESPONSE_COMPLETED),
        "response.failed" => Some(event_type::RESPONSE_FAILED),
        "response.incomplete" => Some(event_type::RESPONSE_INCOMPLETE),
        "response.cancelled" => Some(event_type::RESPONSE_CANCELLED),
        _ => None,
    }
}
