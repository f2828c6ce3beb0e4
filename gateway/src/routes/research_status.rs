//! `GET /job-status/{id}`: how far a research job is.

use std::time::Instant;

use axum::Json;
use axum::extract::State as FromState;
use chrono::{DateTime, Utc};
use entities::{JobId, ResponseId, document, job};
use serde::Serialize;
use utoipa::ToSchema;

use super::{ask, states, timestamp};
use crate::contract::{AsksDatabase, CanFail, Problems};
use crate::path_id::PathId;
use crate::problem::Problem;
use crate::state::State;
use crate::verify::{Client, Read, Verified};

/// A job as clients see it. Times are RFC 3339.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobStatus {
    #[schema(value_type = String, format = "uuid")]
    job_id: JobId,
    /// OpenAI's id of the response, once the job is submitted.
    #[schema(required, value_type = Option<String>)]
    response_id: Option<ResponseId>,
    #[schema(required)]
    company_name: Option<String>,
    #[schema(schema_with = states::<job::State>)]
    status: job::State,
    #[schema(required, format = DateTime)]
    submitted_at: Option<String>,
    #[schema(required, format = DateTime)]
    completed_at: Option<String>,
    /// Where the document is.
    #[schema(required)]
    document_url: Option<String>,
    /// What OpenAI counted, once the response is there.
    #[schema(required)]
    usage: Option<Usage>,
    /// US dollars.
    #[schema(required)]
    cost_usd: Option<f64>,
    /// Why the job failed, for people.
    #[schema(required)]
    error: Option<String>,
    /// What the older server's clients read, once there is a document.
    #[schema(required)]
    completion: Option<Completion>,
}

/// Tokens.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct Usage {
    #[schema(required)]
    input_tokens: Option<i64>,
    #[schema(required)]
    cached_tokens: Option<i64>,
    #[schema(required)]
    output_tokens: Option<i64>,
    #[schema(required)]
    reasoning_tokens: Option<i64>,
    #[schema(required)]
    total_tokens: Option<i64>,
}

/// A job that is done, as the older server's clients read it.
#[derive(Debug, Serialize, ToSchema)]
struct Completion {
    doc_url: String,
    #[schema(required)]
    token_usage: Option<Usage>,
    #[schema(format = DateTime)]
    completed_at: String,
    #[schema(schema_with = states::<job::State>)]
    status: job::State,
}

/// How far a research job is
///
/// A job goes from queued over submitted, completed and documented to notified, or ends as failed or
/// cancelled; awaiting_budget waits for the next day's money. What is not known yet is null.
#[utoipa::path(
    get,
    path = "/job-status/{id}",
    operation_id = "jobStatus",
    tag = "research",
    security(("bearer" = []), ("apiKey" = [])),
    params((
        "id" = String, Path,
        description = "Id of the job, or OpenAI's id of the response",
        pattern = "^[!-~]{1,255}$",
        example = "5f1f7f2e-2d4c-5d0e-9a51-0f8b2f6f7a11",
    )),
    responses(
        (
            status = 200,
            description = "The job.",
            body = JobStatus,
            example = json!({
                "job_id": "5f1f7f2e-2d4c-5d0e-9a51-0f8b2f6f7a11",
                "response_id": "resp_68a1b2c3",
                "company_name": "Acme",
                "status": "notified",
                "submitted_at": "2026-11-21T12:00:01.000Z",
                "completed_at": "2026-11-21T12:09:44.000Z",
                "document_url": "https://docs.google.com/document/d/1AbC/edit",
                "usage": {
                    "input_tokens": 81234, "cached_tokens": 2048, "output_tokens": 9120,
                    "reasoning_tokens": 5210, "total_tokens": 90354,
                },
                "cost_usd": 1.27,
                "error": null,
                "completion": {
                    "doc_url": "https://docs.google.com/document/d/1AbC/edit",
                    "token_usage": {
                        "input_tokens": 81234, "cached_tokens": 2048, "output_tokens": 9120,
                        "reasoning_tokens": 5210, "total_tokens": 90354,
                    },
                    "completed_at": "2026-11-21T12:09:44.000Z",
                    "status": "notified",
                },
            }),
        ),
        Problems::<(Verified<Client<Read>>, PathId, JobStatus, AsksDatabase)>,
    ),
)]
pub(crate) async fn job_status(
    FromState(state): FromState<State>,
    client: Verified<Client<Read>>,
    PathId(id): PathId,
) -> Result<Json<JobStatus>, Problem> {
    let job_id = id.parse::<JobId>().ok();
    let found = ask(&client, async {
        let job = match job_id {
            Some(job_id) => job::find(&state.database, job_id).await?,
            None => {
                let response_id = ResponseId::from(id.as_str());
                job::find_by_response(&state.database, &response_id).await?
            }
        };
        let Some(job) = job else { return Ok(None) };
        let document = document::find(&state.database, job.id).await?;
        Ok(Some((job, document)))
    });
    if let Some((job, document)) = found.await? {
        return Ok(Json(status(job, document)));
    }
    let accepted = job_id.and_then(|job_id| {
        let company_name = state.accepted_jobs.find(job_id, Instant::now())?;
        Some(Json(not_picked_up(job_id, company_name)))
    });
    accepted.ok_or_else(no_such_job)
}

impl CanFail for JobStatus {
    fn problems() -> Vec<Problem> {
        vec![no_such_job()]
    }
}

fn no_such_job() -> Problem {
    Problem::not_found(
        "There is no job with this id. One that was accepted a moment ago may not have been picked \
         up yet: ask again in a few seconds.",
    )
}

/// A job that was accepted here and has no row yet.
fn not_picked_up(job_id: JobId, company_name: Option<String>) -> JobStatus {
    JobStatus {
        job_id,
        response_id: None,
        company_name,
        status: job::State::Queued,
        submitted_at: None,
        completed_at: None,
        document_url: None,
        usage: None,
        cost_usd: None,
        error: None,
        completion: None,
    }
}

fn status(job: job::Model, document: Option<document::Model>) -> JobStatus {
    let kept = document.filter(|document| document.removed_at.is_none());
    let document_url = kept.map(|document| document.url);
    let usage = usage(&job);
    let time = |time: Option<DateTime<Utc>>| time.map(timestamp);
    JobStatus {
        // Complete, to a client, is a job whose document it can open.
        completion: document_url
            .clone()
            .zip(job.completed_at)
            .map(|(doc_url, completed_at)| Completion {
                doc_url,
                token_usage: usage.clone(),
                completed_at: timestamp(completed_at),
                status: job.state,
            }),
        job_id: job.id,
        response_id: job.response_id,
        company_name: job.company_name,
        status: job.state,
        submitted_at: time(job.submitted_at),
        completed_at: time(job.completed_at),
        document_url,
        usage,
        cost_usd: job.cost_usd,
        error: job.error,
    }
}

fn usage(job: &job::Model) -> Option<Usage> {
    job.total_tokens.or(job.input_tokens)?;
    Some(Usage {
        input_tokens: job.input_tokens,
        cached_tokens: job.cached_tokens,
        output_tokens: job.output_tokens,
        reasoning_tokens: job.reasoning_tokens,
        total_tokens: job.total_tokens,
    })
}
