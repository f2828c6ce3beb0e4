//! A message on its way to the broker.

use std::time::Duration;

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use messages::{CONTENT_TYPE, Envelope};

use crate::delivery::REPLAYED;
use crate::topology::{EVENTS, Lane, ParkingLot, QUEUES, WorkQueue};
use crate::trace;

/// A message and where it goes. Starts with clean headers: no `x-death` is ever copied, or
/// RabbitMQ 3.10 drops the message as a cycle.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub(crate) exchange: String,
    pub(crate) routing_key: String,
    /// The lane that has to exist before this is published.
    pub(crate) lane: Option<Lane>,
    pub(crate) body: Vec<u8>,
    pub(crate) message_id: Option<String>,
    pub(crate) event_type: Option<String>,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Outgoing {
    /// A fact for whoever reads its type.
    #[must_use]
    pub fn event(event: Envelope) -> Self {
        let routing_key = event.event_type.clone();
        Self::from_envelope(EVENTS.to_owned(), routing_key, None, event)
    }

    /// A message for one work queue, now.
    #[must_use]
    pub fn to_queue(queue: WorkQueue, event: Envelope) -> Self {
        Self::from_envelope(QUEUES.to_owned(), queue.name().to_owned(), None, event)
    }

    /// A message for one work queue, after the lane's delay.
    #[must_use]
    pub fn delayed(lane: Lane, queue: WorkQueue, event: Envelope) -> Self {
        Self::from_envelope(lane.name(), queue.name().to_owned(), Some(lane), event)
    }

    /// The same bytes again for a work queue, after the lane's delay.
    pub(crate) fn again(lane: Lane, queue: WorkQueue, original: &Original<'_>) -> Self {
        Self::from_original(lane.name(), queue.name().to_owned(), Some(lane), original)
    }

    /// The same bytes for a queue's parking lot.
    pub(crate) fn parked(queue: WorkQueue, original: &Original<'_>) -> Self {
        Self::from_original(QUEUES.to_owned(), queue.parking_lot(), None, original)
    }

    /// The same bytes out of a parking lot: to its work queue, or, for a type that nobody read when
    /// it came, to whoever reads it now.
    pub(crate) fn replayed(lot: ParkingLot, original: &Original<'_>) -> Self {
        let (exchange, routing_key) = match lot {
            ParkingLot::Of(queue) => (QUEUES, queue.name().to_owned()),
            ParkingLot::Unrouted => (EVENTS, original.event_type().unwrap_or_default()),
        };
        Self::from_original(exchange.to_owned(), routing_key, None, original)
            .with_header(REPLAYED, "true")
    }

    /// The work queues that it reaches.
    #[must_use]
    pub fn queues(&self) -> Vec<WorkQueue> {
        let reaches = |queue: &WorkQueue| {
            if self.exchange == EVENTS {
                queue.event_types().contains(&self.routing_key.as_str())
            } else {
                queue.name() == self.routing_key
            }
        };
        WorkQueue::ALL.into_iter().filter(reaches).collect()
    }

    /// How long it is under way.
    #[must_use]
    pub fn delay(&self) -> Duration {
        self.lane.map_or(Duration::ZERO, Lane::delay)
    }

    /// The event, as it goes out.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The room it takes in memory, in KiB, at least one.
    pub(crate) fn kib(&self) -> u32 {
        u32::try_from(self.body.len() / 1024 + 1).unwrap_or(u32::MAX)
    }

    fn from_envelope(
        exchange: String,
        routing_key: String,
        lane: Option<Lane>,
        event: Envelope,
    ) -> Self {
        let event = match event.traceparent {
            Some(_) => event,
            None => event.with_traceparent(trace::current_traceparent()),
        };
        Self {
            exchange,
            routing_key,
            lane,
            body: event.encode(),
            message_id: Some(event.id),
            event_type: Some(event.event_type),
            headers: Vec::new(),
        }
    }

    fn from_original(
        exchange: String,
        routing_key: String,
        lane: Option<Lane>,
        original: &Original<'_>,
    ) -> Self {
        Self {
            exchange,
            routing_key,
            lane,
            body: original.body.to_vec(),
            message_id: original.event.map(|event| event.id.clone()),
            event_type: original.event_type(),
            headers: Vec::new(),
        }
    }

    /// Persistent, with the envelope's facts repeated for the management UI.
    pub(crate) fn properties(&self) -> BasicProperties {
        let mut headers = FieldTable::default();
        for (name, value) in &self.headers {
            headers.insert((*name).into(), AMQPValue::LongString(value.as_str().into()));
        }
        let seconds = chrono::Utc::now()
            .timestamp()
            .try_into()
            .unwrap_or_default();
        let mut properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_content_type(CONTENT_TYPE.into())
            .with_timestamp(seconds)
            .with_headers(headers);
        if let Some(id) = short(self.message_id.as_deref()) {
            properties = properties.with_message_id(id.into());
        }
        if let Some(event_type) = short(self.event_type.as_deref()) {
            properties = properties.with_type(event_type.into());
        }
        if let Some(lane) = self.lane {
            // The lane's own time, once more: RabbitMQ 3.10 may take the first message of a queue that
            // has just been declared before it knows the queue's TTL. Without a time of its own that
            // message would stay at the head for ever, and all others behind it. What leaves the lane
            // has no expiration any more.
            let milliseconds = lane.delay().as_millis().to_string();
            properties = properties.with_expiration(milliseconds.into());
        }
        properties
    }
}

/// A message that was read and goes out again unchanged.
pub(crate) struct Original<'a> {
    pub(crate) body: &'a [u8],
    /// What the body says, where it can be read.
    pub(crate) event: Option<&'a Envelope>,
}

impl Original<'_> {
    fn event_type(&self) -> Option<String> {
        self.event.map(|event| event.event_type.clone())
    }
}

/// AMQP's short strings hold at most 255 bytes; the body holds the full value.
fn short(value: Option<&str>) -> Option<&str> {
    value.filter(|value| value.len() <= 255)
}
