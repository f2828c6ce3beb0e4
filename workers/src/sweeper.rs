//! Finds what should have moved on long ago, and drives it on.
//!
//! In normal life it finds nothing; each find is logged and counted. It notes in the row what it
//! drives on, so that two sweepers, or two sweeps, don't do it twice; and it only publishes messages
//! whose handlers tolerate repeats.

use std::time::Duration;

use broker::{Outgoing, Publisher};
use chrono::TimeDelta;
use crash_points::crash_point;
use entities::job::{self, State};
use entities::{batch, setting};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use sea_orm::{DatabaseConnection, DbErr};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::follow_ups::{
    batch_closed_again, document_created_again, resume_job, sweep, watch_again,
};

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(30);

/// How long after its timers a batch counts as forgotten.
const BATCH_MARGIN: TimeDelta = TimeDelta::seconds(60);

/// How long a closed batch may wait for its reply: longer than all attempts together take.
const REPLY_MARGIN: TimeDelta = TimeDelta::hours(4);

/// How long a job may stand still between two steps that don't wait for a provider.
const JOB_MARGIN: TimeDelta = TimeDelta::hours(2);

/// How many rows of one kind are driven on in one sweep.
const AT_ONCE: u64 = 500;

/// Sweeps.
pub(crate) struct Sweeper {
    pub(crate) db: DatabaseConnection,
    pub(crate) publisher: Publisher,
    pub(crate) default_wait_seconds: u32,
    pub(crate) max_wait_seconds: u32,
    pub(crate) watch: Duration,
}

impl Sweeper {
    /// Sweeps until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let found = opentelemetry::global::meter("millrace")
            .u64_counter("millrace.sweeper.found")
            .with_description("Batches and jobs that had been forgotten, by kind; 0 in normal life")
            .build();
        let mut interval = tokio::time::interval(INTERVAL);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = interval.tick() => {}
            }
            if let Err(error) = self.sweep(&found).await {
                warn!(%error, "The sweep was not finished; it is tried again.");
            }
        }
    }

    /// One sweep.
    pub(crate) async fn sweep(&self, found: &Counter<u64>) -> Result<(), DbErr> {
        let now = crate::time::now();
        let wait = setting::batch_wait_seconds(&self.db)
            .await?
            .unwrap_or(self.default_wait_seconds);
        let quiet_before = now - TimeDelta::seconds(wait.into()) - BATCH_MARGIN;
        let max_wait = self.max_wait_seconds.max(wait);
        let opened_before = now - TimeDelta::seconds(max_wait.into()) - BATCH_MARGIN;
        let swept_before = now - BATCH_MARGIN;
        let overdue =
            batch::overdue_open(&self.db, quiet_before, opened_before, swept_before, AT_ONCE)
                .await?;
        let mut timers = Vec::new();
        for batch in overdue {
            let state = batch::State::Open;
            if batch::sweep(&self.db, batch.id, state, swept_before, now).await? {
                timers.push(sweep(&batch));
            }
        }
        self.drive_on("open_batch", timers, found).await;

        let closed_before = now - REPLY_MARGIN;
        let mut replies = Vec::new();
        for batch in batch::stale_closed(&self.db, closed_before, AT_ONCE).await? {
            let state = batch::State::Closed;
            if batch::sweep(&self.db, batch.id, state, closed_before, now).await? {
                replies.push(batch_closed_again(&batch));
            }
        }
        self.drive_on("closed_batch", replies, found).await;

        for (state, kind) in [
            (State::Queued, "queued_job"),
            (State::AwaitingBudget, "job_awaiting_budget"),
            (State::Submitted, "submitted_job"),
            (State::Completed, "completed_job"),
            (State::Documented, "documented_job"),
        ] {
            self.drive_jobs_on(state, kind, found).await?;
        }
        Ok(())
    }

    async fn drive_jobs_on(
        &self,
        state: State,
        kind: &'static str,
        found: &Counter<u64>,
    ) -> Result<(), DbErr> {
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
        self.drive_on(kind, messages, found).await;
        Ok(())
    }

    async fn drive_on(&self, kind: &'static str, messages: Vec<Outgoing>, found: &Counter<u64>) {
        if messages.is_empty() {
            return;
        }
        found.add(messages.len() as u64, &[KeyValue::new("kind", kind)]);
        warn!(
            kind,
            count = messages.len(),
            "Found work that was forgotten; driving it on."
        );
        crash_point!("sweeper.noted");
        if let Err(error) = self.publisher.publish_all(&messages).await {
            warn!(kind, %error, "It could not be driven on; the next sweep tries again.");
        }
        crash_point!("sweeper.published");
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
