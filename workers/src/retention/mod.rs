//! Everything is kept for its time and then removed: parked messages, ids of events, texts, answers,
//! documents, and at last the rows.
//!
//! The order is what keeps it safe: parked messages go first, and each later kind is kept at least as
//! long (see `times.rs`). So a row outlives every message that could bring it back, and an effect
//! outlives every message that could repeat it. Running it twice, or on two machines at once, is
//! harmless.

mod documents;
mod parked;
mod times;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use broker::{BrokerSettings, DeadLetterError};
use chrono::{TimeDelta, Utc};
use entities::retention::{Kind, count, remove_some};
use opentelemetry::KeyValue;
use sea_orm::{DatabaseConnection, DbErr};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub(crate) use self::times::Times;

/// How often a sweeper removes what is over.
const INTERVAL: Duration = Duration::from_secs(3600);

/// How long after its start it does so for the first time: a worker that is restarted again and
/// again has more urgent things to do.
const FIRST: Duration = Duration::from_secs(300);

/// Removes what is over.
pub struct Pruner {
    pub(crate) db: DatabaseConnection,
    pub(crate) broker: BrokerSettings,
    pub(crate) documents_dir: PathBuf,
    pub(crate) times: Times,
}

/// How many of something were removed or, in a dry run, would be.
pub type Counts = BTreeMap<&'static str, u64>;

/// Why not everything that is over was removed. A retry can help; what was removed stays so.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// The database did not answer.
    #[error("the rows could not be removed")]
    Rows(#[from] DbErr),
    /// The broker did not answer.
    #[error("the parked messages could not be removed")]
    Messages(#[from] DeadLetterError),
}

impl Pruner {
    /// Removes everything that is over, once. `progress` hears after each step what there was so far.
    ///
    /// # Errors
    /// [`PruneError`]
    pub async fn prune(
        &self,
        dry_run: bool,
        mut progress: impl FnMut(&'static str, u64),
    ) -> Result<Counts, PruneError> {
        let now = Utc::now();
        let mut counts = Counts::new();
        let parked = self.prune_parked(now - self.times.parked, dry_run).await?;
        progress("parked_messages", parked);
        counts.insert("parked_messages", parked);
        let documents = self
            .prune_documents(now - self.times.research, dry_run)
            .await?;
        progress("documents", documents);
        counts.insert("documents", documents);
        for kind in Kind::ALL {
            let before = now - self.time_of(kind);
            let mut removed = 0;
            if dry_run {
                removed = count(&self.db, kind, before).await?;
            } else {
                loop {
                    let some = remove_some(&self.db, kind, before, now).await?;
                    removed += some;
                    if some == 0 {
                        break;
                    }
                    progress(kind.name(), removed);
                }
            }
            counts.insert(kind.name(), removed);
        }
        Ok(counts)
    }

    /// How long this is kept.
    fn time_of(&self, kind: Kind) -> TimeDelta {
        match kind {
            Kind::EventIds => self.times.events,
            Kind::FailedBatches | Kind::MessageTexts | Kind::ReplyTexts => self.times.texts,
            Kind::FailedJobs | Kind::ResearchAnswers => self.times.research,
            Kind::Batches | Kind::LooseMessages | Kind::Jobs | Kind::Contacts => self.times.records,
        }
    }

    /// Removes what is over every hour, until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let removed = opentelemetry::global::meter("millrace")
            .u64_counter("millrace.retention.removed")
            .with_description("What was emptied or removed because its time was over, by kind")
            .build();
        let mut interval = tokio::time::interval_at(Instant::now() + FIRST, INTERVAL);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = interval.tick() => {}
            }
            let pruned = tokio::select! {
                () = shutdown.cancelled() => return,
                pruned = self.prune(false, |_, _| {}) => pruned,
            };
            match pruned {
                Ok(counts) => {
                    for (kind, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
                        removed.add(count, &[KeyValue::new("kind", kind)]);
                        info!(kind, count, "Removed what was over.");
                    }
                }
                Err(error) => warn!(
                    error = &error as &dyn std::error::Error,
                    "Not everything that is over was removed; it is tried again in an hour."
                ),
            }
        }
    }
}
