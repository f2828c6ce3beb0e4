//! Responses whose job does not know them, and jobs that do not know whether they have a response.
//!
//! A submission whose answer was lost can't be looked up: OpenAI lists no responses. Its webhook
//! names the response, and the response carries our job id. So a webhook for an unknown response is
//! written down before anything else, and a job is submitted again only behind every webhook that
//! has come (docs/adr/0018-resubmission-behind-the-webhooks.md).

use std::time::Duration;

use broker::{Attempt, Verdict};
use clients::ErrorKind;
use clients::openai::{FetchedResponse, ResponseStatus};
use entities::job::{self, State};
use entities::{JobId, ResponseId, effect, unclaimed_response};
use messages::{Envelope, ResubmissionDue};
use sea_orm::{DatabaseConnection, DbErr};
use serde_json::json;

use super::completion::CompletionWorker;
use super::submission::{ATTEMPT, JOB_ID, SUBMISSION_LIMIT, effect_key};
use crate::follow_ups::resume_job;
use crate::halt::{Halt, Handled};

/// How long the question waits after it has passed the queue once, or as long as the submission has
/// waited, if that is less: time for the webhooks before it, which other workers may have in hand, to
/// be written down.
const IN_HAND: Duration = Duration::from_secs(30);

/// How many unclaimed responses are looked at for one question.
const LOOKED_AT: u64 = 1000;

/// A job and what OpenAI says of the response that it has adopted, or why there is nothing to adopt.
type Adopted = Result<(job::Model, Option<FetchedResponse>), Verdict>;

impl CompletionWorker {
    /// A response that no job knows: its webhook came before its id was stored, or the worker died
    /// in between. It carries our job id.
    pub(super) async fn adopt(&self, response_id: &ResponseId) -> Result<Adopted, Halt> {
        unclaimed_response::note(&self.db, response_id, crate::time::now()).await?;
        let adopted = self.ask_whose_it_is(response_id).await?;
        if adopted.is_err() {
            unclaimed_response::settle(&self.db, response_id).await?;
        }
        Ok(adopted)
    }

    async fn ask_whose_it_is(&self, response_id: &ResponseId) -> Result<Adopted, Halt> {
        let openai = self.openai().await?;
        let fetched = match openai.fetch_response(response_id.as_str()).await {
            Ok(fetched) => fetched,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Err(Verdict::Skipped("response_of_somebody_else")));
            }
            Err(error) => return Err(error.into()),
        };
        let metadata = &fetched.response.metadata;
        let job_id = metadata.get(JOB_ID).and_then(|id| id.parse::<JobId>().ok());
        let job = match job_id {
            Some(id) => job::find(&self.db, id).await?,
            None => None,
        };
        let Some(job) = job else {
            return Ok(Err(Verdict::Skipped("response_of_somebody_else")));
        };
        let attempt = metadata
            .get(ATTEMPT)
            .and_then(|attempt| attempt.parse().ok());
        let attempt: i32 = attempt.unwrap_or(1);
        // A response that the job has given up is of use only if it holds a result after all.
        let replaced = job.response_id.is_some() || attempt < job.attempt;
        if replaced && fetched.response.status != ResponseStatus::Completed {
            // The worker that gave it up may have died before it said so.
            return Ok(Err(match job.state {
                State::Queued => Verdict::Duplicate(vec![resume_job(&job)]),
                _ => Verdict::Skipped("response_replaced"),
            }));
        }
        let result = json!({"response_id": response_id.as_str()});
        let key = effect_key(job.id, attempt);
        effect::finish(&self.db, &key, result, crate::time::now()).await?;
        tracing::info!(job.id = %job.id, response.id = %response_id, "Adopted a response by the job id that it carries.");
        Ok(Ok((job, Some(fetched))))
    }

    /// A submission of unknown outcome has waited for its webhook. This question has come behind
    /// those that are there: is one of them the job's? If not, the job may be submitted again.
    pub(super) async fn resubmission_due(&self, event: &Envelope, attempt: Attempt) -> Handled {
        let data: ResubmissionDue = event.data()?;
        let Some(job) = job::find(&self.db, JobId(data.job_id)).await? else {
            return Ok(Verdict::Skipped("unknown_job"));
        };
        match (job.state, job.attempt) {
            (State::Queued, current) if current == data.attempt => {}
            // This same question may have decided it and died before it said so.
            (State::Queued, _) => return Ok(Verdict::Duplicate(vec![resume_job(&job)])),
            _ => return Ok(Verdict::Skipped("moved_on")),
        }
        let waited = crate::time::now() - attempt.first_seen;
        let left = IN_HAND
            .min(self.resubmit)
            .saturating_sub(waited.to_std().unwrap_or_default());
        if !left.is_zero() {
            return Ok(Verdict::Snooze {
                reason: "webhooks_may_be_in_hand",
                delay: left,
            });
        }
        for response_id in unclaimed_response::list(&self.db, LOOKED_AT).await? {
            match self.ask_whose_it_is(&response_id).await {
                Ok(Ok((adopted, fetched))) if adopted.id == job.id => {
                    let advanced = self.advance(adopted, response_id.clone(), fetched).await?;
                    unclaimed_response::settle(&self.db, &response_id).await?;
                    return Ok(advanced);
                }
                // Another job's, which its own message drives on.
                Ok(Ok((other, _))) if other.response_id.as_ref() != Some(&response_id) => {}
                // Known by now, or nobody's.
                Ok(_) => unclaimed_response::settle(&self.db, &response_id).await?,
                Err(halt) => {
                    // It may be this job's. The job asks again.
                    tracing::warn!(job.id = %job.id, response.id = %response_id, ?halt, "A response can't be read; the job is not submitted again before it is.");
                    return Ok(Verdict::Skipped("response_not_readable"));
                }
            }
        }
        let now = crate::time::now();
        if job.attempt < SUBMISSION_LIMIT {
            job::requeue_unanswered(&self.db, job.id, job.attempt, now).await?;
        } else {
            let key = asked_key(&job);
            effect::start(&self.db, &key, now).await?;
            effect::finish(&self.db, &key, json!({}), now).await?;
        }
        let job = job::find(&self.db, job.id).await?.unwrap_or(job);
        Ok(Verdict::Done(vec![resume_job(&job)]))
    }
}

/// Whether the webhooks that have come were looked through for the job's last submission.
pub(super) async fn was_asked(db: &DatabaseConnection, job: &job::Model) -> Result<bool, DbErr> {
    let asked = effect::find(db, &asked_key(job)).await?;
    Ok(asked.is_some_and(|asked| asked.state == effect::State::Done))
}

fn asked_key(job: &job::Model) -> String {
    format!("research:{}:asked:{}", job.id, job.attempt)
}
