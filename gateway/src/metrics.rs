//! What the gateway counts.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram};

/// The gateway's instruments.
pub struct Metrics {
    events: Counter<u64>,
    refused: Counter<u64>,
    requests: Histogram<f64>,
}

/// What became of an event that passed verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The broker has it.
    Confirmed,
    /// The broker did not confirm in time.
    Unconfirmed,
    /// Too much waited for its confirm, or the broker had been away for a while.
    TurnedAway,
}

impl Metrics {
    /// Makes the instruments. Telemetry has to be set up before.
    #[must_use]
    pub fn new() -> Self {
        let meter = opentelemetry::global::meter("millrace-gateway");
        Self {
            events: meter
                .u64_counter("millrace.ingress.events")
                .with_description("Verified events, by provider and outcome")
                .build(),
            refused: meter
                .u64_counter("millrace.ingress.refused")
                .with_description("Requests that failed verification, by provider and class")
                .build(),
            requests: meter
                .f64_histogram("http.server.request.duration")
                .with_unit("s")
                .with_description("Duration of HTTP requests")
                .with_boundaries(vec![
                    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
                ])
                .build(),
        }
    }

    /// Counts events that were handed to the broker.
    pub fn events(&self, provider: &'static str, outcome: Outcome, count: usize) {
        let outcome = match outcome {
            Outcome::Confirmed => "confirmed",
            Outcome::Unconfirmed => "unconfirmed",
            Outcome::TurnedAway => "turned_away",
        };
        let attributes = [
            KeyValue::new("provider", provider),
            KeyValue::new("outcome", outcome),
        ];
        self.events
            .add(count.try_into().unwrap_or(u64::MAX), &attributes);
    }

    /// Counts a request that was not believed.
    pub fn refused(&self, provider: &'static str, class: &'static str) {
        let attributes = [
            KeyValue::new("provider", provider),
            KeyValue::new("class", class),
        ];
        self.refused.add(1, &attributes);
    }

    /// Records an answer.
    pub fn answered(&self, method: &'static str, route: &str, status: u16, duration: Duration) {
        let attributes = [
            KeyValue::new("http.request.method", method),
            KeyValue::new("http.route", route.to_owned()),
            KeyValue::new("http.response.status_code", i64::from(status)),
        ];
        self.requests.record(duration.as_secs_f64(), &attributes);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
