//! What our own headers say about a delivery.

use chrono::{DateTime, Utc};
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable};

/// How many times the message failed before.
pub(crate) const ATTEMPT: &str = "x-attempt";
/// When the message was read for the first time.
pub(crate) const FIRST_SEEN: &str = "x-first-seen";
/// Why the message was parked.
pub(crate) const FAILURE_REASON: &str = "x-failure-reason";
/// What happened, in words.
pub(crate) const FAILURE_DETAIL: &str = "x-failure-detail";
/// How many attempts were made before it was parked.
pub(crate) const ATTEMPTS: &str = "x-attempts";
/// Set on a message that we took out of a parking lot. Not kept by its retries.
pub(crate) const REPLAYED: &str = "x-replayed";

/// The trace that the message belongs to, as tools for traces want it.
pub(crate) const TRACE_ID: &str = "x-trace-id";

/// Which try of a message this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Counts from 1.
    pub number: u32,
    /// The attempt after which the message is parked.
    pub limit: u32,
    /// When the message was read for the first time.
    pub first_seen: DateTime<Utc>,
    /// The message has just come out of a parking lot, by whatever way: somebody wants it tried again.
    pub replayed: bool,
    /// The message was read before and comes again as it is: out of a parking lot, by whatever way,
    /// or because whoever had it died before the ack.
    pub came_back: bool,
}

/// The attempt that headers of raw bytes tell of.
pub fn attempt<'a>(
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    limit: u32,
    now: DateTime<Utc>,
) -> Attempt {
    let mut table = FieldTable::default();
    // AMQP knows no longer name.
    for (name, value) in headers.filter(|(name, _)| name.len() <= 255) {
        table.insert(name.into(), AMQPValue::LongString(value.into()));
    }
    let mut delivery = Delivery::mock(0, "".into(), "".into(), false, Vec::new());
    delivery.properties = delivery.properties.with_headers(table);
    Attempt::of(&delivery, limit, now)
}

impl Attempt {
    /// A message that comes out of a parking lot, by whatever way, starts afresh: its attempts and
    /// its `x-first-seen` belong to its former life.
    pub(crate) fn of(delivery: &Delivery, limit: u32, now: DateTime<Utc>) -> Self {
        let replayed = header(delivery, REPLAYED).is_some()
            || header(delivery, FAILURE_REASON).is_some()
            || parked_by_broker(delivery);
        let failures = header(delivery, ATTEMPT)
            .filter(|_| !replayed)
            .and_then(|value| value.parse::<u32>().ok())
            .unwrap_or(0)
            .min(limit);
        let first_seen = header(delivery, FIRST_SEEN)
            .filter(|_| !replayed)
            .and_then(|value| DateTime::parse_from_rfc3339(&value).ok())
            .map_or(now, |time| time.with_timezone(&Utc));
        Self {
            number: failures + 1,
            limit,
            first_seen,
            replayed,
            came_back: replayed || delivery.redelivered,
        }
    }

    pub(crate) fn is_last(&self) -> bool {
        self.number >= self.limit
    }
}

/// Whether the broker once moved the message to a parking lot, after too many deliveries. What we
/// publish ourselves has no `x-death`, so this ends with the next retry.
fn parked_by_broker(delivery: &Delivery) -> bool {
    let headers = delivery.properties.headers().as_ref();
    let deaths = headers
        .and_then(|headers| headers.inner().get("x-death"))
        .and_then(AMQPValue::as_array);
    deaths.is_some_and(|deaths| {
        deaths
            .as_slice()
            .iter()
            .filter_map(AMQPValue::as_field_table)
            .filter_map(|death| death.inner().get("reason")?.as_long_string())
            .any(|reason| reason.as_bytes() == b"delivery_limit")
    })
}

/// A header's value as text, whatever AMQP type it was written with.
pub(crate) fn header(delivery: &Delivery, name: &str) -> Option<String> {
    let headers = delivery.properties.headers().as_ref()?;
    Some(match headers.inner().get(name)? {
        AMQPValue::LongString(text) => text.to_string(),
        AMQPValue::ShortString(text) => text.to_string(),
        AMQPValue::LongLongInt(number) => number.to_string(),
        AMQPValue::LongInt(number) => number.to_string(),
        AMQPValue::ShortInt(number) => number.to_string(),
        AMQPValue::LongUInt(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}
