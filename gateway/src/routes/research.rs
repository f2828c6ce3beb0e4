//! `POST /generate` and `/submit-job`: a client asks for research.

use std::time::Instant;

use axum::Json;
use axum::extract::State as FromState;
use axum::http::{HeaderMap, StatusCode};
use entities::JobId;
use messages::{Envelope, ResearchRequested, event_type, generate_event_id};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::body::JsonObject;
use crate::problem::Problem;
use crate::state::State;
use crate::verify::{Client, Verified};

const SOURCE: &str = "/generate";

/// The longest `Idempotency-Key` that is accepted, in bytes.
const LONGEST_KEY: usize = 255;

/// The answer to an accepted request.
#[derive(Debug, Serialize)]
pub(crate) struct Submitted {
    status: &'static str,
    job_id: JobId,
    /// A handle for `/job-status`, as the older server's clients know it.
    response_id: JobId,
    message: &'static str,
    estimated_completion: &'static str,
    check_status_url: String,
}

/// Publishes the request. The job's id follows from the request, so no database is needed and a
/// repeated request gets the same one.
pub(crate) async fn generate(
    FromState(state): FromState<State>,
    client: Verified<Client>,
    headers: HeaderMap,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<Submitted>), Problem> {
    let (event_id, request) = read(&headers, body)?;
    let job_id = JobId(request.job_id);
    let company_name = request
        .company
        .get("name")
        .and_then(Value::as_str)
        .map(str::to_owned);
    let event = Envelope::new(
        event_type::RESEARCH_REQUESTED,
        event_id,
        SOURCE,
        state.clock.now(),
        &request,
    );
    state
        .ingress
        .publish(&client, vec![event.with_subject(job_id.to_string())])
        .await?;
    state
        .accepted_jobs
        .remember(job_id, company_name, Instant::now());
    let answer = Submitted {
        status: "submitted",
        job_id,
        response_id: job_id,
        message: "The research job is queued.",
        estimated_completion: "5-15 minutes",
        check_status_url: format!("{}/job-status/{job_id}", state.config.public_base_url),
    };
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// The event's id and its data.
fn read(
    headers: &HeaderMap,
    mut body: Map<String, Value>,
) -> Result<(String, ResearchRequested), Problem> {
    let company_id = identifier(&body, "companyId")?.ok_or_else(|| {
        Problem::invalid_field("/companyId", "companyId is required: a number or a text.")
    })?;
    let stage_ts = identifier(&body, "stageTs")?;
    let deal_id = match identifier(&body, "dealId")? {
        Some(deal_id) => Some(deal_id),
        None => identifier(&body, "deal_id")?,
    };
    let refresh = match body.get("refresh") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(refresh)) => *refresh,
        Some(_) => {
            return Err(Problem::invalid_field(
                "/refresh",
                "refresh must be true or false.",
            ));
        }
    };
    let (event_id, idempotency_key) =
        identity(idempotency_key(headers)?, &company_id, stage_ts.as_deref());
    let request = ResearchRequested {
        job_id: JobId::from_idempotency_key(&idempotency_key).0,
        idempotency_key,
        company: object(&mut body, "company")?,
        enriched_data: object(&mut body, "enriched_data")?,
        company_id,
        stage_ts,
        deal_id,
        refresh,
    };
    Ok((event_id, request))
}

/// What makes two requests the same: the client's key, else company and stage time. With neither,
/// each request is a job of its own.
fn identity(key: Option<&str>, company_id: &str, stage_ts: Option<&str>) -> (String, String) {
    match (key, stage_ts) {
        (Some(key), _) => (
            generate_event_id(Some(key), company_id, ""),
            format!("key:{key}"),
        ),
        (None, Some(stage_ts)) => (
            generate_event_id(None, company_id, stage_ts),
            format!("generate:{company_id}:{stage_ts}"),
        ),
        (None, None) => {
            let id = Uuid::new_v4().to_string();
            let key = format!("random:{id}");
            (id, key)
        }
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = value
        .to_str()
        .ok()
        .map(str::trim)
        .filter(|key| !key.is_empty() && key.len() <= LONGEST_KEY);
    key.map(Some).ok_or_else(|| {
        Problem::malformed(format!(
            "Idempotency-Key must be 1 to {LONGEST_KEY} visible ASCII characters."
        ))
    })
}

/// A field that is a number or a text; blank and null count as missing.
fn identifier(body: &Map<String, Value>, name: &str) -> Result<Option<String>, Problem> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => {
            Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
        }
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(Problem::invalid_field(
            &format!("/{name}"),
            format!("{name} must be a number or a text."),
        )),
    }
}

fn object(body: &mut Map<String, Value>, name: &str) -> Result<Map<String, Value>, Problem> {
    match body.remove(name) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(object)) => Ok(object),
        Some(_) => Err(Problem::invalid_field(
            &format!("/{name}"),
            format!("{name} must be an object."),
        )),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName, HeaderValue};
    use messages::ResearchRequested;
    use serde_json::{Value, json};

    use super::read;

    fn request(key: Option<&'static str>, body: Value) -> (String, ResearchRequested) {
        let header = |key| {
            (
                HeaderName::from_static("idempotency-key"),
                HeaderValue::from_static(key),
            )
        };
        let headers = HeaderMap::from_iter(key.map(header));
        let Value::Object(body) = body else {
            panic!("a body is an object")
        };
        read(&headers, body).unwrap()
    }

    fn refused(body: Value) -> Value {
        let Value::Object(body) = body else {
            panic!("a body is an object")
        };
        serde_json::to_value(read(&HeaderMap::new(), body).unwrap_err()).unwrap()
    }

    #[test]
    fn the_same_company_and_stage_time_is_the_same_job() {
        let body = || json!({"companyId": 42, "stageTs": "2026-11-22T00:00:00Z"});
        let (first_id, first) = request(None, body());
        let mut repeated = body();
        repeated["companyId"] = json!("42");
        repeated["refresh"] = json!(true);
        let (repeated_id, repeated) = request(None, repeated);
        assert_eq!(first.idempotency_key, "generate:42:2026-11-22T00:00:00Z");
        assert_eq!((first_id, first.job_id), (repeated_id, repeated.job_id));
        assert!(repeated.refresh);
    }

    #[test]
    fn an_idempotency_key_decides_alone() {
        let (_, first) = request(Some("k1"), json!({"companyId": 1, "stageTs": 1}));
        let (_, second) = request(Some("k1"), json!({"companyId": 1, "stageTs": 2}));
        assert_eq!(first.idempotency_key, "key:k1");
        assert_eq!(first.job_id, second.job_id);
    }

    #[test]
    fn with_neither_each_request_is_a_job_of_its_own() {
        let (_, first) = request(None, json!({"companyId": 1}));
        let (_, second) = request(None, json!({"companyId": 1}));
        assert_ne!(first.job_id, second.job_id);
    }

    #[test]
    fn what_the_client_knows_is_passed_on() {
        let (_, request) = request(
            None,
            json!({
                "companyId": "c", "dealId": 18_273_645_501_i64,
                "company": {"name": "Acme", "domain": "acme.example"},
                "enriched_data": {"employees": 12},
            }),
        );
        assert_eq!(request.deal_id.as_deref(), Some("18273645501"));
        assert_eq!(request.company["name"], "Acme");
        assert_eq!(request.enriched_data["employees"], 12);
    }

    #[test]
    fn the_field_at_fault_is_named() {
        assert_eq!(refused(json!({}))["pointer"], "/companyId");
        assert_eq!(refused(json!({"companyId": " "}))["pointer"], "/companyId");
        assert_eq!(refused(json!({"companyId": [1]}))["pointer"], "/companyId");
        assert_eq!(
            refused(json!({"companyId": 1, "company": "Acme"}))["pointer"],
            "/company"
        );
        assert_eq!(
            refused(json!({"companyId": 1, "refresh": "yes"}))["pointer"],
            "/refresh"
        );
        assert_eq!(refused(json!({}))["status"], 422);
    }
}
