//! Looking at parked messages, sending them back to their work queue, throwing them away.
//!
//! A parking lot is read with `basic.get` on a channel of its own, without acks; what was not
//! replayed is put back, in its old place. Meanwhile others find the parking lot emptier.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicGetOptions, BasicNackOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection};
use messages::Envelope;

use crate::connection::{BrokerSettings, Nodes, chain};
use crate::declare;
use crate::delivery::{ATTEMPTS, FAILURE_DETAIL, FAILURE_REASON, FIRST_SEEN, header};
use crate::outgoing::{Original, Outgoing};
use crate::publisher::{PublishError, Publisher};
use crate::topology::ParkingLot;

/// How often we look whether the broker has put messages back.
const PUT_BACK_INTERVAL: Duration = Duration::from_millis(20);

/// How long we wait for it.
const PUT_BACK_DEADLINE: Duration = Duration::from_secs(2);

/// The parking lots of a broker.
pub struct DeadLetters {
    connection: Connection,
}

/// A parked message.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// The event id; `None` where the body can't be read.
    pub id: Option<String>,
    /// The event type; `None` where the body can't be read.
    pub event_type: Option<String>,
    /// Why it was parked; `None` where the broker parked it (too many deliveries).
    pub reason: Option<String>,
    /// What happened, in words.
    pub detail: Option<String>,
    /// How many attempts were made.
    pub attempts: Option<String>,
    /// When it was read for the first time, RFC 3339.
    pub first_seen: Option<String>,
    /// When it was parked; where the broker parked it, when it was published.
    pub parked_at: Option<DateTime<Utc>>,
    /// The trace that the event belongs to.
    pub traceparent: Option<String>,
    /// The body as it was parked.
    pub body: Vec<u8>,
}

/// Why parked messages can't be read or replayed. A retry can help.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    /// There is no connection.
    #[error("can't connect to the broker: {0}")]
    Connect(String),
    /// The broker refused or went away.
    #[error("the broker did not answer as expected")]
    Broker(#[from] lapin::Error),
    /// The replayed message was not confirmed; the parked one stays where it is.
    #[error("the replayed message was not confirmed; the parked one stays where it is")]
    Publish(#[from] PublishError),
}

impl DeadLetters {
    /// Connects, and declares the topology, so that an empty broker shows empty parking lots.
    ///
    /// # Errors
    /// [`DeadLetterError::Connect`] or [`DeadLetterError::Broker`].
    pub async fn connect(settings: &BrokerSettings) -> Result<Self, DeadLetterError> {
        let connection = Nodes::new(settings.clone(), "dead-letters")
            .connect()
            .await
            .map_err(|error| DeadLetterError::Connect(chain(&error)))?;
        let channel = connection.create_channel().await?;
        declare::declare(&channel).await?;
        channel.close(200, "declared".into()).await?;
        Ok(Self { connection })
    }

    /// The parked messages, oldest first.
    ///
    /// # Errors
    /// [`DeadLetterError::Broker`].
    pub async fn list(
        &self,
        lot: impl Into<ParkingLot>,
    ) -> Result<Vec<DeadLetter>, DeadLetterError> {
        let lot = lot.into();
        let channel = self.channel().await?;
        let mut found = Vec::new();
        let mut parked = std::pin::pin!(parked_messages(&channel, lot).await?);
        while let Some(delivery) = parked.next().await {
            let delivery = delivery?;
            let event = Envelope::decode(&delivery.data).ok();
            found.push(DeadLetter::read(&delivery, event.as_ref()));
        }
        put_back(&channel, lot, found.len()).await?;
        Ok(found)
    }

    /// Sends the parked messages that `chosen` accepts back to their work queue (those of the
    /// unrouted queue to whoever reads their type now), each confirmed there before it leaves the
    /// parking lot. Returns what was replayed.
    ///
    /// # Errors
    /// [`DeadLetterError`]; what was replayed before stays replayed.
    pub async fn replay(
        &self,
        lot: impl Into<ParkingLot>,
        publisher: &Publisher,
        chosen: impl Fn(&DeadLetter) -> bool,
    ) -> Result<Vec<DeadLetter>, DeadLetterError> {
        self.take_out(lot.into(), Some(publisher), chosen).await
    }

    /// Throws the parked messages that `chosen` accepts away, for good. Returns what was purged.
    ///
    /// # Errors
    /// [`DeadLetterError`]; what was purged before stays purged.
    pub async fn purge(
        &self,
        lot: impl Into<ParkingLot>,
        chosen: impl Fn(&DeadLetter) -> bool,
    ) -> Result<Vec<DeadLetter>, DeadLetterError> {
        self.take_out(lot.into(), None, chosen).await
    }

    /// A channel of its own for each look: what it holds unacked is put back with it.
    pub(crate) async fn channel(&self) -> lapin::Result<Channel> {
        self.connection.create_channel().await
    }

    async fn take_out(
        &self,
        lot: ParkingLot,
        publisher: Option<&Publisher>,
        chosen: impl Fn(&DeadLetter) -> bool,
    ) -> Result<Vec<DeadLetter>, DeadLetterError> {
        let channel = self.channel().await?;
        let (mut taken, mut left) = (Vec::new(), 0);
        let mut parked = std::pin::pin!(parked_messages(&channel, lot).await?);
        while let Some(delivery) = parked.next().await {
            let delivery = delivery?;
            let event = Envelope::decode(&delivery.data).ok();
            let letter = DeadLetter::read(&delivery, event.as_ref());
            if !chosen(&letter) {
                left += 1;
                continue;
            }
            if let Some(publisher) = publisher {
                let original = Original {
                    body: &delivery.data,
                    event: event.as_ref(),
                };
                publisher
                    .publish(&Outgoing::replayed(lot, &original))
                    .await?;
            }
            delivery.ack(BasicAckOptions::default()).await?;
            taken.push(letter);
        }
        put_back(&channel, lot, left).await?;
        Ok(taken)
    }
}

impl DeadLetter {
    pub(crate) fn read(delivery: &Delivery, event: Option<&Envelope>) -> Self {
        Self {
            id: event.map(|event| event.id.clone()),
            event_type: event.map(|event| event.event_type.clone()),
            traceparent: event.and_then(|event| event.traceparent.clone()),
            reason: header(delivery, FAILURE_REASON),
            detail: header(delivery, FAILURE_DETAIL),
            attempts: header(delivery, ATTEMPTS),
            first_seen: header(delivery, FIRST_SEEN),
            parked_at: (*delivery.properties.timestamp())
                .and_then(|seconds| DateTime::from_timestamp(i64::try_from(seconds).ok()?, 0)),
            body: delivery.data.clone(),
        }
    }
}

/// The messages that are parked now. Not those parked meanwhile: a replayed message that fails at
/// once comes back, and would be replayed for ever. Nothing is acked.
pub(crate) async fn parked_messages(
    channel: &Channel,
    lot: ParkingLot,
) -> lapin::Result<impl futures_util::Stream<Item = lapin::Result<Delivery>> + '_> {
    let name = lot.name();
    let parked = count(channel, lot).await?;
    Ok(futures_util::stream::unfold(parked, move |left| {
        let name = name.clone();
        async move {
            let left = left.checked_sub(1)?;
            let got = channel
                .basic_get(name.as_str().into(), BasicGetOptions::default())
                .await;
            got.transpose()
                .map(|got| (got.map(|message| message.delivery), left))
        }
    }))
}

/// Returns the messages that are not acked. The broker does so some time after it was told; we
/// wait for it, so that whoever looks next finds them.
pub(crate) async fn put_back(
    channel: &Channel,
    lot: ParkingLot,
    messages: usize,
) -> lapin::Result<()> {
    let all = BasicNackOptions {
        multiple: true,
        requeue: true,
    };
    // Those that nobody has taken lie there already.
    let expected = count(channel, lot).await? as usize + messages;
    if messages > 0 {
        channel.basic_nack(0, all).await?;
    }
    let returned = async {
        while (count(channel, lot).await? as usize) < expected {
            tokio::time::sleep(PUT_BACK_INTERVAL).await;
        }
        lapin::Result::Ok(())
    };
    // Late when somebody else took some of them meanwhile.
    if let Ok(counted) = tokio::time::timeout(PUT_BACK_DEADLINE, returned).await {
        counted?;
    }
    channel.close(200, "done".into()).await
}

async fn count(channel: &Channel, lot: ParkingLot) -> lapin::Result<u32> {
    let passive = QueueDeclareOptions {
        passive: true,
        ..Default::default()
    };
    let name = lot.name();
    let found = channel
        .queue_declare(name.as_str().into(), passive, FieldTable::default())
        .await?;
    Ok(found.message_count())
}
