//! Conservation: for each consumer, what it accepted minus what became of it. 0 when all is well.
//!
//! Two books are compared that are kept apart: the rows of the database, and the messages that the
//! broker counts. A row that is half-way needs a message that drives it on, in the consumer's queue or
//! in a delay lane; a message that was given up must lie in the parking lot. What has neither is
//! unaccounted for.
//!
//! Not seen here: what the broker lost before any consumer had taken it. The gateway keeps no book.

mod figure;
mod gauges;
mod recorded;

use std::collections::BTreeSet;
use std::time::Duration;

use broker::{BrokerSettings, DepthError, Depths, Lane, ParkingLot, WorkQueue};
use chrono::{TimeDelta, Utc};
use entities::{conservation, setting};
use sea_orm::{DatabaseConnection, DbErr};
use serde::Serialize;

use crate::chat::timers::{BatchWaits, MOST_TOGETHER};

pub use self::figure::Figure;
pub(crate) use self::gauges::watch;
pub(crate) use self::recorded::Recorded;

/// How long a row may stand still without a message that the broker counts: a worker may hold a
/// message for ten minutes while the database is away, and handle it for ten more.
pub const MARGIN: Duration = Duration::from_secs(20 * 60);

/// All figures at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Balance {
    /// One for each consumer.
    pub consumers: Vec<Figure>,
    /// Messages whose type nobody reads.
    pub unrouted: u64,
    /// The sum over all consumers: 0 when all is well.
    pub unaccounted: i64,
}

/// Why nothing could be counted. A retry can help.
#[derive(Debug, thiserror::Error)]
pub enum CountError {
    /// The database did not answer.
    #[error("the rows can't be counted")]
    Rows(#[from] DbErr),
    /// The broker did not answer.
    #[error("the messages can't be counted")]
    Messages(#[from] DepthError),
}

/// Both books.
pub struct Books {
    db: DatabaseConnection,
    depths: Depths,
    lanes: BTreeSet<Lane>,
    waits: BatchWaits,
    margin: Duration,
}

/// What the books need to know of the configuration.
#[derive(Debug, Clone)]
pub(crate) struct Waits {
    pub(crate) batches: BatchWaits,
    pub(crate) watch: Duration,
}

impl Books {
    /// Opens both books.
    ///
    /// # Errors
    /// [`CountError::Messages`] when the broker can't be reached.
    pub(crate) async fn open(
        db: DatabaseConnection,
        broker: &BrokerSettings,
        waits: &Waits,
        margin: Duration,
    ) -> Result<Self, CountError> {
        let watch = u32::try_from(waits.watch.as_secs()).unwrap_or(u32::MAX);
        let mut lanes = Lane::of_waiting_messages();
        lanes.extend([waits.batches.longest_seconds, watch].map(Lane::seconds));
        Ok(Self {
            db,
            depths: Depths::connect(broker).await?,
            lanes,
            waits: waits.batches,
            margin,
        })
    }

    /// Counts everything once. What changes while it counts can make a difference that the next
    /// count doesn't see any more.
    ///
    /// # Errors
    /// [`CountError`]
    pub async fn balance(&self) -> Result<Balance, CountError> {
        let before = Utc::now() - TimeDelta::from_std(self.margin).unwrap_or_default();
        // Rows first: a message is recorded as given up before it is parked.
        let tx = entities::snapshot(&self.db).await?;
        let mut tallies = Vec::new();
        for queue in WorkQueue::ALL {
            tallies.push((queue, conservation::tally(&tx, queue.name(), before).await?));
        }
        let wait = setting::batch_wait_seconds(&tx).await?;
        tx.commit().await?;

        let mut lanes = self.lanes.clone();
        lanes.insert(Lane::seconds(self.waits.quiet_seconds(wait)));
        let mut delayed = 0;
        for lane in lanes {
            delayed += self.depths.delayed(lane).await?;
        }
        let mut consumers = Vec::new();
        for (queue, tally) in tallies {
            let parked = self.depths.parked(queue).await?;
            let queued = self.depths.waiting(queue).await?;
            // Nobody can tell how many timers a message holds without reading it.
            let rows_of_one = match queue {
                WorkQueue::ChatFlush => MOST_TOGETHER as u64,
                _ => 1,
            };
            let (queued, delayed) = (queued * rows_of_one, delayed * rows_of_one);
            consumers.push(Figure::of(queue.name(), tally, parked, queued, delayed));
        }
        Ok(Balance {
            unaccounted: consumers.iter().map(|figure| figure.unaccounted).sum(),
            consumers,
            unrouted: self.depths.parked(ParkingLot::Unrouted).await?,
        })
    }
}
