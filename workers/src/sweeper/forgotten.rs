//! Which rows wait for a message that can't be anywhere any more.
//!
//! A row counts only when it has stood still for longer than a handler may take, by a wide margin,
//! and when no message of it is due back from a lane ([`entities::batch::expect_back`],
//! [`entities::job::expect_back`]).

use std::time::Duration;

use broker::{Outgoing, WorkQueue};
use chrono::TimeDelta;
use entities::job::{self, State};
use entities::{batch, setting};
use sea_orm::{DatabaseConnection, DbErr};

use crate::chat::timers::BatchWaits;
use crate::follow_ups::{
    batch_closed_again, document_created_again, resume_job, sweep, watch_again,
};

/// How long after its timers a batch counts as forgotten.
const BATCH_MARGIN: TimeDelta = TimeDelta::seconds(60);

/// How long a closed batch may be in hand: its handler has five minutes.
const REPLY_MARGIN: TimeDelta = TimeDelta::minutes(6);

/// How long a job may be in hand between two steps: its handlers have ten minutes. The watch asks
/// for a submitted one in its own time, which is added.
const JOB_MARGIN: TimeDelta = TimeDelta::minutes(15);

/// How many rows of one kind are driven on in one sweep.
const AT_ONCE: u64 = 500;

/// Looks for rows that nothing drives on.
pub(crate) struct Forgotten {
    pub(crate) db: DatabaseConnection,
    pub(crate) waits: BatchWaits,
    pub(crate) watch: Duration,
}

/// What was found of one kind, and the messages that drive it on.
pub(crate) struct Find {
    pub(crate) kind: &'static str,
    pub(crate) messages: Vec<Outgoing>,
}

impl Forgotten {
    /// What the reader of a queue should have driven on; noted in the rows. To be called when
    /// nothing waits in that queue.
    pub(crate) async fn by(&self, queue: WorkQueue) -> Result<Vec<Find>, DbErr> {
        Ok(match queue {
            // What waits here and was lost, only the broker knew.
            WorkQueue::ChatIntake => Vec::new(),
            WorkQueue::ChatFlush => vec![self.open_batches().await?],
            WorkQueue::ChatReply => vec![self.closed_batches().await?],
            WorkQueue::ResearchSubmission => vec![
                self.jobs(State::Queued, "queued_job").await?,
                self.jobs(State::AwaitingBudget, "job_awaiting_budget")
                    .await?,
            ],
            WorkQueue::ResearchCompletion => vec![
                self.jobs(State::Submitted, "submitted_job").await?,
                self.jobs(State::Completed, "completed_job").await?,
            ],
            WorkQueue::NotificationDelivery => {
                vec![self.jobs(State::Documented, "documented_job").await?]
            }
        })
    }

    async fn open_batches(&self) -> Result<Find, DbErr> {
        let now = crate::time::now();
        let set_seconds = setting::batch_wait_seconds(&self.db).await?;
        let ago = |seconds: u32| now - TimeDelta::seconds(seconds.into()) - BATCH_MARGIN;
        let quiet_before = ago(self.waits.quiet_seconds(set_seconds));
        let opened_before = ago(self.waits.deadline_seconds(set_seconds));
        let swept_before = now - BATCH_MARGIN;
        let overdue =
            batch::overdue_open(&self.db, quiet_before, opened_before, swept_before, AT_ONCE)
                .await?;
        let mut messages = Vec::new();
        for batch in overdue {
            let state = batch::State::Open;
            if batch::sweep(&self.db, batch.id, state, swept_before, now).await? {
                messages.push(sweep(&batch));
            }
        }
        let kind = "open_batch";
        Ok(Find { kind, messages })
    }

    async fn closed_batches(&self) -> Result<Find, DbErr> {
        let now = crate::time::now();
        let before = now - REPLY_MARGIN;
        let mut messages = Vec::new();
        for batch in batch::stale_closed(&self.db, before, AT_ONCE).await? {
            let state = batch::State::Closed;
            if batch::sweep(&self.db, batch.id, state, before, now).await? {
                messages.push(batch_closed_again(&batch));
            }
        }
        let kind = "closed_batch";
        Ok(Find { kind, messages })
    }

    async fn jobs(&self, state: State, kind: &'static str) -> Result<Find, DbErr> {
        let now = crate::time::now();
        let watch = TimeDelta::from_std(self.watch).unwrap_or(JOB_MARGIN);
        let before = now - JOB_MARGIN - watch;
        let mut messages = Vec::new();
        for job in job::stuck(&self.db, state, before, AT_ONCE).await? {
            // Its news is parked, with the reason; a replay is what it waits for.
            let parked = state == State::Documented && job.error.is_some();
            if !parked && job::touch(&self.db, job.id, state, before, now).await? {
                messages.extend(next_step(&job));
            }
        }
        Ok(Find { kind, messages })
    }
}

/// The message that a job in this state should have had long ago.
fn next_step(job: &job::Model) -> Option<Outgoing> {
    match job.state {
        State::Queued | State::AwaitingBudget => Some(resume_job(job)),
        State::Submitted | State::Completed => watch_again(job),
        State::Documented => Some(document_created_again(job)),
        State::Notified | State::Failed | State::Cancelled => None,
    }
}
