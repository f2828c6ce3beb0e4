//! The consumer loop: decode, handle, publish follow-ups (confirmed), ack. No worker writes it
//! again.
//!
//! State is committed before follow-ups are published, and follow-ups before the ack, so a crash
//! anywhere means that the message comes again.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection};
use messages::Envelope;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::connection::{Backoff, BrokerSettings, Nodes, PREPARE_DEADLINE, chain};
use crate::declare;
use crate::delivery::Attempt;
use crate::outcome::Metrics;
use crate::outgoing::Outgoing;
use crate::processing::Worker;
use crate::publisher::Publisher;
use crate::topology::WorkQueue;
use crate::verdict::{Failure, Unavailable, Verdict};

/// How often the connection is looked at while no message comes.
pub(crate) const WATCH_INTERVAL: Duration = Duration::from_millis(500);

/// What a worker does with the messages of one queue.
pub trait Handler: Send + Sync + 'static {
    /// Handles one message. Must tolerate that it comes twice, late, or after a crash half-way.
    fn handle(&self, event: &Envelope, attempt: Attempt) -> impl Future<Output = Verdict> + Send;

    /// The attempts are spent, or [`Verdict::GiveUp`] was returned: marks the row failed and
    /// returns the follow-ups that tell people.
    fn give_up(
        &self,
        event: &Envelope,
        failure: &Failure,
    ) -> impl Future<Output = Result<Vec<Outgoing>, Unavailable>> + Send;
}

/// How a queue is read.
#[derive(Debug, Clone)]
pub struct ConsumerSettings {
    /// Where the broker is.
    pub broker: BrokerSettings,
    /// The queue.
    pub queue: WorkQueue,
    /// How many messages are handled at once. Also the prefetch: nothing waits inside the process.
    pub concurrency: u16,
    /// How many attempts a message has.
    pub attempts: u32,
    /// How long one call of the handler may take. Well under the broker's 30 minutes.
    pub handler_deadline: Duration,
    /// How long running handlers may finish after a shutdown was asked for.
    pub grace: Duration,
}

/// Reads the queue until `shutdown` is cancelled; then finishes what is running, within the grace,
/// and returns the rest to the queue. `consuming` tells whether the queue is being read.
pub async fn consume<H: Handler>(
    settings: ConsumerSettings,
    publisher: Publisher,
    handler: H,
    consuming: tokio::sync::watch::Sender<bool>,
    shutdown: CancellationToken,
) {
    let worker = Arc::new(Worker {
        metrics: Metrics::new(),
        places: Semaphore::new(settings.concurrency.into()),
        settings,
        publisher,
        handler,
        stop: CancellationToken::new(),
    });
    let queue = worker.settings.queue.name();
    let mut nodes = Nodes::new(worker.settings.broker.clone(), queue);
    let mut running = JoinSet::new();
    let mut backoff = Backoff::default();
    while !shutdown.is_cancelled() {
        let ended = worker
            .session(
                &mut nodes,
                &mut running,
                &consuming,
                &mut backoff,
                &shutdown,
            )
            .await;
        consuming.send_replace(false);
        if let Err(reason) = ended {
            warn!(
                messaging.destination.name = queue,
                reason, "Stopped reading the queue; connecting again."
            );
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(backoff.next()) => {}
            }
        }
    }
    worker.stop.cancel();
    running.shutdown().await;
}

impl<H: Handler> Worker<H> {
    /// One connection's life. `Err` says why it ended early; `Ok` is a shutdown.
    async fn session(
        self: &Arc<Self>,
        nodes: &mut Nodes,
        running: &mut JoinSet<()>,
        consuming: &tokio::sync::watch::Sender<bool>,
        backoff: &mut Backoff,
        shutdown: &CancellationToken,
    ) -> Result<(), String> {
        let queue = self.settings.queue.name();
        let opening = async {
            let connection = nodes.connect().await.map_err(|error| chain(&error))?;
            let subscription = timeout(PREPARE_DEADLINE, self.subscribe(&connection))
                .await
                .map_err(|_| "the broker did not answer after the connection was made".to_owned())?
                .map_err(|error| chain(&error))?;
            Ok::<_, String>((connection, subscription))
        };
        let (connection, (channel, mut deliveries)) = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            opened = opening => opened?,
        };
        info!(messaging.destination.name = queue, "Reading the queue.");
        backoff.reset();
        consuming.send_replace(true);

        let mut watch = tokio::time::interval(WATCH_INTERVAL);
        let ended = loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break Ok(()),
                Some(_) = running.join_next(), if !running.is_empty() => {}
                delivery = deliveries.next() => match delivery {
                    Some(Ok(delivery)) => {
                        let worker = self.clone();
                        let channel = channel.clone();
                        running.spawn(async move { worker.process(delivery, &channel).await });
                    }
                    Some(Err(error)) => break Err(chain(&error)),
                    // lapin ends the stream without an error when the queue was deleted.
                    None => break Err("the subscription ended".to_owned()),
                },
                _ = watch.tick() => {
                    if !connection.status().connected() || !channel.status().connected() {
                        break Err("the connection or the channel was closed".to_owned());
                    }
                }
            }
        };
        if ended.is_ok() {
            self.finish(&channel, &deliveries.tag().to_string(), running)
                .await;
        }
        // Handlers that still run finish on their own; their ack comes too late, so the message
        // comes again and finds its work done.
        let _ = timeout(Duration::from_secs(1), connection.close(200, "done".into())).await;
        ended
    }

    async fn subscribe(
        &self,
        connection: &Connection,
    ) -> lapin::Result<(Channel, lapin::Consumer)> {
        let declaring = connection.create_channel().await?;
        declare::declare(&declaring).await?;
        declaring.close(200, "declared".into()).await?;
        let channel = connection.create_channel().await?;
        channel
            .basic_qos(self.settings.concurrency, BasicQosOptions::default())
            .await?;
        let queue = self.settings.queue.name().into();
        let options = BasicConsumeOptions::default();
        let deliveries = channel
            .basic_consume(queue, "".into(), options, FieldTable::default())
            .await?;
        Ok((channel, deliveries))
    }

    /// Takes no new message and waits for those that are running, within the grace.
    async fn finish(&self, channel: &Channel, tag: &str, running: &mut JoinSet<()>) {
        let cancel = channel.basic_cancel(tag.into(), BasicCancelOptions::default());
        let _ = timeout(Duration::from_secs(2), cancel).await;
        let all = async { while running.join_next().await.is_some() {} };
        if timeout(self.settings.grace, all).await.is_err() {
            warn!(
                messaging.destination.name = self.settings.queue.name(),
                unfinished = running.len(),
                "Some messages were not finished in time; they go back to the queue."
            );
        }
    }
}
