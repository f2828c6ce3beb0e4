//! How handling a message ended, for the log line and the metrics.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram};

use crate::topology::WorkQueue;

/// How one attempt ended, for the log line and the metrics.
pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) detail: String,
}

impl Outcome {
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            reason: "",
            detail: String::new(),
        }
    }

    pub(crate) fn because(mut self, reason: &'static str, detail: &str) -> Self {
        self.reason = reason;
        detail.clone_into(&mut self.detail);
        self
    }

    /// Neither acked nor published to the end: the broker hands the message out again.
    pub(crate) fn unsettled(detail: &str) -> Self {
        Self::new("unsettled").because("", detail)
    }
}

pub(crate) struct Metrics {
    processed: Counter<u64>,
    duration: Histogram<f64>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
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

    pub(crate) fn record(&self, queue: WorkQueue, outcome: &Outcome, duration: Duration) {
        let queue = KeyValue::new("messaging.destination.name", queue.name());
        let name = KeyValue::new("outcome", outcome.name);
        self.processed.add(
            1,
            &[queue.clone(), name, KeyValue::new("reason", outcome.reason)],
        );
        self.duration.record(duration.as_secs_f64(), &[queue]);
    }
}
