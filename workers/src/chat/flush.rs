//! Closes batches when their timers return.
//!
//! Reads `chat.flush`. No clock decides here: a timer closes its batch only if no newer message
//! raised the sequence. Closing is one guarded update; who loses the race skips. Running it twice
//! asks for the reply twice, and the reply is sent once. Nothing here is ever parked but
//! unreadable messages.

use broker::{Attempt, Failure, Handler, Outgoing, Publisher, Unavailable, Verdict};
use entities::batch::{self, ClosedBy, State};
use entities::{BatchId, ContactId};
use messages::{Envelope, FlushRequested, FlushTrigger, WaitChanged, event_type};
use sea_orm::DatabaseConnection;
use tracing::info;

use crate::follow_ups::{batch_closed, quiet_timer};
use crate::halt::{Handled, retry_later, settled};

/// How many timers are armed at once when the wait is lowered.
const TIMERS_AT_ONCE: usize = 500;

/// Closes batches.
pub(crate) struct Flush {
    pub(crate) db: DatabaseConnection,
    pub(crate) publisher: Publisher,
}

impl Handler for Flush {
    async fn handle(&self, event: &Envelope, _: Attempt) -> Verdict {
        let handled = match event.event_type.as_str() {
            event_type::WAIT_CHANGED => self.wait_changed(event).await,
            _ => self.flush(event).await,
        };
        settled(&self.db, handled).await
    }

    async fn give_up(&self, _: &Envelope, _: &Failure) -> Result<Vec<Outgoing>, Unavailable> {
        Ok(Vec::new())
    }
}

impl Flush {
    async fn flush(&self, event: &Envelope) -> Handled {
        let data: FlushRequested = event.data()?;
        let contact = ContactId(data.contact_id);
        let batch_id = match data.batch_id {
            Some(id) => BatchId(id),
            None => match batch::open_of_contact(&self.db, &contact).await? {
                Some(batch) => batch.id,
                None => return self.closed_before(&contact).await,
            },
        };
        let now = crate::time::now();
        let won = match data.trigger {
            FlushTrigger::Quiet { sequence } => {
                batch::close_if_quiet(&self.db, batch_id, sequence, now).await?
            }
            trigger => batch::close(&self.db, batch_id, closed_by(trigger), now).await?,
        };
        if won {
            return Ok(Verdict::Done(vec![batch_closed(&contact, batch_id)]));
        }
        let Some(batch) = batch::find(&self.db, batch_id).await? else {
            return Ok(Verdict::Skipped("unknown_batch"));
        };
        // This same timer may have closed it and died before it said so. The timers of earlier
        // messages did not: what they said again would only cost another reply.
        let latest = match data.trigger {
            FlushTrigger::Quiet { sequence } => sequence == batch.sequence,
            FlushTrigger::Deadline | FlushTrigger::Operator | FlushTrigger::Sweeper => true,
        };
        let mine = latest && batch.closed_by == Some(closed_by(data.trigger));
        Ok(match batch.state {
            State::Open => Verdict::Skipped("newer_message"),
            State::Closed if mine => Verdict::Duplicate(vec![batch_closed(&contact, batch_id)]),
            _ => Verdict::Skipped("closed_before"),
        })
    }

    /// There is no open batch: perhaps because this same request has closed it and died before it
    /// said so.
    async fn closed_before(&self, contact: &ContactId) -> Handled {
        let latest = batch::latest_of_contact(&self.db, contact).await?;
        Ok(match latest {
            Some(batch) if batch.state == State::Closed => {
                Verdict::Duplicate(vec![batch_closed(contact, batch.id)])
            }
            _ => Verdict::Skipped("no_open_batch"),
        })
    }

    /// Arms one more timer for each open batch, in the lane of the new wait. A timer whose batch
    /// has moved on does nothing when it returns, so more of them than needed do no harm.
    async fn wait_changed(&self, event: &Envelope) -> Handled {
        let data: WaitChanged = event.data()?;
        let open = batch::open_batches(&self.db, u64::from(u32::MAX)).await?;
        for batches in open.chunks(TIMERS_AT_ONCE) {
            let timers: Vec<Outgoing> = batches
                .iter()
                .map(|batch| {
                    quiet_timer(
                        &batch.contact_id,
                        batch.id,
                        batch.sequence,
                        data.wait_seconds,
                    )
                })
                .collect();
            if let Err(error) = self.publisher.publish_all(&timers).await {
                return Ok(retry_later("timers_not_armed", error.to_string()));
            }
        }
        info!(
            batches = open.len(),
            wait_seconds = data.wait_seconds,
            "Armed timers for the new wait."
        );
        Ok(Verdict::Done(Vec::new()))
    }
}

fn closed_by(trigger: FlushTrigger) -> ClosedBy {
    match trigger {
        FlushTrigger::Quiet { .. } => ClosedBy::Quiet,
        FlushTrigger::Deadline => ClosedBy::Deadline,
        FlushTrigger::Operator => ClosedBy::Operator,
        FlushTrigger::Sweeper => ClosedBy::Sweeper,
    }
}
