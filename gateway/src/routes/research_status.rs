//! `GET /job-status/{id}`: how far a research job is.

use std::time::Instant;

use axum::Json;
use axum::extract::State as FromState;
use chrono::{DateTime, Utc};
use entities::{JobId, ResponseId, document, job};
use serde::Serialize;

use super::{ask, timestamp};
use crate::path_id::PathId;
use crate::problem::Problem;
use crate::state::State;
use crate::verify::{Client, Verified};

/// A job as clients see it.
#[derive(Debug, Serialize)]
pub(crate) struct JobStatus {
    job_id: JobId,
    response_id: Option<ResponseId>,
    company_name: Option<String>,
    status: job::State,
    submitted_at: Option<String>,
    completed_at: Option<String>,
    document_url: Option<String>,
    usage: Option<Usage>,
    cost_usd: Option<f64>,
    error: Option<String>,
    completion: Option<Completion>,
}

/// Tokens.
#[derive(Debug, Clone, Serialize)]
struct Usage {
    input_tokens: Option<i64>,
    cached_tokens: Option<i64>,
    output_tokens: Option<i64>,
    reasoning_tokens: Option<i64>,
    total_tokens: Option<i64>,
}

/// What the older server's clients read when the job is done.
#[derive(Debug, Serialize)]
struct Completion {
    doc_url: String,
    token_usage: Option<Usage>,
    completed_at: String,
    status: job::State,
}

/// Finds the job by its own id or by OpenAI's id of the response.
pub(crate) async fn job_status(
    FromState(state): FromState<State>,
    _client: Verified<Client>,
    PathId(id): PathId,
) -> Result<Json<JobStatus>, Problem> {
    let job_id = id.parse::<JobId>().ok();
    let job = match job_id {
        Some(job_id) => ask(job::find(&state.database, job_id)).await?,
        None => {
            let response_id = ResponseId::from(id.as_str());
            ask(job::find_by_response(&state.database, &response_id)).await?
        }
    };
    if let Some(job) = job {
        let document = ask(document::find(&state.database, job.id)).await?;
        return Ok(Json(status(job, document)));
    }
    let accepted = job_id.and_then(|job_id| {
        let company_name = state.accepted_jobs.find(job_id, Instant::now())?;
        Some(Json(not_picked_up(job_id, company_name)))
    });
    accepted.ok_or_else(|| {
        Problem::not_found(
            "There is no job with this id. One that was accepted a moment ago may not have been \
             picked up yet: ask again in a few seconds.",
        )
    })
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
    let document_url = document.map(|document| document.url);
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
