//! `POST /webhook/openai`: a background response has ended, or something else has happened.

use axum::extract::State as FromState;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use messages::{Envelope, ResponseEnded, event_type};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::unrouted_type;
use crate::body::json;
use crate::contract::{CanFail, Problems, Publishes};
use crate::problem::Problem;
use crate::state::State;
use crate::verify::{OpenAiDelivery, Verified};

const SOURCE: &str = "/webhook/openai";

/// A response has ended (contracts/openai.md §2.3). The result is not in it.
#[derive(Deserialize)]
struct Ended {
    id: Option<String>,
    /// Unix seconds; a JSON number that may have a fraction.
    created_at: Option<f64>,
    data: Option<Subject>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

#[derive(Deserialize)]
struct Subject {
    id: Option<String>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

/// Webhooks of OpenAI
///
/// Deliveries of one event have the same webhook-id, and are one event here too.
#[utoipa::path(
    post,
    path = "/webhook/openai",
    operation_id = "openAiWebhook",
    tag = "webhooks",
    security(("standardWebhooks" = [])),
    params(
        ("webhook-id" = String, Header, description = "The same for every attempt", example = "wh_1"),
        ("webhook-timestamp" = String, Header, description = "Unix seconds", example = "1795262400"),
    ),
    request_body(
        content = ref("#/components/schemas/OpenAiEvent"),
        content_type = "application/json",
        example = json!({
            "id": "evt_68a1b2c3", "object": "event", "type": "response.completed",
            "created_at": 1_795_262_400, "data": {"id": "resp_68a1b2c3"},
        }),
    ),
    responses(
        (status = 202, description = "The broker has the event on disk."),
        Problems::<(Verified<OpenAiDelivery>, OpenAiDelivery, Publishes<OpenAiDelivery>)>,
    ),
)]
pub(crate) async fn webhook(
    FromState(state): FromState<State>,
    delivery: Verified<OpenAiDelivery>,
) -> Result<StatusCode, Problem> {
    let event = read(&delivery, state.clock.now())?;
    state.ingress.publish(&delivery, vec![event]).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Reads the event.
///
/// # Errors
/// The answer to what can't be read.
pub fn read(delivery: &OpenAiDelivery, now: DateTime<Utc>) -> Result<Envelope, Problem> {
    let mut fields: Map<String, Value> = json::object(&delivery.body)?;
    let Some(Value::String(name)) = fields.remove("type") else {
        return Err(no_type());
    };
    match response_type(&name) {
        Some(event_type) => ended(event_type, fields, delivery, now),
        None => other(&name, &fields, delivery, now),
    }
}

fn ended(
    event_type: &str,
    fields: Map<String, Value>,
    delivery: &OpenAiDelivery,
    now: DateTime<Utc>,
) -> Result<Envelope, Problem> {
    let mut event: Ended = json::typed(fields)?;
    let (response_id, rest) = event
        .data
        .and_then(|subject| Some((subject.id?, subject.extra)))
        .filter(|(id, _)| !id.is_empty())
        .ok_or_else(no_response)?;
    if !rest.is_empty() {
        event.extra.insert("data".to_owned(), rest.into());
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "Unix seconds fit, and saturate if not"
    )]
    let created_at = event.created_at.map(|seconds| seconds as i64);
    let ended = ResponseEnded {
        response_id: response_id.clone(),
        event_id: event.id,
        created_at,
        extra: event.extra,
    };
    let event = Envelope::new(event_type, &delivery.webhook_id, SOURCE, now, &ended);
    Ok(event.with_subject(response_id))
}

/// An event that no worker reads is kept as it came.
fn other(
    name: &str,
    fields: &Map<String, Value>,
    delivery: &OpenAiDelivery,
    now: DateTime<Utc>,
) -> Result<Envelope, Problem> {
    let original: &RawValue =
        serde_json::from_slice(&delivery.body).map_err(|error| json::malformed(&error))?;
    let event_type = unrouted_type("openai", name);
    let event = Envelope::new(&event_type, &delivery.webhook_id, SOURCE, now, &original);
    let subject = fields.get("data").and_then(|data| data.get("id")?.as_str());
    Ok(match subject {
        Some(subject) => event.with_subject(subject),
        None => event,
    })
}

impl CanFail for OpenAiDelivery {
    fn problems() -> Vec<Problem> {
        vec![no_response()]
    }
}

fn no_type() -> Problem {
    Problem::invalid_field("/type", "type is required: the name of the event.")
}

fn no_response() -> Problem {
    Problem::invalid_field("/data/id", "data.id is required: the id of the response.")
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

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use messages::{Envelope, ResponseEnded};
    use serde_json::{Value, json};

    use super::read;
    use crate::problem::Problem;
    use crate::verify::OpenAiDelivery;

    fn event(body: &Value) -> Result<Envelope, Problem> {
        let delivery = OpenAiDelivery {
            webhook_id: "wh_1".to_owned(),
            body: body.to_string().into(),
        };
        read(&delivery, DateTime::<Utc>::UNIX_EPOCH)
    }

    #[test]
    fn an_ended_response_keeps_the_fields_that_nobody_here_knows() {
        let body = json!({
            "id": "evt_1", "object": "event", "type": "response.completed",
            "created_at": 1_795_262_400.5, "data": {"id": "resp_1", "novelty": true},
        });
        let event = event(&body).unwrap();
        assert_eq!(event.event_type, "openai.response.completed");
        assert_eq!(event.id, "wh_1");
        let ended: ResponseEnded = event.data().unwrap();
        assert_eq!(ended.response_id, "resp_1");
        assert_eq!(ended.event_id.as_deref(), Some("evt_1"));
        assert_eq!(ended.created_at, Some(1_795_262_400));
        assert_eq!(
            Value::Object(ended.extra),
            json!({"object": "event", "data": {"novelty": true}})
        );
    }

    #[test]
    fn an_event_of_a_type_that_nobody_here_knows_is_kept_whatever_its_shape() {
        let body =
            json!({"type": "batch.completed", "data": ["any", "shape"], "created_at": "now"});
        let event = event(&body).unwrap();
        assert_eq!(event.event_type, "openai.batch.completed");
        assert_eq!(event.data.get(), body.to_string());
    }

    #[test]
    fn the_field_at_fault_is_named() {
        let pointer = |body| {
            let problem = serde_json::to_value(event(&body).unwrap_err()).unwrap();
            assert_eq!(problem["status"], 422);
            problem["errors"][0]["pointer"].clone()
        };
        assert_eq!(pointer(json!({})), "/type");
        assert_eq!(pointer(json!({"type": 7})), "/type");
        let ended = |data: Value| json!({"type": "response.failed", "data": data});
        assert_eq!(pointer(ended(json!(null))), "/data/id");
        assert_eq!(pointer(ended(json!({"id": ""}))), "/data/id");
        assert_eq!(pointer(ended(json!({"id": 7}))), "/data/id");
        assert_eq!(pointer(ended(json!([]))), "/data");
    }
}
