//! One connection for publishing, from its opening to its end.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crash_points::crash_point;
use futures_util::StreamExt as _;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, Confirmation, Connection, ConnectionState, ErrorKind, Event};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::connection::{Nodes, PREPARE_DEADLINE, chain};
use crate::declare;
use crate::outgoing::Outgoing;
use crate::publisher::PublishError;
use crate::topology::Lane;

/// Confirms of one channel come in order, so a few channels keep one slow confirm from holding up
/// the rest. More than four gained nothing (docs/adr/0004-publishing.md).
const CHANNELS: usize = 4;

/// How often the connection is looked at, besides the events that lapin reports.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

/// A connection on which nothing has been confirmed for so long, while something waited, is given
/// up for another one, perhaps to another node. Heartbeats would take four times as long, and don't
/// see a node that has lost its cluster.
const LONGEST_SILENCE: Duration = Duration::from_secs(5);

/// One connection and what hangs on it.
pub(crate) struct Live {
    connection: Connection,
    channels: Vec<Channel>,
    next: AtomicUsize,
    lanes: tokio::sync::Mutex<HashSet<Lane>>,
    /// Since when something has waited for its confirm without any coming.
    silent_since: Mutex<Option<Instant>>,
    broken: CancellationToken,
    /// The topology was there already, perhaps not all of it: it has to be declared once more.
    declared_before: bool,
}

impl Live {
    /// Connects to one of the nodes. The topology is there afterwards.
    pub(crate) async fn open(nodes: &mut Nodes) -> Result<Self, String> {
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
            lanes: tokio::sync::Mutex::default(),
            silent_since: Mutex::default(),
            broken: CancellationToken::new(),
            declared_before,
        })
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connection.status().connected()
    }

    /// Whether the broker has said that it takes no messages.
    pub(crate) fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    /// Publishes and waits for the confirm, without a deadline, but not beyond the connection's end.
    pub(crate) async fn publish(&self, message: &Outgoing) -> Result<(), PublishError> {
        if self.is_blocked() {
            return Err(PublishError::Blocked);
        }
        self.silent_since().get_or_insert_with(Instant::now);
        let result = tokio::select! {
            result = self.confirmed(message) => result,
            () = self.broken.cancelled() => {
                Err(ErrorKind::InvalidConnectionState(ConnectionState::Closed).into())
            }
        };
        match result {
            Ok(confirmation) => {
                *self.silent_since() = None;
                match confirmation {
                    Confirmation::Ack(_) => Ok(()),
                    Confirmation::Nack(_) | Confirmation::NotRequested => {
                        Err(PublishError::Refused)
                    }
                }
            }
            Err(error) => {
                self.broken.cancel();
                Err(PublishError::Broken(error))
            }
        }
    }

    async fn confirmed(&self, message: &Outgoing) -> lapin::Result<Confirmation> {
        if let Some(lane) = message.lane {
            self.ensure_lane(lane).await?;
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
            .await?;
        crash_point!("publisher.sent");
        confirmation.await
    }

    /// A publish has missed its deadline.
    pub(crate) fn gave_no_answer(&self) {
        let silent_since = *self.silent_since();
        if silent_since.is_some_and(|since| since.elapsed() > LONGEST_SILENCE) {
            self.broken.cancel();
        }
    }

    fn silent_since(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.silent_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends what still waits, and the connection: one that is only half dead must not linger beside
    /// its successor.
    pub(crate) async fn close(&self, reason: &str) {
        self.broken.cancel();
        let closing = self.connection.close(200, reason.into());
        let _ = timeout(Duration::from_secs(1), closing).await;
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

    /// Declares what somebody may have deleted while we were away, and watches the connection.
    pub(crate) async fn declare_and_watch(&self) -> String {
        let declaring = async {
            match self.declare_once_more().await {
                Ok(()) => std::future::pending().await,
                Err(error) => chain(&error),
            }
        };
        tokio::select! {
            reason = declaring => reason,
            reason = self.until_broken() => reason,
        }
    }

    async fn declare_once_more(&self) -> lapin::Result<()> {
        if !self.declared_before {
            return Ok(());
        }
        let channel = self.connection.create_channel().await?;
        declare::declare(&channel).await?;
        channel.close(200, "declared".into()).await
    }

    /// Returns when the connection or one of its channels is no longer good.
    async fn until_broken(&self) -> String {
        let mut events = std::pin::pin!(self.connection.events_listener());
        let mut watch = tokio::time::interval(WATCH_INTERVAL);
        loop {
            tokio::select! {
                () = self.broken.cancelled() => return "a publish failed, or nothing was confirmed".to_owned(),
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
