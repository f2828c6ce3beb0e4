//! How many messages wait in a queue. What a worker has in hand is not counted: AMQP tells it to
//! nobody.

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{Connection, ErrorKind};

use crate::connection::{BrokerSettings, Nodes, chain};
use crate::topology::{Lane, ParkingLot, WorkQueue};

/// Asks a broker about its queues.
pub struct Depths {
    connection: Connection,
}

/// Why the broker can't be asked. A retry can help.
#[derive(Debug, thiserror::Error)]
pub enum DepthError {
    /// There is no connection.
    #[error("can't connect to the broker: {0}")]
    Connect(String),
    /// The broker went away.
    #[error("the broker did not answer as expected")]
    Broker(#[from] lapin::Error),
}

impl Depths {
    /// Connects. Declares nothing.
    ///
    /// # Errors
    /// [`DepthError::Connect`].
    pub async fn connect(settings: &BrokerSettings) -> Result<Self, DepthError> {
        let connection = Nodes::new(settings.clone(), "depths")
            .connect()
            .await
            .map_err(|error| DepthError::Connect(chain(&error)))?;
        Ok(Self { connection })
    }

    /// How many messages wait in a work queue.
    ///
    /// # Errors
    /// [`DepthError::Broker`].
    pub async fn waiting(&self, queue: WorkQueue) -> Result<u64, DepthError> {
        self.count(queue.name()).await
    }

    /// How many messages are parked.
    ///
    /// # Errors
    /// [`DepthError::Broker`].
    pub async fn parked(&self, lot: impl Into<ParkingLot>) -> Result<u64, DepthError> {
        self.count(&lot.into().name()).await
    }

    /// How many messages wait in a delay lane, for whichever work queue.
    ///
    /// # Errors
    /// [`DepthError::Broker`].
    pub async fn delayed(&self, lane: Lane) -> Result<u64, DepthError> {
        self.count(&lane.name()).await
    }

    /// A queue that is not there holds nothing. Asking for it closes the channel, so each question
    /// has one of its own.
    async fn count(&self, queue: &str) -> Result<u64, DepthError> {
        const NOT_FOUND: u16 = 404;
        let channel = self.connection.create_channel().await?;
        let passive = QueueDeclareOptions {
            passive: true,
            ..Default::default()
        };
        let found = channel
            .queue_declare(queue.into(), passive, FieldTable::default())
            .await;
        match found {
            Ok(found) => {
                channel.close(200, "asked".into()).await?;
                Ok(found.message_count().into())
            }
            Err(error) => match error.kind() {
                ErrorKind::ProtocolError(reason) if reason.get_id() == NOT_FOUND => Ok(0),
                _ => Err(error.into()),
            },
        }
    }
}
