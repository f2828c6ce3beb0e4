//! The figures as gauges, counted once a minute.

use std::time::Duration;

use broker::BrokerSettings;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Gauge;
use sea_orm::DatabaseConnection;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Balance, Books, CountError, MARGIN, Waits};

/// How often the figures are counted.
const INTERVAL: Duration = Duration::from_secs(60);

/// Counts until `shutdown`. What can't be counted keeps its last value, and is logged.
pub(crate) async fn watch(
    db: DatabaseConnection,
    broker: BrokerSettings,
    waits: Waits,
    shutdown: CancellationToken,
) {
    let gauges = Gauges::new();
    let mut books: Option<Books> = None;
    let mut interval = tokio::time::interval(INTERVAL);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = interval.tick() => {}
        }
        let counting = count(&mut books, &db, &broker, &waits);
        let counted = tokio::select! {
            () = shutdown.cancelled() => return,
            counted = counting => counted,
        };
        match counted {
            Ok(balance) => gauges.show(&balance),
            Err(error) => {
                // The connection may be gone; the next count opens another.
                books = None;
                warn!(
                    error = &error as &dyn std::error::Error,
                    "The books could not be compared; they are in a minute."
                );
            }
        }
    }
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
