//! The figures as gauges, counted once a minute, or less often where counting takes long.

use std::time::Duration;

use broker::BrokerSettings;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Gauge;
use sea_orm::DatabaseConnection;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Balance, Books, CountError, MARGIN, Waits};

/// The shortest pause between two counts, and the time before the first: a worker that has just
/// started has more urgent things to do.
const SHORTEST: Duration = Duration::from_secs(60);

/// The longest pause: the alert waits ten minutes, which must hold two counts.
const LONGEST: Duration = Duration::from_secs(300);

/// The pause after a count is so many times as long as the count, which reads whole tables.
const PAUSE_TO_COUNT: u32 = 20;

/// Counts until `shutdown`. What can't be counted keeps its last value, and is logged.
pub(crate) async fn watch(
    db: DatabaseConnection,
    broker: BrokerSettings,
    waits: Waits,
    shutdown: CancellationToken,
) {
    let gauges = Gauges::new();
    let mut books: Option<Books> = None;
    let mut pause = SHORTEST;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let begun = Instant::now();
        let counting = count(&mut books, &db, &broker, &waits);
        let counted = tokio::select! {
            () = shutdown.cancelled() => return,
            counted = counting => counted,
        };
        pause = pause_after(begun.elapsed());
        match counted {
            Ok(balance) => gauges.show(&balance),
            Err(error) => {
                // The connection may be gone; the next count opens another.
                books = None;
                warn!(
                    error = &error as &dyn std::error::Error,
                    again_in_seconds = pause.as_secs(),
                    "The books could not be compared; it is tried again."
                );
            }
        }
    }
}

/// The pause after a count that took so long.
fn pause_after(took: Duration) -> Duration {
    took.saturating_mul(PAUSE_TO_COUNT).clamp(SHORTEST, LONGEST)
}

async fn count(
    books: &mut Option<Books>,
    db: &DatabaseConnection,
    broker: &BrokerSettings,
    waits: &Waits,
) -> Result<Balance, CountError> {
    let books = match books {
        Some(books) => books,
        none => none.insert(Books::open(db.clone(), broker, waits, MARGIN).await?),
    };
    books.balance().await
}

struct Gauges {
    unaccounted: Gauge<i64>,
    messages: Gauge<u64>,
    parked: Gauge<u64>,
}

impl Gauges {
    fn new() -> Self {
        let meter = opentelemetry::global::meter("millrace");
        Self {
            unaccounted: meter
                .i64_gauge("millrace.conservation.unaccounted")
                .with_description("What a consumer accepted and is neither done nor parked nor on its way; 0 when all is well")
                .build(),
            messages: meter
                .u64_gauge("millrace.conservation.messages")
                .with_description("What a consumer accepted, and what became of it, by state")
                .build(),
            parked: meter
                .u64_gauge("millrace.parked.messages")
                .with_description("Messages in a parking lot, and unrouted ones, by queue")
                .build(),
        }
    }

    fn show(&self, balance: &Balance) {
        for figure in &balance.consumers {
            let consumer = KeyValue::new("consumer", figure.consumer.clone());
            self.unaccounted
                .record(figure.unaccounted, std::slice::from_ref(&consumer));
            for (state, count) in [
                ("accepted", figure.accepted),
                ("done", figure.done),
                ("duplicate", figure.duplicate),
                ("suppressed", figure.suppressed),
                ("parked", figure.parked),
                ("open", figure.open),
            ] {
                self.messages
                    .record(count, &[consumer.clone(), KeyValue::new("state", state)]);
            }
            let lot = format!("{}.dead", figure.consumer);
            self.parked
                .record(figure.parked, &[KeyValue::new("queue", lot)]);
        }
        self.parked
            .record(balance.unrouted, &[KeyValue::new("queue", "unrouted")]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_takes_long_is_made_less_often_but_twice_within_the_ten_minutes_of_the_alert() {
        let seconds = |took: u64| pause_after(Duration::from_secs(took)).as_secs();
        assert_eq!([0, 3, 10, 15, 60].map(seconds), [60, 60, 200, 300, 300]);
    }
}
