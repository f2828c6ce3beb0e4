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

/// So many batches in hand at once mean that more are waiting: two full messages of timers, or half of the
/// messages that the broker hands out. In normal life there are a few.
const MANY: usize = 128;

/// How long they have to be fewer before replies go on: what was closed is acked, and only then the broker
/// hands out more.
const PAUSE: Duration = Duration::from_millis(50);

/// The longest that a reply waits. As many replies wait at once as the worker has in hand, so that some
/// hundreds a second are made whatever else is done.
const PATIENCE: Duration = Duration::from_millis(500);

/// What one process has to close.
#[derive(Default)]
pub(crate) struct Closings {
    in_hand: AtomicUsize,
    many_at: Mutex<Option<Instant>>,
}

/// One batch that may be closed, until this is dropped.
pub(crate) struct InHand<'a>(&'a Closings);

impl Closings {
    /// A batch is in hand from now on.
    pub(crate) fn begin(&self) -> InHand<'_> {
        if self.in_hand.fetch_add(1, Ordering::Relaxed) + 1 >= MANY {
            *self.many_at() = Some(Instant::now());
        }
        InHand(self)
    }

    /// Waits while there are many.
    pub(crate) async fn give_way(&self) {
        let came = Instant::now();
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
        self.0.in_hand.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Closings, MANY, PATIENCE, PAUSE};

    #[test]
    fn a_few_closings_keep_no_reply_waiting() {
        let closings = Closings::default();
        let _in_hand: Vec<_> = (1..MANY).map(|_| closings.begin()).collect();
        let now = Instant::now();
        assert_eq!(closings.busy_until(now, now), None);
    }

    #[test]
    fn a_reply_goes_on_a_moment_after_the_last_of_many() {
        let closings = Closings::default();
        let in_hand: Vec<_> = (0..MANY).map(|_| closings.begin()).collect();
        let now = Instant::now();
        let until = closings.busy_until(now, now).unwrap();
        assert!(until > now && until <= now + PAUSE);
        drop(in_hand);
        // The broker hands out the next ones only now.
        assert_eq!(closings.busy_until(now, now), Some(until));
        assert_eq!(closings.busy_until(now, until), None);
        // What came between, few of them, prolongs nothing.
        drop(closings.begin());
        assert_eq!(closings.busy_until(now, until), None);
    }

    #[test]
    fn no_reply_waits_longer_than_its_patience() {
        let closings = Closings::default();
        let came = Instant::now();
        let mut in_hand: Vec<_> = (0..MANY).map(|_| closings.begin()).collect();
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
