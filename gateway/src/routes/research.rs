//! `POST /generate` and `/submit-job`: a client asks for research.

use std::time::Instant;

use axum::Json;
use axum::extract::State as FromState;
use axum::http::{HeaderMap, StatusCode};
use entities::JobId;
use messages::{Envelope, event_type};
use serde::Serialize;
use serde_json::Value;

use super::research_request::ResearchRequest;
use crate::body::JsonBody;
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
    JsonBody(body): JsonBody<ResearchRequest>,
) -> Result<(StatusCode, Json<Submitted>), Problem> {
    let (event_id, request) = body.read(idempotency_key(&headers)?)?;
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

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = value
        .to_str()
        .ok()
        .map(str::trim)
        .filter(|key| (1..=LONGEST_KEY).contains(&key.len()))
        .filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic()));
    key.map(Some).ok_or_else(|| {
        Problem::malformed(format!(
            "Idempotency-Key must be 1 to {LONGEST_KEY} visible ASCII characters without spaces."
        ))
    })
}
