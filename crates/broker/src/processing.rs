//! One message, from its delivery to its ack.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use crash_points::crash_point;
use lapin::Channel;
use lapin::message::Delivery;
use lapin::options::BasicAckOptions;
use messages::Envelope;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, error, info, warn};

use crate::call::{CallError, guarded};
use crate::connection::{Backoff, chain};
use crate::consumer::{ConsumerSettings, Handler, WATCH_INTERVAL};
use crate::delivery::{ATTEMPT, Attempt, FIRST_SEEN};
use crate::isolation;
use crate::outcome::{Metrics, Outcome};
use crate::outgoing::{Original, Outgoing};
use crate::parking::parked;
use crate::publisher::Publisher;
use crate::topology::Lane;
use crate::trace;
use crate::verdict::{Failure, Unavailable, Verdict};

/// How long a message is held while our database is away. The broker takes back what is not acked
/// in 30 minutes, and counts that as a failed delivery.
const HOLD_LIMIT: Duration = Duration::from_secs(600);

/// How long one ack may take before the connection counts as broken.
const ACK_DEADLINE: Duration = Duration::from_secs(10);

/// A message that was never due in this time is parked instead of waiting for ever.
const SNOOZE_LIMIT: Duration = Duration::from_secs(14 * 24 * 3600);

/// What handles the messages of one queue, whatever connection they came by.
pub(crate) struct Worker<H> {
    pub(crate) settings: ConsumerSettings,
    pub(crate) publisher: Publisher,
    pub(crate) handler: H,
    pub(crate) metrics: Metrics,
    /// One for each message that may be handled at once. The prefetch alone does not bound this: a
    /// new connection brings messages while handlers of the one before still run.
    pub(crate) places: Semaphore,
    /// Cancelled when the grace is over: what still waits gives up and leaves its message unacked.
    pub(crate) stop: CancellationToken,
}

impl<H: Handler> Worker<H> {
    /// Handles one delivery to its end, and says so in one log line.
    pub(crate) async fn process(self: Arc<Self>, delivery: Delivery, channel: &Channel) {
        let Ok(_place) = self.places.acquire().await else {
            return; // the semaphore is never closed
        };
        let _turn = isolation::turn(&delivery).await;
        if !channel.status().connected() {
            return; // no longer ours: the broker hands it out again
        }
        let queue = self.settings.queue;
        crash_point!("{}.delivered", queue.name());
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
            redelivered = delivery.redelivered,
        );
        if let Ok(event) = &decoded {
            span.record("messaging.message.id", event.id.as_str());
            span.record("event.type", event.event_type.as_str());
            trace::continue_trace(&span, event.traceparent.as_deref());
        }
        let outcome = self
            .carry_out(&delivery, decoded, attempt, channel)
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
        &self,
        delivery: &Delivery,
        decoded: Result<Envelope, messages::DecodeError>,
        attempt: Attempt,
        channel: &Channel,
    ) -> Outcome {
        let (verdict, event) = match decoded {
            Ok(event) => (
                self.handle_until_available(&event, attempt, channel).await,
                Some(event),
            ),
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
            event: event.as_ref(),
        };
        let (messages, outcome) = match self.plan(verdict, event.as_ref(), attempt, &original).await
        {
            Ok(plan) => plan,
            Err(Unavailable(detail)) => return Outcome::unsettled(&detail),
        };
        crash_point!("{}.handled", self.settings.queue.name());
        if let Err(error) = self.publish(&messages, channel).await {
            return Outcome::unsettled(&error);
        }
        crash_point!("{}.followed_up", self.settings.queue.name());
        match timeout(ACK_DEADLINE, delivery.ack(BasicAckOptions::default())).await {
            Ok(Ok(true)) => {
                crash_point!("{}.acked", self.settings.queue.name());
                outcome
            }
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
        &self,
        event: &Envelope,
        attempt: Attempt,
        channel: &Channel,
    ) -> Option<Verdict> {
        let mut backoff = Backoff::default();
        let started = Instant::now();
        loop {
            let detail = match self.handle_once(event, attempt).await {
                Verdict::Hold(Unavailable(detail)) => detail,
                verdict => return Some(verdict),
            };
            if started.elapsed() > HOLD_LIMIT {
                return Some(Verdict::Snooze {
                    reason: "held_too_long",
                    delay: Duration::from_secs(30),
                });
            }
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

    /// One call of the handler. A panic or a hang counts as a failed attempt.
    async fn handle_once(&self, event: &Envelope, attempt: Attempt) -> Verdict {
        let call = self.handler.handle(event, attempt);
        guarded(self.settings.handler_deadline, call)
            .await
            .unwrap_or_else(|error| Verdict::RetryLater {
                failure: Failure::new(error.reason(), error.to_string()),
                delay: None,
            })
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
                let id = original.event.map_or("", |event| event.id.as_str());
                let lane = Lane::for_retry(attempt.number, delay, id);
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
                    let lane = Lane::at_least(delay);
                    (vec![again(lane, attempt.number - 1)], outcome)
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
        let mut messages = match event {
            Some(event) => self.give_up_until_available(event, &failure).await?,
            None => Vec::new(),
        };
        messages.push(parked(self.settings.queue, original, &attempt, &failure));
        Ok((
            messages,
            Outcome::new("parked").because(failure.reason, &failure.detail),
        ))
    }

    /// The follow-ups of giving up. A handler that panics here has none: better parked without
    /// them than kept out of the parking lot, in the place of another message, for ever.
    async fn give_up_until_available(
        &self,
        event: &Envelope,
        failure: &Failure,
    ) -> Result<Vec<Outgoing>, Unavailable> {
        let mut backoff = Backoff::default();
        loop {
            let call = self.handler.give_up(event, failure);
            let unavailable = match guarded(self.settings.handler_deadline, call).await {
                Ok(Ok(follow_ups)) => return Ok(follow_ups),
                Ok(Err(unavailable)) => unavailable,
                Err(error @ CallError::Deadline(_)) => Unavailable(error.to_string()),
                Err(error @ CallError::Panic(_)) => {
                    error!(detail = %error, "Giving up failed; the message is parked all the same.");
                    return Ok(Vec::new());
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => return Err(unavailable),
                () = tokio::time::sleep(backoff.next()) => {}
            }
        }
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
