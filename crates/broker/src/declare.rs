//! Declaring the topology.
//!
//! All queues are durable quorum queues. The arguments that safety rests on are declared here, by
//! the client, so that any broker we meet is right.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ExchangeKind};

use crate::topology::{DELIVERY_LIMIT, EVENTS, Lane, QUEUES, UNROUTED, WorkQueue};

/// Looking at parked messages in the management UI counts as a delivery, and RabbitMQ 4 drops a
/// message after 20 of them unless the queue says otherwise.
const PARKED_DELIVERY_LIMIT: i64 = 1_000_000;

/// Declares everything but the lanes, which come into being on first use. Harmless when repeated.
///
/// # Errors
/// Whatever the broker refuses, in particular `PRECONDITION_FAILED` when a queue of the same name
/// exists with other arguments.
pub(crate) async fn declare(channel: &Channel) -> lapin::Result<()> {
    exchange(
        channel,
        UNROUTED,
        ExchangeKind::Fanout,
        FieldTable::default(),
    )
    .await?;
    queue(channel, UNROUTED, parked_arguments()).await?;
    bind(channel, UNROUTED, UNROUTED, "").await?;

    exchange(channel, EVENTS, ExchangeKind::Topic, else_unrouted()).await?;
    exchange(channel, QUEUES, ExchangeKind::Direct, else_unrouted()).await?;

    // Targets before sources: a dead-letter target that is missing is tried again only after 180 s.
    for work_queue in WorkQueue::ALL {
        queue(channel, &work_queue.parking_lot(), parked_arguments()).await?;
        queue(channel, work_queue.name(), work_arguments(work_queue)).await?;
        for name in [work_queue.name(), &work_queue.parking_lot()] {
            bind(channel, name, QUEUES, name).await?;
        }
        for event_type in work_queue.event_types() {
            bind(channel, work_queue.name(), EVENTS, event_type).await?;
        }
    }
    Ok(())
}

/// Whether this broker has been declared before. On a channel of its own: asking for an exchange
/// that is not there closes it.
///
/// # Errors
/// Whatever ends the connection.
pub(crate) async fn is_declared(connection: &Connection) -> lapin::Result<bool> {
    let channel = connection.create_channel().await?;
    let passive = ExchangeDeclareOptions {
        passive: true,
        ..Default::default()
    };
    for name in [EVENTS, QUEUES] {
        let none = FieldTable::default();
        let kind = ExchangeKind::Topic;
        if channel
            .exchange_declare(name.into(), kind, passive, none)
            .await
            .is_err()
        {
            return Ok(false);
        }
    }
    channel.close(200, "asked".into()).await?;
    Ok(true)
}

/// Declares one lane. Harmless when repeated.
///
/// # Errors
/// Whatever the broker refuses.
pub(crate) async fn declare_lane(channel: &Channel, lane: Lane) -> lapin::Result<()> {
    let name = lane.name();
    queue(channel, &name, lane_arguments(lane)).await?;
    exchange(channel, &name, ExchangeKind::Fanout, else_unrouted()).await?;
    bind(channel, &name, &name, "").await
}

fn else_unrouted() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("alternate-exchange".into(), text(UNROUTED));
    arguments
}

fn work_arguments(work_queue: WorkQueue) -> FieldTable {
    let mut arguments = at_least_once_arguments(DELIVERY_LIMIT);
    arguments.insert(
        "x-dead-letter-routing-key".into(),
        text(&work_queue.parking_lot()),
    );
    arguments
}

/// The dead-letter target is the default exchange and the routing key stays as it was published:
/// the name of the work queue.
fn lane_arguments(lane: Lane) -> FieldTable {
    let mut arguments = at_least_once_arguments(PARKED_DELIVERY_LIMIT);
    arguments.insert(
        "x-message-ttl".into(),
        AMQPValue::LongLongInt(lane.delay().as_millis() as i64),
    );
    arguments
}

/// Dead-lettering that survives the death of the broker needs the at-least-once strategy, and that
/// needs `reject-publish`; with anything less, confirmed timers were lost (measured).
fn at_least_once_arguments(delivery_limit: i64) -> FieldTable {
    let mut arguments = quorum_arguments(delivery_limit);
    arguments.insert("x-dead-letter-exchange".into(), text(""));
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    arguments.insert("x-overflow".into(), text("reject-publish"));
    arguments
}

fn parked_arguments() -> FieldTable {
    quorum_arguments(PARKED_DELIVERY_LIMIT)
}

fn quorum_arguments(delivery_limit: i64) -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments.insert(
        "x-delivery-limit".into(),
        AMQPValue::LongLongInt(delivery_limit),
    );
    arguments
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

async fn exchange(
    channel: &Channel,
    name: &str,
    kind: ExchangeKind,
    arguments: FieldTable,
) -> lapin::Result<()> {
    let options = ExchangeDeclareOptions {
        durable: true,
        ..Default::default()
    };
    channel
        .exchange_declare(name.into(), kind, options, arguments)
        .await
}

async fn queue(channel: &Channel, name: &str, arguments: FieldTable) -> lapin::Result<()> {
    let options = QueueDeclareOptions {
        durable: true,
        ..Default::default()
    };
    channel
        .queue_declare(name.into(), options, arguments)
        .await
        .map(|_| ())
}

async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) -> lapin::Result<()> {
    let options = QueueBindOptions::default();
    channel
        .queue_bind(
            queue.into(),
            exchange.into(),
            key.into(),
            options,
            FieldTable::default(),
        )
        .await
}

#[cfg(test)]
mod tests {
    use super::work_arguments;
    use crate::topology::WorkQueue;

    #[test]
    fn a_work_queue_names_its_parking_lot_explicitly() {
        // Without it a rejected message keeps the key it came in by, and matches nothing.
        for queue in WorkQueue::ALL {
            let arguments = work_arguments(queue);
            let key = &arguments.inner()["x-dead-letter-routing-key"];
            assert_eq!(
                key.as_long_string().unwrap().to_string(),
                queue.parking_lot()
            );
        }
    }
}
