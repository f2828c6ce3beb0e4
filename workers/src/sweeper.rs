//! Finds what should have moved on long ago, and drives it on.
//!
//! In normal life it finds nothing; each find is logged and counted. It only publishes messages
//! whose handlers tolerate repeats, so two sweepers do no harm.

use std::time::Duration;

use broker::{Outgoing, Publisher};
use chrono::{TimeDelta, Utc};
use entities::job::{self, State};
use entities::{batch, processed_event, setting};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use sea_orm::{DatabaseConnection, DbErr};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::follow_ups::{batch_closed, document_created, resume_job, sweep, watch};

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(30);

/// How long after its timers a batch counts as forgotten.
const BATCH_MARGIN: TimeDelta = TimeDelta::seconds(60);

/// How long a closed batch may wait for its reply: longer than all attempts together take.
const REPLY_MARGIN: TimeDelta = TimeDelta::hours(2);

/// How long a job may stand still between two steps that don't wait for a provider.
const JOB_MARGIN: TimeDelta = TimeDelta::hours(2);

/// How long the ids of events are kept to recognise repeats. Longer than any sender repeats.
const EVENT_RETENTION: TimeDelta = TimeDelta::days(14);

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
        let now = Utc::now();
        let wait = setting::batch_wait_seconds(&self.db)
            .await?
            .unwrap_or(self.default_wait_seconds);
        let quiet_before = now - TimeDelta::seconds(wait.into()) - BATCH_MARGIN;
        let max_wait = self.max_wait_seconds.max(wait);
        let opened_before = now - TimeDelta::seconds(max_wait.into()) - BATCH_MARGIN;
        let open = batch::overdue_open(&self.db, quiet_before, opened_before, AT_ONCE).await?;
        let timers = open.iter().map(|batch| sweep(&batch.contact_id, batch.id));
        self.drive_on("open_batch", timers.collect(), found).await;

        let closed = batch::stale_closed(&self.db, now - REPLY_MARGIN, AT_ONCE).await?;
        let replies = closed
            .iter()
            .map(|batch| batch_closed(&batch.contact_id, batch.id));
        self.drive_on("closed_batch", replies.collect(), found)
            .await;

        let before = now - JOB_MARGIN;
        for state in [State::Queued, State::AwaitingBudget] {
            let jobs = job::stuck(&self.db, state, before, AT_ONCE).await?;
            self.drive_on("queued_job", jobs.iter().map(resume_job).collect(), found)
                .await;
        }
        let watched = TimeDelta::from_std(self.watch).unwrap_or(JOB_MARGIN) * 2;
        let submitted = job::stuck(&self.db, State::Submitted, before - watched, AT_ONCE).await?;
        let completed = job::stuck(&self.db, State::Completed, before, AT_ONCE).await?;
        let tokens = submitted.iter().chain(&completed).filter_map(|job| {
            Some(watch(
                job.id,
                job.response_id.as_ref()?,
                Duration::from_secs(1),
            ))
        });
        self.drive_on("submitted_job", tokens.collect(), found)
            .await;
        let documented = job::stuck(&self.db, State::Documented, before, AT_ONCE).await?;
        let news = documented.iter().map(|job| document_created(job.id));
        self.drive_on("documented_job", news.collect(), found).await;

        let pruned = processed_event::prune(&self.db, now - EVENT_RETENTION).await?;
        if pruned > 0 {
            info!(
                pruned,
                "Removed the ids of events that nobody repeats any more."
            );
        }
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
        if let Err(error) = self.publisher.publish_all(&messages).await {
            warn!(kind, %error, "It could not be driven on; the next sweep tries again.");
        }
    }
}
