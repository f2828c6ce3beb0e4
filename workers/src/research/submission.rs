//! Turns deals and requests into background responses at OpenAI.
//!
//! Reads `research.submission`. Writes the job and the effect `research:<job>:submit:<attempt>`.
//! Creation at OpenAI is not idempotent and costs dollars: after an unknown outcome the job waits
//! for the webhook that carries its `metadata.job_id`, and only `adoption.rs`, which sees the webhooks
//! that have come, lets it be submitted again. A parked message means that OpenAI or HubSpot
//! refused; its job is marked failed, and a replay goes on from where it stood.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use broker::{Attempt, Failure, Handler, Outgoing, Unavailable, Verdict};
use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use clients::openai::ResearchRequest;
use clients::{ErrorKind, Provider};
use crash_points::crash_point;
use entities::job::{self, Reservation, State};
use entities::{JobId, ResponseId, effect, processed_event};
use messages::{BudgetExceeded, DealStageChanged, Envelope, ResearchRequested, event_type};
use sea_orm::DatabaseConnection;
use serde_json::{Value, json};

use super::new_job::{job_of, job_of_deal, job_of_request};
use super::{adoption, input};
use crate::follow_ups::{
    budget_exceeded, document_created, is_resume, research_failed, resubmission_due,
    resume_job_later, watch,
};
use crate::halt::{Halt, Handled, give_up, ready, reason, settled, unauthorized, unavailable};
use crate::prices::Prices;

const CONSUMER: &str = "research.submission";

/// The names under which a response carries its job and which submission of it this is.
pub(super) const JOB_ID: &str = "job_id";
pub(super) const ATTEMPT: &str = "attempt";

/// How often a job whose submissions had no known outcome, or that failed at OpenAI, is submitted.
pub(crate) const SUBMISSION_LIMIT: i32 = 3;

/// How soon a job asks again whether it may be submitted again, if the first question was lost.
const ASK_AGAIN: Duration = Duration::from_secs(120);

/// How often a job that waits for the budget looks again.
const BUDGET_WAIT: Duration = Duration::from_secs(600);

/// Roughly four characters make a token; the estimate needs no better.
const CHARACTERS_PER_TOKEN: u64 = 4;

/// How research is submitted.
#[derive(Debug, Clone)]
pub(crate) struct ResearchSettings {
    /// The model.
    pub(crate) model: String,
    /// Reasoning effort, where the model has one.
    pub(crate) effort: Option<String>,
    /// A JSON array of tools.
    pub(crate) tools: Value,
    /// Bound on tool calls.
    pub(crate) max_tool_calls: Option<u32>,
    /// Bound on output tokens, reasoning included.
    pub(crate) max_output_tokens: Option<u32>,
    /// The system-level text.
    pub(crate) instructions: String,
    /// The stage that triggers research; `None` means that deals don't.
    pub(crate) trigger_stage: Option<String>,
    /// What may be spent in a day (UTC), in US dollars; `None` means any amount.
    pub(crate) daily_budget_usd: Option<f64>,
    /// How long a document of the same company and input is used again; zero means never.
    pub(crate) cache: TimeDelta,
    /// When the watch first asks OpenAI.
    pub(crate) watch: Duration,
    /// How long a submission of unknown outcome waits for its webhook.
    pub(crate) resubmit: Duration,
}

/// Submits research.
pub(crate) struct Submission {
    pub(crate) db: DatabaseConnection,
    pub(crate) openai: Option<clients::openai::Client>,
    pub(crate) hubspot: Option<clients::hubspot::Client>,
    pub(crate) settings: ResearchSettings,
    pub(crate) prices: Arc<Prices>,
}

impl Handler for Submission {
    async fn handle(&self, event: &Envelope, attempt: Attempt) -> Verdict {
        let origin = match (attempt.replayed, is_resume(event)) {
            (true, _) => Origin::ParkingLot,
            (false, true) => Origin::Ourselves,
            (false, false) => Origin::Sender,
        };
        let verdict = settled(&self.db, self.submit(event, origin).await).await;
        expect_back(&self.db, job_of(event), event, &verdict, attempt).await;
        verdict
    }

    async fn give_up(
        &self,
        event: &Envelope,
        failure: &Failure,
    ) -> Result<Vec<Outgoing>, Unavailable> {
        let Some(job_id) = job_of(event) else {
            return Ok(Vec::new());
        };
        let error = format!("{}: {}", failure.reason, failure.detail);
        let failed = async {
            job::fail_submission(&self.db, job_id, &error, crate::time::now()).await?;
            job::find(&self.db, job_id).await
        };
        let job = failed.await.map_err(|error| unavailable(&error))?;
        Ok(news_of_failure(job, failure))
    }
}

/// Where a message came from: what it may do with a job that has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// From outside, for the first time or again: the job goes on, and is submitted once more only if
    /// no submission of it may be running.
    Sender,
    /// From a parking lot, by a person's hand: the job goes on.
    ParkingLot,
    /// We sent it to drive the job on, before it failed: nothing.
    Ourselves,
}

impl Submission {
    async fn submit(&self, event: &Envelope, origin: Origin) -> Handled {
        let now = crate::time::now();
        let (new_job, first_input) = if event.event_type == event_type::DEAL_STAGE_CHANGED {
            let data: DealStageChanged = event.data()?;
            if self.settings.trigger_stage.as_ref() != Some(&data.stage) {
                return Ok(Verdict::Skipped("other_stage"));
            }
            (job_of_deal(&data, event), None)
        } else {
            let data: ResearchRequested = event.data()?;
            let input = input::from_request(&data.company_id, &data.company, &data.enriched_data);
            (job_of_request(data, event), Some(input))
        };
        let job_id = new_job.id();
        let tx = entities::begin(&self.db).await?;
        processed_event::record(&tx, CONSUMER, &event.id, now).await?;
        if job::insert(&tx, new_job, now).await?
            && let Some(input) = first_input
        {
            job::set_input(&tx, job_id, input, now).await?;
        }
        tx.commit().await?;
        crash_point!("research.submission.job_stored");
        self.advance(job_id, origin).await
    }

    /// Drives the job on from where it stands.
    async fn advance(&self, job_id: JobId, origin: Origin) -> Handled {
        let now = crate::time::now();
        let Some(mut job) = job::find(&self.db, job_id).await? else {
            return Ok(Verdict::Skipped("unknown_job"));
        };
        if job.state == State::Failed {
            if origin == Origin::Ourselves {
                return Ok(Verdict::Skipped("failed_before"));
            }
            let tx = entities::begin(&self.db).await?;
            let resumed = job::resume_failed(&tx, job_id, now).await?;
            // A replay is a person's word that it may be submitted once more, whatever became of
            // the submissions before. A sender's repeat is not.
            if origin == Origin::ParkingLot && resumed == Some(State::Queued) {
                job::requeue_for_attempt(&tx, job_id, job.attempt, now).await?;
            }
            tx.commit().await?;
            job = job::find(&self.db, job_id).await?.unwrap_or(job);
        }
        match job.state {
            State::Queued | State::AwaitingBudget => {}
            State::Submitted => {
                let token = job
                    .response_id
                    .map(|id| watch(job_id, &id, self.settings.watch));
                return Ok(Verdict::Duplicate(token.into_iter().collect()));
            }
            State::Documented => return Ok(Verdict::Duplicate(vec![document_created(job_id)])),
            State::Completed => {
                let now_please = Duration::from_secs(1);
                let token = job.response_id.map(|id| watch(job_id, &id, now_please));
                return Ok(Verdict::Duplicate(token.into_iter().collect()));
            }
            State::Notified | State::Failed | State::Cancelled => {
                return Ok(Verdict::Duplicate(Vec::new()));
            }
        }
        if job.input.is_none() {
            self.enrich(&job).await?;
            job = job::find(&self.db, job_id).await?.unwrap_or(job);
        }
        let question = input::question(job.input.as_ref().unwrap_or(&Value::Null), now);
        // A submission that has begun may have spent its money already; its outcome is worth
        // waiting for.
        let begun = effect::find(&self.db, &effect_key(job.id, job.attempt))
            .await?
            .is_some();
        if !begun {
            if let Some(reused) = self.reuse(&job, now).await? {
                return Ok(reused);
            }
            if let Some(waiting) = self.reserve(&job, &question, now).await? {
                return Ok(waiting);
            }
        }
        self.submit_once(&job, question).await
    }

    /// Asks HubSpot about the deal and its company.
    async fn enrich(&self, job: &job::Model) -> Result<(), Halt> {
        let hubspot = ready(&self.db, Provider::HubSpot, self.hubspot.as_ref()).await?;
        let deal_id = job.deal_id.as_deref().unwrap_or_default();
        let input = input::from_deal(hubspot, deal_id).await?;
        job::set_input(&self.db, job.id, input, crate::time::now()).await?;
        Ok(())
    }

    /// A fresh enough document for the same company and input is used again.
    async fn reuse(&self, job: &job::Model, now: DateTime<Utc>) -> Result<Option<Verdict>, Halt> {
        let Some(hash) = &job.input_hash else {
            return Ok(None);
        };
        if job.refresh || self.settings.cache.is_zero() || job.attempt > 1 {
            return Ok(None);
        }
        let since = now - self.settings.cache;
        let tx = entities::begin(&self.db).await?;
        job::lock(&tx, job.id).await?;
        // Another message of this job may have begun to submit it.
        if effect::find(&tx, &effect_key(job.id, job.attempt))
            .await?
            .is_some()
        {
            return Ok(None);
        }
        let Some((_, document)) = job::fresh_document(&tx, &job.company_id, hash, since).await?
        else {
            return Ok(None);
        };
        let reused = job::reuse_document(&tx, job.id, &document, now).await?;
        tx.commit().await?;
        Ok(reused.then(|| Verdict::Done(vec![document_created(job.id)])))
    }

    /// Sets the money aside. Over the daily budget the job waits instead of being lost.
    async fn reserve(
        &self,
        job: &job::Model,
        question: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Verdict>, Halt> {
        let characters = (question.len() + self.settings.instructions.len()) as u64;
        let estimated_cost_usd = self
            .prices
            .estimate(&self.settings.model, characters / CHARACTERS_PER_TOKEN);
        let limit = self.settings.daily_budget_usd;
        let day_start = now.date_naive().and_time(NaiveTime::MIN).and_utc();
        let tx = entities::begin(&self.db).await?;
        let reservation =
            job::reserve_budget(&tx, job.id, estimated_cost_usd, limit, day_start, now).await?;
        tx.commit().await?;
        match (reservation, limit) {
            (Reservation::Reserved, _) => Ok(None),
            (Reservation::OverBudget { spent }, Some(daily_budget_usd)) => {
                // The same news at each look, in case the first was lost; people are told once.
                let news = BudgetExceeded {
                    job_id: job.id.0,
                    estimated_cost_usd,
                    spent_usd: spent,
                    daily_budget_usd,
                };
                let look_again = resume_job_later(job, BUDGET_WAIT);
                Ok(Some(Verdict::Done(vec![
                    budget_exceeded(&news),
                    look_again,
                ])))
            }
            (Reservation::OverBudget { .. } | Reservation::NotQueued, _) => {
                Ok(Some(Verdict::Skipped("moved_on")))
            }
        }
    }

    /// One submission, through the ledger.
    async fn submit_once(&self, job: &job::Model, question: String) -> Handled {
        let openai = ready(&self.db, Provider::OpenAi, self.openai.as_ref()).await?;
        let key = effect_key(job.id, job.attempt);
        let since = crate::time::now();
        let tx = entities::begin(&self.db).await?;
        let current = job::lock(&tx, job.id).await?;
        let still_waits = |current: &job::Model| {
            current.attempt == job.attempt
                && matches!(current.state, State::Queued | State::AwaitingBudget)
        };
        if !current.as_ref().is_some_and(still_waits) {
            return Ok(Verdict::Skipped("moved_on"));
        }
        let start = effect::start(&tx, &key, since).await?;
        tx.commit().await?;
        match start {
            effect::Start::Fresh => {}
            effect::Start::Started { since } => return self.outcome_unknown(job, since).await,
            effect::Start::Done { result } => {
                let id = result
                    .as_ref()
                    .and_then(|result| result["response_id"].as_str());
                let Some(id) = id.map(|id| ResponseId(id.to_owned())) else {
                    return Ok(give_up(
                        "ledger_unreadable",
                        format!("the effect {key} has no response id"),
                    ));
                };
                job::mark_submitted(
                    &self.db,
                    job.id,
                    &id,
                    &self.settings.model,
                    crate::time::now(),
                )
                .await?;
                return Ok(Verdict::Duplicate(vec![watch(
                    job.id,
                    &id,
                    self.settings.watch,
                )]));
            }
        }
        let request = ResearchRequest {
            model: self.settings.model.clone(),
            instructions: self.settings.instructions.clone(),
            input: question,
            tools: self.settings.tools.clone(),
            effort: self.settings.effort.clone(),
            max_tool_calls: self.settings.max_tool_calls,
            max_output_tokens: self.settings.max_output_tokens,
            metadata: BTreeMap::from([
                (JOB_ID.to_owned(), job.id.to_string()),
                (ATTEMPT.to_owned(), job.attempt.to_string()),
            ]),
        };
        crash_point!("research.submission.started");
        let submitted = openai.submit_research(&request).await;
        crash_point!("research.submission.submitted");
        match submitted {
            Ok(submitted) => self.record(job, &ResponseId(submitted.response_id)).await,
            Err(error) => match error.kind() {
                ErrorKind::Unknown => {
                    tracing::warn!(%error, "The submission's outcome is not known; waiting for its webhook.");
                    self.outcome_unknown(job, since).await
                }
                ErrorKind::NotDone { .. } => {
                    effect::forget(&self.db, &key, since).await?;
                    Err(error.into())
                }
                ErrorKind::Unauthorized => {
                    effect::forget(&self.db, &key, since).await?;
                    Ok(unauthorized(&error))
                }
                ErrorKind::Permanent { .. } | ErrorKind::NotFound => {
                    effect::forget(&self.db, &key, since).await?;
                    Ok(give_up(reason(&error), error.to_string()))
                }
            },
        }
    }

    async fn record(&self, job: &job::Model, response_id: &ResponseId) -> Handled {
        let now = crate::time::now();
        let tx = entities::begin(&self.db).await?;
        let result = json!({"response_id": response_id.as_str()});
        effect::finish(&tx, &effect_key(job.id, job.attempt), result, now).await?;
        job::mark_submitted(&tx, job.id, response_id, &self.settings.model, now).await?;
        let current = job::find(&tx, job.id).await?;
        tx.commit().await?;
        let known = current.and_then(|job| job.response_id);
        if known.as_ref().is_some_and(|known| known != response_id) {
            // An earlier submission's webhook came while this one was under way.
            if let Some(openai) = &self.openai {
                cancel_other(openai, response_id).await;
            }
            return Ok(Verdict::Skipped("another_response_was_faster"));
        }
        Ok(Verdict::Done(vec![watch(
            job.id,
            response_id,
            self.settings.watch,
        )]))
    }

    /// A submission was started at `since` and may be running at OpenAI. There is no list of
    /// responses to look through: its webhook, which carries our job id, is the only news of it.
    /// When it has had its time, whoever reads the webhooks is asked.
    async fn outcome_unknown(&self, job: &job::Model, since: DateTime<Utc>) -> Handled {
        let waited = (crate::time::now() - since).to_std().unwrap_or_default();
        if let Some(left) = self
            .settings
            .resubmit
            .checked_sub(waited)
            .filter(|left| !left.is_zero())
        {
            return Ok(Verdict::Snooze {
                reason: "submission_outcome_unknown",
                delay: left,
            });
        }
        if job.attempt >= SUBMISSION_LIMIT && adoption::was_asked(&self.db, job).await? {
            let detail = format!("{} submissions to OpenAI had no known outcome", job.attempt);
            return Ok(give_up("submission_outcome_unknown", detail));
        }
        Ok(Verdict::Done(vec![
            resubmission_due(job),
            resume_job_later(job, ASK_AGAIN),
        ]))
    }
}

/// Notes when the message of a job that waits in a lane will be back. A note that fails costs the
/// sweeper a needless look.
pub(crate) async fn expect_back(
    db: &DatabaseConnection,
    job: Option<JobId>,
    event: &Envelope,
    verdict: &Verdict,
    attempt: Attempt,
) {
    let (Some(job), Some(away)) = (job, verdict.away_for(attempt, &event.id)) else {
        return;
    };
    if let Err(error) = job::expect_back(db, job, crate::time::now() + away).await {
        tracing::warn!(job.id = %job, %error, "It could not be noted that the job's message waits.");
    }
}

/// What people are told of a job that has failed; nothing where another message has driven it on.
pub(super) fn news_of_failure(job: Option<job::Model>, failure: &Failure) -> Vec<Outgoing> {
    let failed = job.filter(|job| job.state == State::Failed);
    let news = failed.map(|job| research_failed(job.id, &failure.detail));
    news.into_iter().collect()
}

/// A second submission of the same job, made when the first one's outcome was not known, costs
/// money as long as it runs.
pub(super) async fn cancel_other(openai: &clients::openai::Client, response_id: &ResponseId) {
    match openai.cancel_response(response_id.as_str()).await {
        Ok(_) => {
            tracing::info!(response.id = %response_id, "Cancelled the job's other response.");
        }
        Err(error) => {
            tracing::warn!(response.id = %response_id, %error, "The job's other response could not be cancelled.");
        }
    }
}

/// The ledger's key for one submission of a job.
pub(crate) fn effect_key(job: JobId, attempt: i32) -> String {
    format!("research:{job}:submit:{attempt}")
}
