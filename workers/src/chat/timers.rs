//! The timers that close batches: messages in delay lanes (design.md §6).
//!
//! Those of messages that were stored together lie in their lane as few messages, up to
//! [`MOST_TOGETHER`] timers in one: to the broker, a timer is dearer than the message that armed it
//! (`docs/adr/0023-timers-together.md`). A timer that is armed alone is a message by itself.

use std::collections::BTreeMap;

use broker::{Lane, Outgoing, Publisher, Unavailable, WorkQueue};
use entities::batch::Added;
use entities::{BatchId, ContactId};
use messages::{Envelope, FlushRequested, FlushTrigger, TimersDue, event_type};
use tokio::sync::OnceCell;

use crate::follow_ups::{SOURCE, event, flush};

/// The most timers of one message. With more the broker has little left to save, and a worker has this
/// many times its prefetch in hand.
pub(crate) const MOST_TOGETHER: usize = 64;

/// A timer that is to be armed.
#[derive(Debug)]
pub(crate) struct Timer {
    id: String,
    seconds: u32,
    timer: messages::Timer,
}

/// How long batches wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchWaits {
    /// The wait where `/batch-config` has set none, in seconds.
    pub(crate) default_seconds: u32,
    /// The longest that a talkative contact waits, in seconds.
    pub(crate) longest_seconds: u32,
}

impl BatchWaits {
    /// The timers of a message that is the `latest` one of those stored with it, or not: only the latest
    /// needs a quiet timer, those of the others would find a newer message. The message that opened the
    /// batch has the batch's deadline. `set_seconds` is the wait that an operator has set.
    pub(crate) fn timers(
        self,
        contact: &ContactId,
        place: Added,
        latest: bool,
        set_seconds: Option<u32>,
    ) -> Vec<Timer> {
        let Added { batch_id, sequence } = place;
        let mut timers = Vec::new();
        if latest {
            let seconds = self.quiet_seconds(set_seconds);
            timers.push(Timer::quiet(contact, batch_id, sequence, seconds));
        }
        if sequence == 1 {
            let seconds = self.deadline_seconds(set_seconds);
            timers.push(Timer::deadline(contact, batch_id, seconds));
        }
        timers
    }

    /// How long a contact has to be quiet, where an operator has set this wait.
    pub(crate) fn quiet_seconds(self, set_seconds: Option<u32>) -> u32 {
        set_seconds.unwrap_or(self.default_seconds)
    }

    /// How long a batch stays open at most, where an operator has set this wait.
    pub(crate) fn deadline_seconds(self, set_seconds: Option<u32>) -> u32 {
        self.longest_seconds.max(self.quiet_seconds(set_seconds))
    }
}

impl Timer {
    /// Closes the batch if no newer message comes within the wait.
    pub(crate) fn quiet(
        contact: &ContactId,
        batch: BatchId,
        sequence: i32,
        wait_seconds: u32,
    ) -> Self {
        Self {
            id: format!("quiet:{batch}:{sequence}:{wait_seconds}"),
            seconds: wait_seconds,
            timer: messages::Timer {
                flush: flush(contact, batch, FlushTrigger::Quiet { sequence }),
                traceparent: None,
            },
        }
    }

    /// Closes the batch however talkative the contact is.
    fn deadline(contact: &ContactId, batch: BatchId, longest_seconds: u32) -> Self {
        Self {
            id: format!("deadline:{batch}"),
            seconds: longest_seconds,
            timer: messages::Timer {
                flush: flush(contact, batch, FlushTrigger::Deadline),
                traceparent: None,
            },
        }
    }

    /// Part of this trace; else it is of the trace that arms it.
    pub(crate) fn in_trace(mut self, traceparent: Option<String>) -> Self {
        self.timer.traceparent = traceparent;
        self
    }
}

/// The fewest messages that arm these timers.
pub(crate) fn messages(timers: Vec<Timer>) -> Vec<Outgoing> {
    let mut lanes: BTreeMap<u32, Vec<Timer>> = BTreeMap::new();
    for timer in timers {
        lanes.entry(timer.seconds).or_default().push(timer);
    }
    let mut messages = Vec::new();
    for (seconds, mut timers) in lanes {
        while !timers.is_empty() {
            let rest = timers.split_off(timers.len().min(MOST_TOGETHER));
            let event = match <[Timer; 1]>::try_from(timers) {
                Ok([Timer { id, timer, .. }]) => alone(id, timer),
                Err(several) => together(several),
            };
            let lane = Lane::seconds(seconds);
            messages.push(Outgoing::delayed(lane, WorkQueue::ChatFlush, event));
            timers = rest;
        }
    }
    messages
}

/// One of several timers, to be looked at once more by itself, at once.
pub(super) fn again(timer: messages::Timer) -> Outgoing {
    let id = format!("alone:{}", about(&timer.flush));
    Outgoing::to_queue(WorkQueue::ChatFlush, alone(id, timer))
}

fn alone(id: String, timer: messages::Timer) -> Envelope {
    let messages::Timer { flush, traceparent } = timer;
    let event = event(event_type::FLUSH_REQUESTED, id, about(&flush), &flush);
    event.with_traceparent(traceparent)
}

fn together(timers: Vec<Timer>) -> Envelope {
    let first = timers.first().map_or("", |timer| timer.id.as_str());
    let id = format!("together:{first}");
    let timers = timers.into_iter().map(|timer| timer.timer).collect();
    let data = TimersDue { timers };
    Envelope::new(
        event_type::TIMERS_DUE,
        id,
        SOURCE,
        crate::time::now(),
        &data,
    )
}

fn about(flush: &FlushRequested) -> String {
    let batch = flush.batch_id.map(|id| id.to_string());
    batch.unwrap_or_else(|| flush.contact_id.clone())
}

/// The timers of messages that were stored together. None of them is acked before all are armed.
#[derive(Debug)]
pub(crate) struct Together {
    added: usize,
    messages: Vec<Outgoing>,
    armed: OnceCell<Result<(), Unavailable>>,
}

impl Together {
    /// These timers are of so many messages that were added to batches.
    pub(crate) fn of(added: usize, timers: Vec<Timer>) -> Self {
        Self {
            added,
            messages: messages(timers),
            armed: OnceCell::new(),
        }
    }

    /// What arms the timers of one message alone: its follow-ups. `None` where there are others.
    pub(crate) fn of_one(&self) -> Option<&[Outgoing]> {
        (self.added == 1).then_some(&self.messages)
    }

    #[cfg(test)]
    pub(super) fn messages(&self) -> &[Outgoing] {
        &self.messages
    }

    /// Whoever comes first arms them, and all others wait for that. If whoever did it is no more, the
    /// next one does it.
    ///
    /// # Errors
    /// The broker did not confirm; each of the messages is to arm its own timers, once more.
    pub(crate) async fn arm(&self, publisher: &Publisher) -> Result<(), Unavailable> {
        let armed = self.armed.get_or_init(async || {
            let published = publisher.publish_all(&self.messages).await;
            published.map_err(|error| Unavailable(format!("the timers are not armed: {error}")))
        });
        armed.await.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use broker::{Outgoing, WorkQueue};
    use entities::batch::Added;
    use entities::{BatchId, ContactId};
    use messages::{Envelope, FlushRequested, FlushTrigger, TimersDue, event_type};
    use uuid::Uuid;

    use super::{BatchWaits, MOST_TOGETHER, Timer, Together, messages};
    use crate::properties::nowhere;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn quiet(number: u128, wait_seconds: u32) -> Timer {
        let batch = BatchId(Uuid::from_u128(number));
        Timer::quiet(&ContactId("ada".to_owned()), batch, 3, wait_seconds)
    }

    fn event(message: &Outgoing) -> Envelope {
        assert_eq!(message.queues(), [WorkQueue::ChatFlush]);
        Envelope::decode(message.body()).unwrap()
    }

    #[test]
    fn one_timer_is_a_message_that_asks_for_one_batch() {
        let timer = quiet(7, 30).in_trace(Some(TRACE.to_owned()));
        let [message] = &messages(vec![timer])[..] else {
            panic!("it is not one message");
        };
        assert_eq!(message.delay(), Duration::from_secs(30));
        let event = event(message);
        assert_eq!(event.event_type, event_type::FLUSH_REQUESTED);
        assert_eq!(event.traceparent.as_deref(), Some(TRACE));
        let flush: FlushRequested = event.data().unwrap();
        assert_eq!(flush.batch_id, Some(Uuid::from_u128(7)));
        assert_eq!(flush.trigger, FlushTrigger::Quiet { sequence: 3 });
    }

    #[test]
    fn timers_of_one_lane_are_few_messages_each_of_a_bounded_size() {
        let most = MOST_TOGETHER as u128;
        let mut timers: Vec<Timer> = (0..2 * most + 1).map(|number| quiet(number, 30)).collect();
        timers.push(quiet(1000, 45));
        let messages = messages(timers);

        let seconds: Vec<u64> = messages.iter().map(|m| m.delay().as_secs()).collect();
        assert_eq!(seconds, [30, 30, 30, 45]);
        let types: Vec<String> = messages.iter().map(|m| event(m).event_type).collect();
        let (many, one) = (event_type::TIMERS_DUE, event_type::FLUSH_REQUESTED);
        assert_eq!(types, [many, many, one, one]);
        let second: TimersDue = event(&messages[1]).data().unwrap();
        let batches: Vec<Option<Uuid>> = second.timers.iter().map(|t| t.flush.batch_id).collect();
        let expected: Vec<_> = (most..2 * most).map(|n| Some(Uuid::from_u128(n))).collect();
        assert_eq!(batches, expected);
    }

    #[test]
    fn the_same_timers_are_the_same_message() {
        let id = || event(&messages(vec![quiet(1, 30), quiet(2, 30)])[0]).id;
        assert_eq!(id(), id());
    }

    #[test]
    fn a_batch_has_its_deadline_by_its_first_message_and_its_quiet_timer_by_the_latest() {
        let waits = BatchWaits {
            default_seconds: 30,
            longest_seconds: 300,
        };
        let timers = |sequence, latest, set_seconds| {
            let place = Added {
                batch_id: BatchId(Uuid::nil()),
                sequence,
            };
            let timers = waits.timers(&ContactId("ada".to_owned()), place, latest, set_seconds);
            let of_one = |timer: &Timer| (timer.seconds, timer.timer.flush.trigger);
            timers.iter().map(of_one).collect::<Vec<_>>()
        };
        let quiet = |sequence| FlushTrigger::Quiet { sequence };
        let deadline = FlushTrigger::Deadline;
        assert_eq!(timers(1, true, None), [(30, quiet(1)), (300, deadline)]);
        assert_eq!(timers(1, false, None), [(300, deadline)]);
        assert_eq!(timers(2, true, Some(60)), [(60, quiet(2))]);
        assert_eq!(timers(2, false, None), []);
    }

    #[tokio::test]
    async fn where_the_broker_does_not_confirm_all_who_wait_for_it_are_told() {
        let publisher = nowhere();
        let together = Together::of(2, vec![quiet(1, 30), quiet(2, 30)]);
        let (first, second) = tokio::join!(together.arm(&publisher), together.arm(&publisher));
        for answer in [first, second] {
            let words = answer.unwrap_err().to_string();
            assert!(words.contains("can't be reached"), "{words}");
        }
    }
}
