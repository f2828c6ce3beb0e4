//! Finds what should have moved on long ago, and drives it on.
//!
//! In normal life it finds nothing; each find is logged and counted. It notes in the row what it
//! drives on, so that two sweepers, or two sweeps, don't do it twice; and it only publishes messages
//! whose handlers tolerate repeats.

mod forgotten;

use std::time::Duration;

use broker::{BrokerSettings, DepthError, Depths, Publisher, WorkQueue};
use crash_points::crash_point;
use opentelemetry::KeyValue;
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;
use tracing::warn;

pub(crate) use self::forgotten::{Find, Forgotten};

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(30);

/// Sweeps.
pub(crate) struct Sweeper {
    pub(crate) forgotten: Forgotten,
    pub(crate) publisher: Publisher,
    pub(crate) broker: BrokerSettings,
}

/// Why a sweep was not finished. The next one tries again.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error("the database does not answer: {0}")]
    Database(#[from] DbErr),
    #[error("the broker can't be asked what waits in its queues: {0}")]
    Broker(#[from] DepthError),
}

impl Sweeper {
    /// Sweeps until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut interval = tokio::time::interval(INTERVAL);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = interval.tick() => {}
            }
            if let Err(error) = self.sweep().await {
                warn!(%error, "The sweep was not finished; it is tried again.");
            }
        }
    }

    /// One sweep. What waits in a queue is not forgotten, so only empty ones are looked after.
    async fn sweep(&self) -> Result<(), SweepError> {
        let depths = Depths::connect(&self.broker).await?;
        for queue in WorkQueue::ALL {
            if depths.waiting(queue).await? > 0 {
                continue;
            }
            for find in self.forgotten.by(queue).await? {
                self.drive_on(find).await;
            }
        }
        Ok(())
    }

    async fn drive_on(&self, Find { kind, messages }: Find) {
        if messages.is_empty() {
            return;
        }
        count_found(kind, messages.len());
        crash_point!("sweeper.noted");
        if let Err(error) = self.publisher.publish_all(&messages).await {
            warn!(kind, %error, "It could not be driven on; a later sweep tries again.");
        }
        crash_point!("sweeper.published");
    }
}

/// Counts and tells what had been forgotten, by the sweeper or by whoever found it.
pub(crate) fn count_found(kind: &'static str, count: usize) {
    opentelemetry::global::meter("millrace")
        .u64_counter("millrace.sweeper.found")
        .with_description("Work that had been forgotten, by kind; 0 in normal life")
        .build()
        .add(count as u64, &[KeyValue::new("kind", kind)]);
    warn!(kind, count, "Found work that was forgotten; driving it on.");
}
