//! `POST /generate` and `/submit-job`: a client asks for research.

use std::time::Instant;

use axum::Json;
use axum::extract::{FromRequestParts, State as FromState};
use axum::http::StatusCode;
use axum::http::request::Parts;
use entities::JobId;
use messages::{Envelope, event_type};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::research_request::ResearchRequest;
use crate::body::JsonBody;
use crate::contract::{CanFail, Problems, Publishes};
use crate::problem::Problem;
use crate::state::State;
use crate::verify::{Client, Submit, Verified};

const SOURCE: &str = "/generate";

/// The longest `Idempotency-Key` that is accepted, in bytes.
const LONGEST_KEY: usize = 255;

/// The answer to an accepted request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Submitted {
    status: SubmittedStatus,
    /// The job, for `/job-status`.
    #[schema(value_type = String, format = "uuid")]
    job_id: JobId,
    /// The same, as the older server's clients know it.
    #[schema(value_type = String, format = "uuid")]
    response_id: JobId,
    /// What happened, for people.
    message: &'static str,
    /// How long research usually takes, for people.
    estimated_completion: &'static str,
    /// Where to ask how far the job is.
    check_status_url: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum SubmittedStatus {
    Submitted,
}

/// Ask for research on a company
///
/// A repeated request is the same job and is paid for once: requests with the same Idempotency-Key
/// are the same, and without one those with the same companyId and stageTs. With neither, each
/// request is a job of its own.
// The job's id follows from the request, so no database is needed.
#[utoipa::path(
    post,
    path = "/generate",
    tag = "research",
    security(("bearer" = []), ("apiKey" = [])),
    params((
        "Idempotency-Key" = Option<String>, Header,
        description = "1 to 255 visible ASCII characters",
        pattern = "^[!-~]{1,255}$",
        example = "acme-2026-11-21",
    )),
    request_body(
        content = ResearchRequest,
        example = json!({
            "companyId": 9_876_543_210_u64,
            "stageTs": "2026-11-21T12:00:00Z",
            "dealId": 18_273_645_501_u64,
            "company": {"name": "Acme", "domain": "acme.example"},
            "enriched_data": {"employees": 120, "industry": "Robotics"},
        }),
    ),
    responses(
        (
            status = 202,
            description = "The broker has the request on disk.",
            body = Submitted,
            links(("jobStatus" = (
                operation_id = "jobStatus",
                parameters(("id" = "$response.body#/job_id"))
            ))),
            example = json!({
                "status": "submitted",
                "job_id": "5f1f7f2e-2d4c-5d0e-9a51-0f8b2f6f7a11",
                "response_id": "5f1f7f2e-2d4c-5d0e-9a51-0f8b2f6f7a11",
                "message": "The research job is queued.",
                "estimated_completion": "5-15 minutes",
                "check_status_url":
                    "https://hooks.example.com/job-status/5f1f7f2e-2d4c-5d0e-9a51-0f8b2f6f7a11",
            }),
        ),
        Problems::<(Verified<Client<Submit>>, IdempotencyKey, JsonBody<ResearchRequest>, Publishes<Client<Submit>>)>,
    ),
)]
pub(crate) async fn generate(
    FromState(state): FromState<State>,
    client: Verified<Client<Submit>>,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(body): JsonBody<ResearchRequest>,
) -> Result<(StatusCode, Json<Submitted>), Problem> {
    let (event_id, request) = body.read(key.as_deref())?;
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
        status: SubmittedStatus::Submitted,
        job_id,
        response_id: job_id,
        message: "The research job is queued.",
        estimated_completion: "5-15 minutes",
        check_status_url: format!("{}/job-status/{job_id}", state.config.public_base_url),
    };
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// The header by which a client says that two requests are the same.
pub(crate) struct IdempotencyKey(Option<String>);

impl FromRequestParts<State> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &State) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get("idempotency-key") else {
            return Ok(Self(None));
        };
        let key = value.to_str().ok().filter(|key| {
            (1..=LONGEST_KEY).contains(&key.len())
                && key.bytes().all(|byte| byte.is_ascii_graphic())
        });
        key.map(|key| Self(Some(key.to_owned())))
            .ok_or_else(unusable_key)
    }
}

impl CanFail for IdempotencyKey {
    fn problems() -> Vec<Problem> {
        vec![unusable_key()]
    }
}

fn unusable_key() -> Problem {
    Problem::malformed(format!(
        "Idempotency-Key must be 1 to {LONGEST_KEY} visible ASCII characters without spaces."
    ))
}
