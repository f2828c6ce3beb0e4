//! Publishing: every message persistent, every publish confirmed, each with its own deadline.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::connection::{Backoff, BrokerSettings, Nodes};
use crate::live::Live;
use crate::outgoing::Outgoing;

/// How much may wait for its confirm at once, in KiB. With more, the broker is in trouble, and
/// whoever has the message keeps it better than our memory does.
const MOST_IN_FLIGHT_KIB: u32 = 64 * 1024;

/// Why a message is not confirmed. A retry can help in every case; after [`Self::TimedOut`],
/// [`Self::Blocked`] and [`Self::Broken`] the message may be in the queue all the same, now or
/// later, so it may arrive twice.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// There was no connection to the broker within the deadline.
    #[error("the broker can't be reached")]
    NotConnected,
    /// The broker has blocked publishing because of its memory or disk alarm.
    #[error("the broker accepts no messages: its memory or disk alarm is on")]
    Blocked,
    /// The broker did not confirm within the deadline.
    #[error("the broker did not confirm within the deadline")]
    TimedOut,
    /// The broker refused the message.
    #[error("the broker refused the message")]
    Refused,
    /// The channel broke on the way.
    #[error("the connection to the broker broke")]
    Broken(#[source] lapin::Error),
    /// It was not tried: the broker has not confirmed too much of what came before.
    #[error("too much waits for its confirm")]
    Full,
}

/// Whether the publisher could publish now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublisherStatus {
    /// Connected, and the broker takes messages.
    Ready,
    /// Connected, but the broker's memory or disk alarm is on.
    Blocked,
    /// Not connected; a task tries again all the time.
    Disconnected,
}

/// Publishes over a connection of its own, which is rebuilt when it breaks. Cheap to clone.
#[derive(Clone)]
pub struct Publisher {
    live: watch::Receiver<Option<Arc<Live>>>,
    deadline: Duration,
    /// In KiB, for what is on its way: also after its deadline, as long as it lies in our memory.
    room: Arc<Semaphore>,
    _stop: Arc<tokio_util::sync::DropGuard>,
}

impl Publisher {
    /// Starts connecting in the background and declares the topology on each new connection.
    /// Never fails: while there is no broker, publishing does.
    #[must_use]
    pub fn start(settings: BrokerSettings) -> Self {
        let (sender, live) = watch::channel(None);
        let stop = CancellationToken::new();
        let deadline = settings.publish_deadline;
        let nodes = Nodes::new(settings, "publisher");
        tokio::spawn(supervise(nodes, sender, stop.clone()));
        Self {
            live,
            deadline,
            room: Arc::new(Semaphore::new(MOST_IN_FLIGHT_KIB as usize)),
            _stop: Arc::new(stop.drop_guard()),
        }
    }

    /// Whether a publish could succeed now.
    #[must_use]
    pub fn status(&self) -> PublisherStatus {
        match self.live.borrow().as_ref() {
            Some(live) if live.is_blocked() => PublisherStatus::Blocked,
            Some(live) if live.is_connected() => PublisherStatus::Ready,
            _ => PublisherStatus::Disconnected,
        }
    }

    /// Publishes one message and waits until the broker has it on disk in some queue.
    ///
    /// # Errors
    /// [`PublishError`]; the call never takes longer than the publish deadline.
    pub async fn publish(&self, message: &Outgoing) -> Result<(), PublishError> {
        let deadline = Instant::now() + self.deadline;
        let kib = message.kib().min(MOST_IN_FLIGHT_KIB);
        let Ok(room) = self.room.clone().try_acquire_many_owned(kib) else {
            return Err(PublishError::Full);
        };
        let Ok(live) = timeout_at(deadline, self.connected()).await else {
            return Err(PublishError::NotConnected);
        };
        let publishing = {
            let (live, message) = (live.clone(), message.clone());
            async move {
                let result = live.publish(&message).await;
                drop(room);
                result
            }
        };
        match timeout_at(deadline, Lasting(Some(publishing.boxed()))).await {
            Ok(result) => result,
            Err(_) if live.is_blocked() => Err(PublishError::Blocked),
            Err(_) => {
                live.gave_no_answer();
                Err(PublishError::TimedOut)
            }
        }
    }

    /// Publishes several messages at once and waits for all their confirms.
    ///
    /// # Errors
    /// The first [`PublishError`]; the other messages may be confirmed all the same.
    pub async fn publish_all(&self, messages: &[Outgoing]) -> Result<(), PublishError> {
        futures_util::future::try_join_all(messages.iter().map(|message| self.publish(message)))
            .await
            .map(|_| ())
    }

    /// Publishes and tries again until the broker confirms or `stop` is cancelled.
    ///
    /// # Errors
    /// The last [`PublishError`] when stopped.
    pub async fn publish_all_until(
        &self,
        messages: &[Outgoing],
        stop: &CancellationToken,
    ) -> Result<(), PublishError> {
        let mut backoff = Backoff::default();
        loop {
            let error = match self.publish_all(messages).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            tokio::select! {
                () = stop.cancelled() => return Err(error),
                () = tokio::time::sleep(backoff.next()) => {}
            }
        }
    }

    async fn connected(&self) -> Arc<Live> {
        let mut live = self.live.clone();
        let current = live
            .wait_for(Option::is_some)
            .await
            .map(|current| current.clone());
        match current {
            Ok(Some(live)) => live,
            // The supervisor stops only with the last publisher, so this is never waited for.
            _ => std::future::pending().await,
        }
    }
}

/// A publish that goes on when nobody waits for it any more: after the deadline, or when the caller is
/// gone, lapin keeps the message until it is confirmed or the connection is closed, and so long it
/// takes its room.
struct Lasting(Option<BoxFuture<'static, Result<(), PublishError>>>);

impl Future for Lasting {
    type Output = Result<(), PublishError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let publishing = self.0.as_mut().expect("it is not polled after its end");
        let result = ready!(publishing.as_mut().poll(context));
        self.0 = None;
        Poll::Ready(result)
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        // Without a runtime the process ends, and its memory with it.
        if let (Some(publishing), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(publishing);
        }
    }
}

/// Keeps one connection alive until the last publisher is gone.
async fn supervise(
    mut nodes: Nodes,
    sender: watch::Sender<Option<Arc<Live>>>,
    stop: CancellationToken,
) {
    let mut backoff = Backoff::default();
    loop {
        let opened = tokio::select! {
            () = stop.cancelled() => return,
            opened = Live::open(&mut nodes) => opened,
        };
        match opened {
            Ok(live) => {
                info!(
                    messaging.system = "rabbitmq",
                    "Connected to the broker for publishing."
                );
                backoff.reset();
                let live = Arc::new(live);
                sender.send_replace(Some(live.clone()));
                let reason = tokio::select! {
                    () = stop.cancelled() => return live.close("stopped").await,
                    reason = live.declare_and_watch() => reason,
                };
                sender.send_replace(None);
                warn!(
                    messaging.system = "rabbitmq",
                    reason, "Lost the broker for publishing; connecting again."
                );
                live.close("rebuilding").await;
            }
            Err(reason) => {
                warn!(
                    messaging.system = "rabbitmq",
                    reason, "Can't connect to the broker; trying again."
                );
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(backoff.next()) => {}
                }
            }
        }
    }
}
