//! The consumer loop: decode, handle, publish follow-ups (confirmed), ack. No worker writes it
//! again.
//!
//! State is committed before follow-ups are published, and follow-ups before the ack, so a crash
//! anywhere means that the message comes again.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use futures_util::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection};
use messages::Envelope;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span, error, info, warn};

use crate::connection::{Backoff, BrokerSettings, chain, connect};
use crate::delivery::{ATTEMPT, Attempt, FIRST_SEEN};
use crate::outgoing::{Original, Outgoing};
use crate::parking::parked;
use crate::publisher::Publisher;
use crate::topology::{self, Lane, WorkQueue};
use crate::trace;
use crate::verdict::{Failure, Unavailable, Verdict};

/// How long one ack may take before the connection counts as broken.
const ACK_DEADLINE: Duration = Duration::from_secs(10);

/// A message that was never due in this time is parked instead of waiting for ever.
const SNOOZE_LIMIT: Duration = Duration::from_secs(14 * 24 * 3600);

/// How often the connection is looked at while no message comes.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

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
        settings,
        publisher,
        handler,
        stop: CancellationToken::new(),
    });
    let queue = worker.settings.queue.name();
    let mut running = JoinSet::new();
    let mut backoff = Backoff::default();
    while !shutdown.is_cancelled() {
        let ended = worker
            .session(&mut running, &consuming, &mut backoff, &shutdown)
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

struct Worker<H> {
    settings: ConsumerSettings,
    publisher: Publisher,
    handler: H,
    metrics: Metrics,
    /// Cancelled when the grace is over: what still waits gives up and leaves its message unacked.
    stop: CancellationToken,
}

impl<H: Handler> Worker<H> {
    /// One connection's life. `Err` says why it ended early; `Ok` is a shutdown.
    async fn session(
        self: &Arc<Self>,
        running: &mut JoinSet<()>,
        consuming: &tokio::sync::watch::Sender<bool>,
        backoff: &mut Backoff,
        shutdown: &CancellationToken,
    ) -> Result<(), String> {
        let queue = self.settings.queue.name();
        let connecting = connect(&self.settings.broker, queue);
        let connection = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            connection = connecting => connection.map_err(|error| chain(&error))?,
        };
        let (channel, mut deliveries) = self
            .subscribe(&connection)
            .await
            .map_err(|error| chain(&error))?;
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
        topology::declare(&declaring).await?;
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

    /// Handles one delivery to its end, and says so in one log line.
    async fn process(self: Arc<Self>, delivery: Delivery, channel: &Channel) {
        let queue = self.settings.queue;
        let started = Instant::now();
        let attempt = Attempt::of(&delivery, self.settings.attempts, Utc::now());
        let decoded = Envelope::decode(&delivery.data);
        let span = tracing::info_span!(
            "process",
            otel.name = format!("process {}", queue.name()),
            otel.kind = "consumer",
            messaging.system = "rabbitmq",
            messaging.operation.type = "process",
            messaging.destination.name = queue.name(),
            messaging.message.id = tracing::field::Empty,
            event.type = tracing::field::Empty,
            attempt = attempt.number,
        );
        if let Ok(event) = &decoded {
            span.record("messaging.message.id", event.id.as_str());
            span.record("event.type", event.event_type.as_str());
            trace::continue_trace(&span, event.traceparent.as_deref());
        }
        let outcome = self
            .carry_out(&delivery, decoded, attempt, channel, &span)
            .instrument(span.clone())
            .await;
        self.metrics.record(queue, &outcome, started.elapsed());
        let _entered = span.enter();
        let duration_ms = started.elapsed().as_millis() as u64;
        let Outcome {
            name,
            reason,
            detail,
        } = outcome;
        match name {
            "parked" => error!(
                outcome = name,
                reason, detail, duration_ms, "The message was parked."
            ),
            "retry" | "unsettled" => warn!(
                outcome = name,
                reason, detail, duration_ms, "The message comes again."
            ),
            _ => info!(
                outcome = name,
                reason, duration_ms, "The message was handled."
            ),
        }
    }

    async fn carry_out(
        self: &Arc<Self>,
        delivery: &Delivery,
        decoded: Result<Envelope, messages::DecodeError>,
        attempt: Attempt,
        channel: &Channel,
        span: &Span,
    ) -> Outcome {
        let (verdict, event) = match decoded {
            Ok(event) => {
                let event = Arc::new(event);
                (
                    self.handle_until_available(&event, attempt, channel, span)
                        .await,
                    Some(event),
                )
            }
            Err(error) => (
                Some(Verdict::Poison(Failure::new("unreadable", chain(&error)))),
                None,
            ),
        };
        let Some(verdict) = verdict else {
            return Outcome::unsettled("stopped while the database was away");
        };
        let original = Original {
            body: &delivery.data,
            message_id: event.as_ref().map(|event| event.id.clone()),
            event_type: event.as_ref().map(|event| event.event_type.clone()),
        };
        let (messages, outcome) = match self
            .plan(verdict, event.as_deref(), attempt, &original)
            .await
        {
            Ok(plan) => plan,
            Err(Unavailable(detail)) => return Outcome::unsettled(&detail),
        };
        if let Err(error) = self.publish(&messages, channel).await {
            return Outcome::unsettled(&error);
        }
        match timeout(ACK_DEADLINE, delivery.ack(BasicAckOptions::default())).await {
            Ok(Ok(true)) => outcome,
            Ok(Ok(false)) => {
                Outcome::unsettled("the delivery belongs to a connection that is gone")
            }
            Ok(Err(error)) => Outcome::unsettled(&chain(&error)),
            Err(_) => Outcome::unsettled("the broker did not take the ack in time"),
        }
    }

    /// Calls the handler; while our database is away, again and again. `None` means that we stop,
    /// or that the delivery is no longer ours.
    async fn handle_until_available(
        self: &Arc<Self>,
        event: &Arc<Envelope>,
        attempt: Attempt,
        channel: &Channel,
        span: &Span,
    ) -> Option<Verdict> {
        let mut backoff = Backoff::default();
        loop {
            let detail = match self.handle_once(event, attempt, span).await {
                Verdict::Hold(Unavailable(detail)) => detail,
                verdict => return Some(verdict),
            };
            warn!(detail, "Something of our own is away; the message waits.");
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep(backoff.next()) => {}
            }
            if !channel.status().connected() {
                return None;
            }
        }
    }

    /// One call of the handler, in a task of its own so that a panic ends only this message.
    async fn handle_once(
        self: &Arc<Self>,
        event: &Arc<Envelope>,
        attempt: Attempt,
        span: &Span,
    ) -> Verdict {
        let (worker, event) = (self.clone(), event.clone());
        let deadline = self.settings.handler_deadline;
        let call = async move { timeout(deadline, worker.handler.handle(&event, attempt)).await };
        match tokio::spawn(call.instrument(span.clone())).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(_)) => Verdict::RetryLater {
                failure: Failure::new(
                    "handler_deadline",
                    format!("the handler was not done after {} s", deadline.as_secs()),
                ),
                delay: None,
            },
            Err(panic) => Verdict::RetryLater {
                failure: Failure::new("handler_panic", panic.to_string()),
                delay: None,
            },
        }
    }

    /// What has to be published before the ack, and how the attempt is counted.
    async fn plan(
        &self,
        verdict: Verdict,
        event: Option<&Envelope>,
        attempt: Attempt,
        original: &Original<'_>,
    ) -> Result<(Vec<Outgoing>, Outcome), Unavailable> {
        let queue = self.settings.queue;
        let again = |lane: Lane, failures: u32| {
            Outgoing::again(lane, queue, original)
                .with_header(ATTEMPT, failures.to_string())
                .with_header(FIRST_SEEN, attempt.first_seen.to_rfc3339())
        };
        Ok(match verdict {
            Verdict::Done(follow_ups) => (follow_ups, Outcome::new("done")),
            Verdict::Duplicate(follow_ups) => (follow_ups, Outcome::new("duplicate")),
            Verdict::Skipped(reason) => (Vec::new(), Outcome::new("skipped").because(reason, "")),
            Verdict::RetryLater { failure, delay } if !attempt.is_last() => {
                // A provider that asks for a longer wait than ours gets it.
                let lane = Lane::for_attempt(attempt.number)
                    .max(delay.map_or(Lane::seconds(1), Lane::at_least));
                let outcome = Outcome::new("retry").because(failure.reason, &failure.detail);
                (vec![again(lane, attempt.number)], outcome)
            }
            Verdict::RetryLater { failure, .. } | Verdict::GiveUp(failure) => {
                self.park(failure, event, attempt, original).await?
            }
            Verdict::Snooze { reason, delay } => {
                let waited = (Utc::now() - attempt.first_seen)
                    .to_std()
                    .unwrap_or_default();
                if waited < SNOOZE_LIMIT {
                    let outcome = Outcome::new("snoozed").because(reason, "");
                    let seconds = delay.as_secs_f64().ceil().min(3600.0) as u32;
                    (
                        vec![again(Lane::seconds(seconds), attempt.number - 1)],
                        outcome,
                    )
                } else {
                    let days = SNOOZE_LIMIT.as_secs() / 86_400;
                    let detail = format!("still not due after {days} days: {reason}");
                    self.park(Failure::new("never_due", detail), event, attempt, original)
                        .await?
                }
            }
            Verdict::Poison(failure) => {
                let outcome = Outcome::new("parked").because(failure.reason, &failure.detail);
                (vec![parked(queue, original, &attempt, &failure)], outcome)
            }
            Verdict::Hold(unavailable) => return Err(unavailable),
        })
    }

    /// Lets the handler mark its row failed, until the database takes it, and parks the message.
    async fn park(
        &self,
        failure: Failure,
        event: Option<&Envelope>,
        attempt: Attempt,
        original: &Original<'_>,
    ) -> Result<(Vec<Outgoing>, Outcome), Unavailable> {
        let mut messages = Vec::new();
        if let Some(event) = event {
            let mut backoff = Backoff::default();
            messages = loop {
                match self.handler.give_up(event, &failure).await {
                    Ok(follow_ups) => break follow_ups,
                    Err(unavailable) => tokio::select! {
                        () = self.stop.cancelled() => return Err(unavailable),
                        () = tokio::time::sleep(backoff.next()) => {}
                    },
                }
            };
        }
        messages.push(parked(self.settings.queue, original, &attempt, &failure));
        Ok((
            messages,
            Outcome::new("parked").because(failure.reason, &failure.detail),
        ))
    }

    /// Publishes until the broker confirms, we stop, or the delivery is no longer ours.
    async fn publish(&self, messages: &[Outgoing], channel: &Channel) -> Result<(), String> {
        if messages.is_empty() {
            return Ok(());
        }
        let lost = async {
            let mut watch = tokio::time::interval(WATCH_INTERVAL);
            while channel.status().connected() {
                watch.tick().await;
            }
        };
        tokio::select! {
            published = self.publisher.publish_all_until(messages, &self.stop) => {
                published.map_err(|error| chain(&error))
            }
            () = lost => Err("the delivery belongs to a connection that is gone".to_owned()),
        }
    }
}

/// How one attempt ended, for the log line and the metrics.
struct Outcome {
    name: &'static str,
    reason: &'static str,
    detail: String,
}

impl Outcome {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            reason: "",
            detail: String::new(),
        }
    }

    fn because(mut self, reason: &'static str, detail: &str) -> Self {
        self.reason = reason;
        detail.clone_into(&mut self.detail);
        self
    }

    /// Neither acked nor published to the end: the broker hands the message out again.
    fn unsettled(detail: &str) -> Self {
        Self::new("unsettled").because("", detail)
    }
}

struct Metrics {
    processed: Counter<u64>,
    duration: Histogram<f64>,
}

impl Metrics {
    fn new() -> Self {
        let meter = opentelemetry::global::meter("millrace");
        Self {
            processed: meter
                .u64_counter("millrace.messages.processed")
                .with_description("Messages read, by queue, outcome and reason")
                .build(),
            duration: meter
                .f64_histogram("messaging.process.duration")
                .with_unit("s")
                .with_description("Time from reading a message to its ack")
                .build(),
        }
    }

    fn record(&self, queue: WorkQueue, outcome: &Outcome, duration: Duration) {
        let queue = KeyValue::new("messaging.destination.name", queue.name());
        let name = KeyValue::new("outcome", outcome.name);
        self.processed.add(
            1,
            &[queue.clone(), name, KeyValue::new("reason", outcome.reason)],
        );
        self.duration.record(duration.as_secs_f64(), &[queue]);
    }
}
