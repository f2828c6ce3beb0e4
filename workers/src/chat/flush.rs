//! Closes batches when their timers return.
//!
//! Reads `chat.flush`. No clock decides here: a timer closes its batch only if no newer message
//! raised the sequence. Closing is guarded by the batch's row; who loses the race skips. Running it twice
//! asks for the reply twice, and the reply is sent once. Nothing here is ever parked but
//! unreadable messages.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use broker::trace::continue_trace;
use broker::{Attempt, Failure, Handler, Outgoing, Publisher, Unavailable, Verdict};
use entities::batch::{self, ClosedBy, State};
use entities::{BatchId, ContactId, Transaction, setting};
use futures_util::future::join_all;
use messages::{Envelope, FlushRequested, FlushTrigger, TimersDue, WaitChanged, event_type};
use sea_orm::{DatabaseConnection, DbErr, Iterable as _};
use tracing::{Instrument as _, debug_span, info, warn};

use crate::chat::precedence::Closings;
use crate::chat::timers::{self, Timer};
use crate::follow_ups::batch_closed;
use crate::group_commit::GroupCommit;
use crate::halt::{Handled, retry_later, settled};

/// How many timers are armed at once when the wait is lowered.
const TIMERS_AT_ONCE: usize = 500;

/// Closes batches.
pub(crate) struct Flush {
    pub(crate) db: DatabaseConnection,
    pub(crate) publisher: Publisher,
    /// Batches that are due at once are closed together.
    pub(crate) closing: GroupCommit<Due, Closing>,
    /// Replies give way to them.
    pub(crate) closings: Arc<Closings>,
}

impl Handler for Flush {
    async fn handle(&self, event: &Envelope, _: Attempt) -> Verdict {
        let handled = match event.event_type.as_str() {
            event_type::WAIT_CHANGED => self.wait_changed(event).await,
            event_type::TIMERS_DUE => self.timers_due(event).await,
            _ => self.flush_requested(event).await,
        };
        settled(&self.db, handled).await
    }

    async fn give_up(&self, _: &Envelope, _: &Failure) -> Result<Vec<Outgoing>, Unavailable> {
        Ok(Vec::new())
    }
}

impl Flush {
    async fn flush_requested(&self, event: &Envelope) -> Handled {
        let _in_hand = self.closings.begin(1);
        self.flush(event.data()?).await
    }

    /// Several timers that were armed together: each closes its batch or not, in its own trace.
    async fn timers_due(&self, event: &Envelope) -> Handled {
        let data: TimersDue = event.data()?;
        let _in_hand = self.closings.begin(data.timers.len());
        let closing = data.timers.into_iter().map(async |timer| {
            let span = debug_span!("timer", otel.name = "close batch");
            continue_trace(&span, timer.traceparent.as_deref());
            let handled = self.flush(timer.flush.clone()).instrument(span).await;
            (timer, handled)
        });
        let (mut won, mut follow_ups, mut skipped) = (false, Vec::new(), "no_timers");
        for (timer, handled) in join_all(closing).await {
            match handled {
                Ok(Verdict::Done(closed)) => {
                    won = true;
                    follow_ups.extend(closed);
                }
                Ok(Verdict::Duplicate(closed)) => follow_ups.extend(closed),
                Ok(Verdict::Skipped(reason)) => skipped = reason,
                Err(halt) if !halt.is_hold() => {
                    // The others are not tried again with it, nor parked with it.
                    warn!(?halt, "A timer of several failed; it goes on alone.");
                    follow_ups.push(timers::again(timer));
                }
                // All of them come again; those that have closed their batch say so again.
                unsettled => return unsettled,
            }
        }
        Ok(if won {
            Verdict::Done(follow_ups)
        } else if follow_ups.is_empty() {
            Verdict::Skipped(skipped)
        } else {
            Verdict::Duplicate(follow_ups)
        })
    }

    async fn flush(&self, data: FlushRequested) -> Handled {
        let contact = ContactId(data.contact_id);
        let batch_id = match data.batch_id {
            Some(id) => BatchId(id),
            None => match batch::open_of_contact(&self.db, &contact).await? {
                Some(batch) => batch.id,
                None => return self.closed_before(&contact).await,
            },
        };
        let due = Due {
            batch_id,
            trigger: data.trigger,
        };
        let begin = || entities::begin(&self.db);
        let closing = self.closing.join(due, begin, close);
        let found = match closing.await? {
            Closing::Won => return Ok(Verdict::Done(vec![batch_closed(&contact, batch_id)])),
            Closing::Lost(batch) => Some(*batch),
            // Somebody else holds it at this moment: waited for, with nothing else in hand.
            Closing::NotFree if due.close(&self.db).await? => {
                return Ok(Verdict::Done(vec![batch_closed(&contact, batch_id)]));
            }
            Closing::NotFree => batch::find(&self.db, batch_id).await?,
        };
        let Some(batch) = found else {
            return Ok(Verdict::Skipped("unknown_batch"));
        };
        // This same timer may have closed it and died before it said so. The timers of earlier
        // messages did not: what they said again would only cost another reply.
        let mine = due.is_latest(&batch) && batch.closed_by == Some(due.closed_by());
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
        // It comes late from a deep queue, or replayed. The change since then has an event of its own. Asked
        // after the batches: a message in them that was stored under a later wait is not closed by this one.
        let wait_seconds = setting::batch_wait_seconds(&self.db).await?;
        if wait_seconds.is_some_and(|now| now != data.wait_seconds) {
            return Ok(Verdict::Skipped("changed_again"));
        }
        for batches in open.chunks(TIMERS_AT_ONCE) {
            let quiet = batches.iter().map(|batch| {
                let (contact, seconds) = (&batch.contact_id, data.wait_seconds);
                let timer = Timer::quiet(contact, batch.id, batch.sequence, seconds);
                timer.in_trace(batch.traceparent.clone())
            });
            let messages = timers::messages(quiet.collect());
            if let Err(error) = self.publisher.publish_all(&messages).await {
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

/// A batch that somebody wants closed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Due {
    batch_id: BatchId,
    trigger: FlushTrigger,
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum Closing {
    /// It is closed, by this trigger.
    Won,
    /// It is not, or was before: this is how it was found.
    Lost(Box<batch::Model>),
    /// It is not there, or somebody else holds it.
    NotFree,
}

impl Due {
    fn closed_by(&self) -> ClosedBy {
        match self.trigger {
            FlushTrigger::Quiet { .. } => ClosedBy::Quiet,
            FlushTrigger::Deadline => ClosedBy::Deadline,
            FlushTrigger::Operator => ClosedBy::Operator,
            FlushTrigger::Sweeper => ClosedBy::Sweeper,
        }
    }

    /// Whether no newer message speaks against it.
    fn is_latest(&self, batch: &batch::Model) -> bool {
        match self.trigger {
            FlushTrigger::Quiet { sequence } => sequence == batch.sequence,
            FlushTrigger::Deadline | FlushTrigger::Operator | FlushTrigger::Sweeper => true,
        }
    }

    async fn close(&self, db: &DatabaseConnection) -> Result<bool, DbErr> {
        let now = crate::time::now();
        match self.trigger {
            FlushTrigger::Quiet { sequence } => {
                batch::close_if_quiet(db, self.batch_id, sequence, now).await
            }
            _ => batch::close(db, self.batch_id, self.closed_by(), now).await,
        }
    }
}

/// Closes the batches that are due, in one transaction. Says what became of each.
async fn close(tx: Transaction, group: Vec<Due>) -> Result<Vec<Closing>, DbErr> {
    let now = crate::time::now();
    let ids: BTreeSet<BatchId> = group.iter().map(|due| due.batch_id).collect();
    let held = batch::hold_free(&tx, ids).await?;
    let mut held: HashMap<BatchId, batch::Model> =
        held.into_iter().map(|batch| (batch.id, batch)).collect();
    let mut won: Vec<(ClosedBy, BatchId)> = Vec::new();
    let mut closings = Vec::with_capacity(group.len());
    for due in group {
        let Some(batch) = held.get_mut(&due.batch_id) else {
            closings.push(Closing::NotFree);
            continue;
        };
        if batch.state == State::Open && due.is_latest(batch) {
            batch.state = State::Closed;
            batch.closed_by = Some(due.closed_by());
            won.push((due.closed_by(), batch.id));
            closings.push(Closing::Won);
        } else {
            closings.push(Closing::Lost(Box::new(batch.clone())));
        }
    }
    for by in ClosedBy::iter() {
        let ids = won.iter().filter(|(closed_by, _)| *closed_by == by);
        let ids: Vec<BatchId> = ids.map(|(_, id)| *id).collect();
        if !ids.is_empty() {
            batch::close_all(&tx, &ids, by, now).await?;
        }
    }
    tx.commit().await?;
    Ok(closings)
}

#[cfg(test)]
#[path = "flush_tests.rs"]
mod tests;
