//! Publishing: every message persistent, every publish confirmed, each with its own deadline.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crash_points::crash_point;
use futures_util::StreamExt as _;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, Confirmation, Connection, Event};
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::connection::{Backoff, BrokerSettings, Nodes, PREPARE_DEADLINE, chain};
use crate::declare;
use crate::outgoing::Outgoing;
use crate::topology::Lane;

/// Confirms of one channel come in order, so a few channels keep one slow confirm from holding up
/// the rest. More than four gained nothing (docs/adr/0004-publishing.md).
const CHANNELS: usize = 4;

/// How often the connection is looked at, besides the events that lapin reports.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

/// Why a message is not confirmed. A retry can help in every case; after [`Self::TimedOut`] and
/// [`Self::Broken`] the message may be in the queue all the same, so it may arrive twice.
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
    _stop: Arc<tokio_util::sync::DropGuard>,
}

/// One connection and what hangs on it.
struct Live {
    connection: Connection,
    channels: Vec<Channel>,
    next: AtomicUsize,
    lanes: Mutex<HashSet<Lane>>,
    broken: CancellationToken,
    /// The topology was there already, perhaps not all of it: it has to be declared once more.
    declared_before: bool,
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
            _stop: Arc::new(stop.drop_guard()),
        }
    }

    /// Whether a publish could succeed now.
    #[must_use]
    pub fn status(&self) -> PublisherStatus {
        match self.live.borrow().as_ref() {
            Some(live) if live.connection.status().blocked() => PublisherStatus::Blocked,
            Some(live) if live.connection.status().connected() => PublisherStatus::Ready,
            _ => PublisherStatus::Disconnected,
        }
    }

    /// Publishes one message and waits until the broker has it on disk in some queue.
    ///
    /// # Errors
    /// [`PublishError`]; the call never takes longer than the publish deadline.
    pub async fn publish(&self, message: &Outgoing) -> Result<(), PublishError> {
        let mut live = None;
        let attempt = async {
            let current = self.connected().await;
            live = Some(current.clone());
            current.publish(message).await
        };
        let result = timeout(self.deadline, attempt).await;
        match (result, live) {
            (Ok(Ok(())), _) => Ok(()),
            (Ok(Err(error)), live) => {
                if let (PublishError::Broken(_), Some(live)) = (&error, live) {
                    live.broken.cancel();
                }
                Err(error)
            }
            (Err(_), None) => Err(PublishError::NotConnected),
            (Err(_), Some(live)) if live.connection.status().blocked() => {
                Err(PublishError::Blocked)
            }
            (Err(_), Some(_)) => Err(PublishError::TimedOut),
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

impl Live {
    async fn open(nodes: &mut Nodes) -> Result<Self, String> {
        let connection = nodes.connect().await.map_err(|error| chain(&error))?;
        let prepare = async {
            // A broker that comes back still has the topology: it is declared once more when
            // publishing goes on, not before.
            let declared_before = declare::is_declared(&connection).await?;
            if !declared_before {
                declare::declare(&connection.create_channel().await?).await?;
            }
            let mut channels = Vec::with_capacity(CHANNELS);
            for _ in 0..CHANNELS {
                let channel = connection.create_channel().await?;
                channel
                    .confirm_select(ConfirmSelectOptions::default())
                    .await?;
                channels.push(channel);
            }
            lapin::Result::Ok((channels, declared_before))
        };
        let (channels, declared_before) = timeout(PREPARE_DEADLINE, prepare)
            .await
            .map_err(|_| "the broker did not answer after the connection was made".to_owned())?
            .map_err(|error| chain(&error))?;
        Ok(Self {
            connection,
            channels,
            next: AtomicUsize::new(0),
            lanes: Mutex::default(),
            broken: CancellationToken::new(),
            declared_before,
        })
    }

    async fn publish(&self, message: &Outgoing) -> Result<(), PublishError> {
        if self.connection.status().blocked() {
            return Err(PublishError::Blocked);
        }
        if let Some(lane) = message.lane {
            self.ensure_lane(lane).await.map_err(PublishError::Broken)?;
        }
        let index = self.next.fetch_add(1, Ordering::Relaxed) % self.channels.len();
        let confirmation = self.channels[index]
            .basic_publish(
                message.exchange.as_str().into(),
                message.routing_key.as_str().into(),
                BasicPublishOptions::default(),
                &message.body,
                message.properties(),
            )
            .await
            .map_err(PublishError::Broken)?;
        crash_point!("publisher.sent");
        match confirmation.await.map_err(PublishError::Broken)? {
            Confirmation::Ack(_) => Ok(()),
            Confirmation::Nack(_) | Confirmation::NotRequested => Err(PublishError::Refused),
        }
    }

    async fn ensure_lane(&self, lane: Lane) -> lapin::Result<()> {
        let mut lanes = self.lanes.lock().await;
        if !lanes.contains(&lane) {
            // On a channel of its own: a declaration that the broker refuses closes its channel.
            let channel = self.connection.create_channel().await?;
            declare::declare_lane(&channel, lane).await?;
            channel.close(200, "lane declared".into()).await?;
            lanes.insert(lane);
        }
        Ok(())
    }

    /// Declares what somebody may have deleted while we were away, then watches the connection.
    async fn declare_and_watch(&self) -> String {
        if !self.declared_before {
            return self.until_broken().await;
        }
        let declared = async {
            let channel = self.connection.create_channel().await?;
            declare::declare(&channel).await?;
            channel.close(200, "declared".into()).await
        };
        match declared.await {
            Ok(()) => self.until_broken().await,
            Err(error) => chain(&error),
        }
    }

    /// Returns when the connection or one of its channels is no longer good.
    async fn until_broken(&self) -> String {
        let mut events = std::pin::pin!(self.connection.events_listener());
        let mut watch = tokio::time::interval(WATCH_INTERVAL);
        loop {
            tokio::select! {
                () = self.broken.cancelled() => return "a publish failed".to_owned(),
                event = events.next() => match event {
                    Some(Event::Error(error)) => return chain(&error),
                    Some(Event::ConnectionBlocked(reason)) => {
                        warn!(messaging.system = "rabbitmq", reason, "The broker blocks publishing.");
                    }
                    Some(Event::ConnectionUnblocked) => {
                        info!(messaging.system = "rabbitmq", "The broker takes messages again.");
                    }
                    Some(_) => {}
                    None => return "the connection ended".to_owned(),
                },
                _ = watch.tick() => {
                    let good = self.connection.status().connected()
                        && self.channels.iter().all(|channel| channel.status().connected());
                    if !good {
                        return "the connection or a channel was closed".to_owned();
                    }
                }
            }
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
                    () = stop.cancelled() => {
                        let _ = live.connection.close(200, "stopped".into()).await;
                        return;
                    }
                    reason = live.declare_and_watch() => reason,
                };
                sender.send_replace(None);
                warn!(
                    messaging.system = "rabbitmq",
                    reason, "Lost the broker for publishing; connecting again."
                );
                // A connection that is only half dead must not linger beside its successor.
                let _ = timeout(
                    Duration::from_secs(1),
                    live.connection.close(200, "rebuilding".into()),
                )
                .await;
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
