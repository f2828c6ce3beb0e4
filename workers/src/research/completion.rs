//! Fetches what OpenAI has finished and makes the document.
//!
//! Reads `research.completion`: OpenAI's webhooks, the watch tokens that ask when a webhook stays
//! away, and the questions of `adoption.rs`. Writes the job (the raw response before anything else: OpenAI deletes its copy), the
//! document and its effect. Running it twice finds the response stored and the document made. A
//! parked message means that OpenAI or Google refused; a replay goes on from where it stood.

use std::sync::Arc;
use std::time::Duration;

use broker::{Attempt, Failure, Handler, Outgoing, Unavailable, Verdict, trace};
use chrono::TimeDelta;
use clients::openai::{FetchedResponse, Response, ResponseStatus};
use clients::{ErrorKind, Provider};
use crash_points::crash_point;
use entities::job::{self, Completion, State};
use entities::{JobId, ResponseId, document, processed_event, unclaimed_response};
use messages::{Envelope, ResearchSubmitted, ResponseEnded, event_type};
use sea_orm::{DatabaseConnection, DbErr};
use tracing::Instrument as _;

use super::document::{Documents, nothing_usable};
use super::result::Research;
use super::submission::{SUBMISSION_LIMIT, cancel_other, expect_back, news_of_failure};
use crate::follow_ups::{document_created, research_failed, resume_job, watch};
use crate::halt::{Halt, Handled, give_up, ready, settled, unavailable};
use crate::prices::Prices;
use crate::sweeper::count_found;

const CONSUMER: &str = "research.completion";

/// What people are told of a response that somebody cancelled.
const CANCELLED: &str = "the response was cancelled at OpenAI";

/// How long research may run. What OpenAI has not finished by then, it never will.
const RESEARCH_DEADLINE: TimeDelta = TimeDelta::hours(24);

/// Completes research.
pub(crate) struct CompletionWorker {
    pub(crate) db: DatabaseConnection,
    pub(crate) openai: Option<clients::openai::Client>,
    pub(crate) documents: Documents,
    pub(crate) prices: Arc<Prices>,
    /// How long the watch waits before it asks again.
    pub(crate) watch: Duration,
    /// How long a submission of unknown outcome waits for its webhook.
    pub(crate) resubmit: Duration,
    /// A job that costs more, in US dollars, is worth a warning.
    pub(crate) cost_alert_usd: Option<f64>,
}

impl Handler for CompletionWorker {
    async fn handle(&self, event: &Envelope, attempt: Attempt) -> Verdict {
        let handled = match event.event_type.as_str() {
            event_type::RESUBMISSION_DUE => self.resubmission_due(event, attempt).await,
            _ => self.complete(event, attempt.replayed).await,
        };
        let verdict = settled(&self.db, handled).await;
        if verdict.away_for(attempt, &event.id).is_some()
            && let Ok(Some(job)) = self.job_of(event).await
        {
            expect_back(&self.db, Some(job.id), event, &verdict, attempt).await;
        }
        verdict
    }

    async fn give_up(
        &self,
        event: &Envelope,
        failure: &Failure,
    ) -> Result<Vec<Outgoing>, Unavailable> {
        let failed = async {
            let Some(job) = self.job_of(event).await? else {
                return Ok(Vec::new());
            };
            let error = format!("{}: {}", failure.reason, failure.detail);
            job::fail(&self.db, job.id, &error, crate::time::now()).await?;
            let job = job::find(&self.db, job.id).await?;
            Ok(news_of_failure(job, failure))
        };
        failed.await.map_err(|error: DbErr| unavailable(&error))
    }
}

/// The response that an event of this queue is about.
fn response_of(event: &Envelope) -> Result<ResponseId, Halt> {
    Ok(ResponseId(
        if event.event_type == event_type::RESEARCH_SUBMITTED {
            event.data::<ResearchSubmitted>()?.response_id
        } else {
            event.data::<ResponseEnded>()?.response_id
        },
    ))
}

impl CompletionWorker {
    /// The job that an event of this queue is about, where it is known. A question about a
    /// resubmission decides nothing but that, so it is about none.
    async fn job_of(&self, event: &Envelope) -> Result<Option<job::Model>, DbErr> {
        if event.event_type == event_type::RESUBMISSION_DUE {
            return Ok(None);
        }
        if let Ok(token) = event.data::<ResearchSubmitted>() {
            return job::find(&self.db, JobId(token.job_id)).await;
        }
        match response_of(event) {
            Ok(response_id) => job::find_by_response(&self.db, &response_id).await,
            Err(_) => Ok(None),
        }
    }

    async fn complete(&self, event: &Envelope, replayed: bool) -> Handled {
        let response_id = response_of(event)?;
        let is_watch = event.event_type == event_type::RESEARCH_SUBMITTED;
        if !is_watch {
            processed_event::record(&self.db, CONSUMER, &event.id, crate::time::now()).await?;
        }
        let known = job::find_by_response(&self.db, &response_id).await?;
        let (job, fetched) = match known {
            // The watch of a job that was given up: a person replays what is parked.
            Some(job) if is_watch && job.state == State::Failed && !replayed => {
                return Ok(Verdict::Skipped("failed_before"));
            }
            Some(job) => (job, None),
            // The watch of a response that its job has given up, for a later one.
            None if is_watch => return Ok(Verdict::Skipped("response_replaced")),
            None => match self.adopt(&response_id).await? {
                Ok(adopted) => adopted,
                Err(skipped) => return Ok(skipped),
            },
        };
        // The webhook starts a trace of its own; its work belongs to the job's.
        let span =
            tracing::info_span!("complete research", job.id = %job.id, response.id = %response_id);
        trace::continue_trace(&span, job.traceparent.as_deref());
        trace::link_trace(&span, event.traceparent.as_deref());
        let (job_id, waited) = (job.id, job.state == State::Submitted);
        let advanced = self
            .advance(job, response_id.clone(), fetched)
            .instrument(span)
            .await?;
        if is_watch && waited {
            let job = job::find(&self.db, job_id).await?;
            if job.is_some_and(|job| job.state != State::Submitted) {
                count_found("webhook", 1);
            }
        }
        if !is_watch {
            unclaimed_response::settle(&self.db, &response_id).await?;
        }
        Ok(advanced)
    }

    /// Drives the job on with what is known of its response.
    pub(super) async fn advance(
        &self,
        mut job: job::Model,
        response_id: ResponseId,
        fetched: Option<FetchedResponse>,
    ) -> Handled {
        let now = crate::time::now();
        if job.state == State::Failed {
            let tx = entities::begin(&self.db).await?;
            let resumed = job::resume_failed(&tx, job.id, now).await?;
            tx.commit().await?;
            job.state = resumed.unwrap_or(job.state);
        }
        match job.state {
            State::Queued | State::AwaitingBudget | State::Submitted => {
                let fetched = match fetched {
                    Some(fetched) => fetched,
                    None => match self.fetch(&job, &response_id).await? {
                        Ok(fetched) => fetched,
                        Err(verdict) => return Ok(verdict),
                    },
                };
                self.store(job, response_id, fetched).await
            }
            State::Completed => self.document(job).await,
            State::Documented => Ok(Verdict::Duplicate(vec![document_created(job.id)])),
            State::Cancelled => Ok(Verdict::Duplicate(vec![research_failed(job.id, CANCELLED)])),
            State::Notified | State::Failed => Ok(Verdict::Duplicate(Vec::new())),
        }
    }

    async fn fetch(
        &self,
        job: &job::Model,
        response_id: &ResponseId,
    ) -> Result<Result<FetchedResponse, Verdict>, Halt> {
        match self
            .openai()
            .await?
            .fetch_response(response_id.as_str())
            .await
        {
            Ok(fetched) => Ok(Ok(fetched)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let detail =
                    "OpenAI no longer has the response: it was deleted before it was fetched";
                Ok(Err(self.fail(job, detail).await?))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Stores what OpenAI says about the response, whatever that is.
    async fn store(
        &self,
        job: job::Model,
        response_id: ResponseId,
        fetched: FetchedResponse,
    ) -> Handled {
        crash_point!("research.completion.fetched");
        let response = &fetched.response;
        match response.status {
            ResponseStatus::Queued | ResponseStatus::InProgress | ResponseStatus::Other => {
                self.still_running(&job, &response_id, response).await
            }
            ResponseStatus::Completed => self.store_completed(job, response_id, &fetched).await,
            // Partial text is worth keeping: it was paid for.
            ResponseStatus::Incomplete if !response.text().trim().is_empty() => {
                self.store_completed(job, response_id, &fetched).await
            }
            ResponseStatus::Incomplete => {
                let reason = response.incomplete_reason().unwrap_or("no reason given");
                let detail = format!("OpenAI stopped before any text: {reason}");
                self.fail(&job, &detail).await
            }
            ResponseStatus::Cancelled => {
                job::cancel(&self.db, job.id, CANCELLED, crate::time::now()).await?;
                Ok(Verdict::Done(vec![research_failed(job.id, CANCELLED)]))
            }
            ResponseStatus::Failed => self.failed_there(job, response).await,
        }
    }

    /// The response is not finished: the watch asks again, but not for ever.
    async fn still_running(
        &self,
        job: &job::Model,
        response_id: &ResponseId,
        response: &Response,
    ) -> Handled {
        let now = crate::time::now();
        // Adopted before its submission was stored: from now on the watch knows it.
        let model = if response.model.is_empty() {
            "unknown"
        } else {
            &response.model
        };
        job::mark_submitted(&self.db, job.id, response_id, model, now).await?;
        if now - job.submitted_at.unwrap_or(now) > RESEARCH_DEADLINE {
            self.openai()
                .await?
                .cancel_response(response_id.as_str())
                .await?;
            let hours = RESEARCH_DEADLINE.num_hours();
            return self
                .fail(job, &format!("OpenAI had not finished after {hours} hours"))
                .await;
        }
        // The sweeper sees that somebody looks after the job.
        job::touch(&self.db, job.id, State::Submitted, now, now).await?;
        Ok(Verdict::Done(vec![watch(job.id, response_id, self.watch)]))
    }

    async fn store_completed(
        &self,
        job: job::Model,
        response_id: ResponseId,
        fetched: &FetchedResponse,
    ) -> Handled {
        let response = &fetched.response;
        let searches = response.web_search_requests().unwrap_or(0);
        let cost_usd = response
            .usage
            .and_then(|usage| self.prices.cost(&response.model, &usage, searches));
        let tokens = |count: fn(&clients::openai::Usage) -> u64| {
            response
                .usage
                .as_ref()
                .map(|usage| i64::try_from(count(usage)).unwrap_or(i64::MAX))
        };
        let other = job
            .response_id
            .clone()
            .filter(|other| *other != response_id);
        let completion = Completion {
            response_id,
            raw: fetched.raw.clone(),
            usage: job::Usage {
                input_tokens: tokens(|usage| usage.input_tokens),
                cached_tokens: tokens(|usage| usage.cached_tokens),
                output_tokens: tokens(|usage| usage.output_tokens),
                reasoning_tokens: tokens(|usage| usage.reasoning_tokens),
                total_tokens: tokens(|usage| usage.total_tokens),
            },
            cost_usd,
        };
        let first = job::mark_completed(&self.db, job.id, &completion, crate::time::now()).await?;
        crash_point!("research.completion.response_stored");
        if let (true, Some(other)) = (first, other)
            && let Ok(openai) = self.openai().await
        {
            cancel_other(openai, &other).await;
        }
        if let (Some(cost), Some(limit)) = (cost_usd, self.cost_alert_usd)
            && cost > limit
        {
            tracing::warn!(job.id = %job.id, cost_usd = cost, limit_usd = limit, "The research cost more than JOB_COST_ALERT_USD.");
        }
        // Somebody else may have been first, with the same response or another one.
        let Some(job) = job::find(&self.db, job.id).await? else {
            return Ok(Verdict::Skipped("unknown_job"));
        };
        match job.state {
            State::Completed => self.document(job).await,
            State::Documented => Ok(Verdict::Duplicate(vec![document_created(job.id)])),
            _ => Ok(Verdict::Duplicate(Vec::new())),
        }
    }

    async fn document(&self, job: job::Model) -> Handled {
        let raw = job.response.as_deref().unwrap_or_default();
        let response = Response::from_json(raw).map_err(|error| {
            Halt::from(give_up("stored_response_unreadable", error.to_string()))
        })?;
        if let (true, Some(refusal)) = (response.text().trim().is_empty(), response.refusal()) {
            let detail = format!("OpenAI refused the research: {refusal}");
            return self.fail(&job, &detail).await;
        }
        let text = response.text();
        let research = Research::read(&text, &response.citations());
        if research.sections.is_empty() {
            return Ok(nothing_usable());
        }
        let made = self
            .documents
            .create(&self.db, &job, &research, &text)
            .await?;
        let now = crate::time::now();
        let tx = entities::begin(&self.db).await?;
        document::store(&tx, made).await?;
        job::mark_documented(&tx, job.id, now).await?;
        tx.commit().await?;
        Ok(Verdict::Done(vec![document_created(job.id)]))
    }

    /// OpenAI says that the response failed: some failures are worth a new submission.
    async fn failed_there(&self, job: job::Model, response: &Response) -> Handled {
        let code = response.error_code().unwrap_or("no code");
        let message = response.error_message().unwrap_or("no message");
        if response.may_succeed_when_repeated() && job.attempt < SUBMISSION_LIMIT {
            job::requeue_for_attempt(&self.db, job.id, job.attempt, crate::time::now()).await?;
            let Some(job) = job::find(&self.db, job.id).await? else {
                return Ok(Verdict::Skipped("unknown_job"));
            };
            tracing::warn!(job.id = %job.id, code, "The response failed at OpenAI; submitting again.");
            return Ok(Verdict::Done(vec![resume_job(&job)]));
        }
        self.fail(
            &job,
            &format!("OpenAI could not finish the research: {message} ({code})"),
        )
        .await
    }

    async fn fail(&self, job: &job::Model, detail: &str) -> Handled {
        job::fail(&self.db, job.id, detail, crate::time::now()).await?;
        Ok(Verdict::Done(vec![research_failed(job.id, detail)]))
    }

    pub(super) async fn openai(&self) -> Result<&clients::openai::Client, Halt> {
        ready(&self.db, Provider::OpenAi, self.openai.as_ref()).await
    }
}
