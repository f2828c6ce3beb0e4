//! What can happen to a worker in the middle of a message.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use broker::Verdict;
use proptest::prelude::*;
use sandbox::Sandbox;

/// What happens to a worker while it handles a message.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fate {
    /// Nothing.
    Lives,
    /// It dies after the handler has waited this often.
    DiesIn(u16),
    /// It dies after the handler, before any follow-up is published.
    DiesBeforeFollowUps,
    /// It dies between the confirm of the follow-ups and the ack.
    DiesBeforeAck,
    /// It stands still in its n-th outward call, and may come back long after the message went to
    /// another worker.
    FreezesInCall(u8),
}

/// A handler at work.
pub(super) type Handling = Pin<Box<dyn Future<Output = Verdict>>>;

/// Any of them, most often the best.
pub(super) fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        8 => Just(Fate::Lives),
        4 => (0..60u16).prop_map(Fate::DiesIn),
        1 => Just(Fate::DiesBeforeFollowUps),
        1 => Just(Fate::DiesBeforeAck),
        3 => (1..4u8).prop_map(Fate::FreezesInCall),
    ]
}

/// Lets it wait so often, then it is no more. Its verdict, if it was done before.
pub(super) async fn dies_in(handling: &mut Handling, waits: u16) -> Option<Verdict> {
    let mut left = waits;
    poll_fn(|context| match handling.as_mut().poll(context) {
        Poll::Ready(verdict) => Poll::Ready(Some(verdict)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

/// Lets it go on until it has called so often, then it stands still. Its verdict, if it was done before.
/// Not in a transaction, which would keep everybody else from SQLite: no handler calls out in one.
pub(super) async fn freezes_in_call(
    handling: &mut Handling,
    sandbox: &Sandbox,
    calls: u8,
) -> Option<Verdict> {
    let stop_at = sandbox.received(None).len() + usize::from(calls.max(1));
    poll_fn(|context| {
        // Looked at before: when the answer is there, the next step would begin.
        if sandbox.received(None).len() >= stop_at {
            return Poll::Ready(None);
        }
        handling.as_mut().poll(context).map(Some)
    })
    .await
}
