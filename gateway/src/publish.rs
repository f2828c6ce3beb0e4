//! The one way from a request to the broker: verified, bounded, confirmed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use broker::{Outgoing, PublishError, Publisher, PublisherStatus};
use crash_points::crash_point;
use messages::{Envelope, event_type};
use tracing::warn;
use uuid::Uuid;

use crate::clock::Clock;
use crate::metrics::{Metrics, Outcome};
use crate::problem::Problem;
use crate::verify::Verified;

/// How long a publish may take: the answer is there within two seconds, whatever the broker does.
/// OpenAI, HubSpot (5 s) and HighLevel all wait longer for it.
pub const PUBLISH_DEADLINE: Duration = Duration::from_millis(1800);

/// How long the broker may be away before requests stop waiting for it to come back.
const PATIENCE: Duration = Duration::from_millis(500);

/// Somebody who sends events.
pub trait Sender {
    /// The name in metrics and logs.
    const PROVIDER: &'static str;
    /// The status on which this sender tries again (design.md §8).
    const RETRY_STATUS: StatusCode = StatusCode::SERVICE_UNAVAILABLE;
}

/// Publishes what verified senders sent.
pub struct Ingress {
    publisher: Publisher,
    away_since: Mutex<Option<Instant>>,
    metrics: Arc<Metrics>,
}

impl Ingress {
    /// Publishes over `publisher`.
    #[must_use]
    pub fn new(publisher: Publisher, metrics: Arc<Metrics>) -> Self {
        Self {
            publisher,
            away_since: Mutex::new(None),
            metrics,
        }
    }

    /// Whether the broker takes messages now.
    #[must_use]
    pub fn status(&self) -> PublisherStatus {
        self.publisher.status()
    }

    /// Publishes the events and waits until the broker has all of them on disk.
    ///
    /// # Errors
    /// The sender's retry status with `Retry-After`. Some of the events may be published all the
    /// same; their ids tell repeats apart.
    pub async fn publish<S: Sender>(
        &self,
        _proof: &Verified<S>,
        events: Vec<Envelope>,
    ) -> Result<(), Problem> {
        crash_point!("gateway.verified");
        let count = events.len();
        let (outcome, reason) = match self.confirm(events).await {
            Ok(()) => {
                crash_point!("gateway.confirmed");
                self.metrics.events(S::PROVIDER, Outcome::Confirmed, count);
                return Ok(());
            }
            Err(failed) => failed,
        };
        self.metrics.events(S::PROVIDER, outcome, count);
        warn!(
            provider = S::PROVIDER,
            events = count,
            reason,
            "The broker has not confirmed; the sender is asked to try again."
        );
        Err(Problem::not_confirmed(S::RETRY_STATUS))
    }

    /// Publishes a `test.ping` and returns how long its confirm took. Carries nothing of the
    /// request, so it needs no proof.
    ///
    /// # Errors
    /// 503 with `Retry-After`.
    pub async fn ping(&self, clock: &Clock) -> Result<Duration, Problem> {
        let started = Instant::now();
        let id = Uuid::new_v4().to_string();
        let data = serde_json::Map::new();
        let ping = Envelope::new(
            event_type::TEST_PING,
            id,
            "/test-webhook",
            clock.now(),
            &data,
        );
        match self.confirm(vec![ping]).await {
            Ok(()) => Ok(started.elapsed()),
            Err((_, reason)) => {
                warn!(reason, "The broker has not confirmed a test event.");
                Err(Problem::not_confirmed(StatusCode::SERVICE_UNAVAILABLE))
            }
        }
    }

    async fn confirm(&self, events: Vec<Envelope>) -> Result<(), (Outcome, String)> {
        if self.away_too_long() {
            let reason = "the broker has been away for a while".to_owned();
            return Err((Outcome::TurnedAway, reason));
        }
        let messages: Vec<Outgoing> = events.into_iter().map(Outgoing::event).collect();
        self.publisher
            .publish_all(&messages)
            .await
            .map_err(|error| {
                let outcome = match error {
                    PublishError::Full => Outcome::TurnedAway,
                    _ => Outcome::Unconfirmed,
                };
                (outcome, error.to_string())
            })
    }

    /// A broker that was lost a moment ago is waited for; one that stays away is not, so that
    /// requests don't pile up.
    fn away_too_long(&self) -> bool {
        let mut away_since = self
            .away_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if self.publisher.status() == PublisherStatus::Ready {
            *away_since = None;
            return false;
        }
        away_since.get_or_insert_with(Instant::now).elapsed() > PATIENCE
    }
}
