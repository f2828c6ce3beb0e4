//! Parked messages whose time is over.

use broker::{DeadLetters, ParkingLot, WorkQueue};
use chrono::{DateTime, Utc};
use entities::parked_message;
use tracing::warn;

use super::{PruneError, Pruner};

impl Pruner {
    pub(super) async fn prune_parked(
        &self,
        before: DateTime<Utc>,
        dry_run: bool,
    ) -> Result<u64, PruneError> {
        let letters = DeadLetters::connect(&self.broker).await?;
        let lots = WorkQueue::ALL.map(ParkingLot::Of);
        let mut count = 0;
        for lot in lots.into_iter().chain([ParkingLot::Unrouted]) {
            let old = letters.expire(lot, before, dry_run).await?;
            count += old.len() as u64;
            if dry_run {
                continue;
            }
            for letter in old {
                warn!(
                    queue = lot.name(),
                    id = letter.id,
                    event_type = letter.event_type,
                    reason = letter.reason,
                    since = letter.since().map(|since| since.to_rfc3339()),
                    "The time of a parked message was over; it was removed."
                );
                if let (ParkingLot::Of(queue), Some(id)) = (lot, &letter.id) {
                    parked_message::strike_out(&self.db, queue.name(), id).await?;
                }
            }
        }
        Ok(count)
    }
}
