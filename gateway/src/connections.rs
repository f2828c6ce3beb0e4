//! The connections that are open: a bounded number, in which a newcomer always finds a place.
//!
//! Whoever holds connections open without sending anything must not keep a provider's webhook out.
//! So when all places are taken, the connection that has kept us waiting longest (for the head of a
//! request, for the rest of its body, or for its answer to be read) is closed. No limit for each
//! address: providers and proxies send everything from a few.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How many connections are served at once where the system lets us open as many files.
const MOST_CONNECTIONS: usize = 4096;

/// Files that something else needs: the connections to broker and database, logs.
const OTHER_FILES: u64 = 128;

/// How many connections there is room for. Raises the process's limit of open files as far as that
/// needs and the system allows.
pub(crate) fn room() -> usize {
    let wanted = MOST_CONNECTIONS as u64 + OTHER_FILES;
    let limit = getrlimit(Resource::Nofile);
    // No limit at all is `None`.
    let allowed = limit.maximum.map_or(wanted, |most| most.min(wanted));
    let mut files = limit.current.unwrap_or(wanted);
    if files < allowed {
        let raised = Rlimit {
            current: Some(allowed),
            maximum: limit.maximum,
        };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            files = allowed;
        }
    }
    let room = files.saturating_sub(OTHER_FILES).max(16);
    usize::try_from(room).map_or(MOST_CONNECTIONS, |room| room.min(MOST_CONNECTIONS))
}

/// All connections.
pub(crate) struct Connections {
    most: usize,
    open: Mutex<Open>,
    /// Something has changed that may have made room.
    changed: Notify,
}

#[derive(Default)]
struct Open {
    count: usize,
    /// The next number for a connection that begins to wait.
    next_turn: u64,
    /// The connections that wait for their client, those that have waited longest first.
    waiting: BTreeMap<u64, CancellationToken>,
}

/// One connection's place. Free again when this is dropped.
pub(crate) struct Place {
    connections: Arc<Connections>,
    /// Cancelled when somebody else needs the place.
    closed: CancellationToken,
    /// Its number among those that wait; `None` while we work for it.
    turn: Mutex<Option<u64>>,
}

impl Connections {
    /// Room for `most` connections.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            open: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// A place for a new connection. Where there is none, the one that has waited longest for its
    /// client is closed; only while all of them are being worked for is a place waited for.
    pub(crate) async fn admit(self: &Arc<Self>) -> Place {
        loop {
            {
                let mut open = self.lock();
                if open.count < self.most || open.close_longest_waiting() {
                    open.count += 1;
                    break;
                }
            }
            self.changed.notified().await;
        }
        let place = Place {
            connections: self.clone(),
            closed: CancellationToken::new(),
            turn: Mutex::new(None),
        };
        place.waits_for_client();
        place
    }

    /// Closes one connection, for want of something that it holds.
    pub(crate) fn close_one(&self) {
        self.lock().close_longest_waiting();
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn close_longest_waiting(&mut self) -> bool {
        let Some((_, connection)) = self.waiting.pop_first() else {
            return false;
        };
        connection.cancel();
        true
    }
}

impl Place {
    /// It is the client's turn: to send a request, or to read its answer.
    pub(crate) fn waits_for_client(&self) {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if turn.is_some() {
            return;
        }
        let mut open = self.connections.lock();
        let number = open.next_turn;
        open.next_turn += 1;
        open.waiting.insert(number, self.closed.clone());
        drop(open);
        *turn = Some(number);
        self.connections.changed.notify_one();
    }

    /// It is our turn: the whole request is here.
    pub(crate) fn works(&self) {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = turn.take() {
            self.connections.lock().waiting.remove(&number);
        }
    }

    /// Returns when somebody else needs the place.
    pub(crate) async fn closed(&self) {
        self.closed.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.works();
        self.connections.lock().count -= 1;
        self.connections.changed.notify_one();
    }
}

/// The body of a request. Its connection waits for the client until the body's end.
pub(crate) struct RequestBody {
    body: Incoming,
    place: Arc<Place>,
}

impl RequestBody {
    /// Tells the place when the body has come whole, or nobody wants the rest.
    pub(crate) fn new(body: Incoming, place: Arc<Place>) -> Self {
        if body.is_end_stream() {
            place.works();
        }
        Self { body, place }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.place.works();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.place.works();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt as _;

    use super::{Connections, Place};

    fn is_closed(place: &Place) -> bool {
        place.closed().now_or_never().is_some()
    }

    #[tokio::test]
    async fn a_newcomer_takes_the_place_of_who_has_waited_longest() {
        let connections = Connections::new(2);
        let (first, second) = (connections.admit().await, connections.admit().await);
        // The first one's request is there and answered: it waits anew, and for a shorter time.
        first.works();
        first.waits_for_client();
        let _third = connections.admit().await;
        assert!(!is_closed(&first));
        assert!(is_closed(&second));
    }

    #[tokio::test]
    async fn who_is_worked_for_is_never_closed() {
        let connections = Connections::new(1);
        let first = Arc::new(connections.admit().await);
        first.works();
        let newcomer = tokio::spawn({
            let connections = connections.clone();
            async move { connections.admit().await }
        });
        tokio::task::yield_now().await;
        assert!(!newcomer.is_finished());
        assert!(!is_closed(&first));
        first.waits_for_client();
        let _newcomer = newcomer.await.unwrap();
        assert!(is_closed(&first));
    }

    #[tokio::test]
    async fn a_place_is_free_again_when_its_connection_ends() {
        let connections = Connections::new(1);
        drop(connections.admit().await);
        let place = connections.admit().await;
        assert!(!is_closed(&place));
        assert_eq!(connections.lock().count, 1);
        drop(place);
        let open = connections.lock();
        assert!(open.count == 0 && open.waiting.is_empty());
    }
}
