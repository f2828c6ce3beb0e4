//! Closing batches comes before answering them.
//!
//! A batch that is closed late answers a contact late who has long paused; and what closes a batch takes a
//! fraction of what its reply takes. When thousands are due at once, the replies to the first would
//! otherwise have most of the processor while the last are still to be closed. So replies wait while this
//! process has many batches to close, but never for long: however many there are, replies go on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// So many in hand at once, half of the messages that the broker hands out, mean that more are waiting. In
/// normal life there are a few.
const MANY: usize = 128;

/// So many timers that came as one message are as much to do as one that came alone: they share its
/// delivery, its ack and its transaction.
const TOGETHER_AS_ONE: usize = 8;

/// How long they have to be fewer before replies go on: what was closed is acked, and only then the broker
/// hands out more.
const PAUSE: Duration = Duration::from_millis(50);

/// The longest that a reply waits. As many replies wait at once as the worker has in hand, so that some
/// hundreds a second are made whatever else is done.
const PATIENCE: Duration = Duration::from_secs(1);

/// What one process has to close.
#[derive(Default)]
pub(crate) struct Closings {
    in_hand: AtomicUsize,
    many_at: Mutex<Option<Instant>>,
}

/// A message that may close batches, until this is dropped.
pub(crate) struct InHand<'a> {
    closings: &'a Closings,
    weight: usize,
}

impl Closings {
    /// A message that may close so many batches is in hand from now on.
    pub(crate) fn begin(&self, batches: usize) -> InHand<'_> {
        let weight = batches.div_ceil(TOGETHER_AS_ONE);
        if self.in_hand.fetch_add(weight, Ordering::Relaxed) + weight >= MANY {
            *self.many_at() = Some(Instant::now());
        }
        InHand {
            closings: self,
            weight,
        }
    }

    /// Waits while there are many. `came` is when the reply was taken: however often it gives way, its
    /// patience is one.
    pub(crate) async fn give_way(&self, came: Instant) {
        while let Some(until) = self.busy_until(came, Instant::now()) {
            sleep_until(until).await;
        }
    }

    /// Until when somebody who came at that time waits before they look again; `None` says go on.
    fn busy_until(&self, came: Instant, now: Instant) -> Option<Instant> {
        let many_at = (*self.many_at())?;
        let until = (many_at + PAUSE).min(came + PATIENCE);
        (until > now).then_some(until)
    }

    fn many_at(&self) -> MutexGuard<'_, Option<Instant>> {
        self.many_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        let in_hand = &self.closings.in_hand;
        in_hand.fetch_sub(self.weight, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Closings, MANY, PATIENCE, PAUSE, TOGETHER_AS_ONE};

    #[test]
    fn a_few_closings_keep_no_reply_waiting() {
        let closings = Closings::default();
        let _in_hand: Vec<_> = (1..MANY).map(|_| closings.begin(1)).collect();
        let now = Instant::now();
        assert_eq!(closings.busy_until(now, now), None);
    }

    #[test]
    fn timers_that_came_together_count_for_fewer() {
        let closings = Closings::default();
        let full = TOGETHER_AS_ONE * 8;
        let in_hand: Vec<_> = (1..MANY / 8).map(|_| closings.begin(full)).collect();
        let now = Instant::now();
        assert_eq!(closings.busy_until(now, now), None);
        let _one_more = closings.begin(full);
        assert!(closings.busy_until(now, now).is_some());
        drop(in_hand);
        assert_eq!(closings.in_hand.load(Ordering::Relaxed), 8);
    }

    #[test]
    fn a_reply_goes_on_a_moment_after_the_last_of_many() {
        let closings = Closings::default();
        let in_hand: Vec<_> = (0..MANY).map(|_| closings.begin(1)).collect();
        let now = Instant::now();
        let until = closings.busy_until(now, now).unwrap();
        assert!(until > now && until <= now + PAUSE);
        drop(in_hand);
        // The broker hands out the next ones only now.
        assert_eq!(closings.busy_until(now, now), Some(until));
        assert_eq!(closings.busy_until(now, until), None);
        // What came between, few of them, prolongs nothing.
        drop(closings.begin(1));
        assert_eq!(closings.busy_until(now, until), None);
    }

    #[test]
    fn no_reply_waits_longer_than_its_patience() {
        let closings = Closings::default();
        let came = Instant::now();
        let mut in_hand: Vec<_> = (0..MANY).map(|_| closings.begin(1)).collect();
        let just_before = came + PATIENCE - Duration::from_millis(1);
        // They come and go all the time.
        *closings.many_at() = Some(just_before);
        in_hand.pop();
        assert_eq!(
            closings.busy_until(came, just_before),
            Some(came + PATIENCE)
        );
        assert_eq!(closings.busy_until(came, came + PATIENCE), None);
    }
}
