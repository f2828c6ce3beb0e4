//! Records which messages are parked, around any handler.

use broker::{Attempt, Failure, Handler, Outgoing, Unavailable, Verdict, WorkQueue};
use chrono::Utc;
use entities::parked_message;
use messages::Envelope;
use sea_orm::DatabaseConnection;

use crate::halt::{Halt, settled, unavailable};

/// A handler whose parked messages are recorded.
pub(crate) struct Recorded<H> {
    pub(crate) db: DatabaseConnection,
    pub(crate) queue: WorkQueue,
    pub(crate) handler: H,
}

impl<H: Handler> Handler for Recorded<H> {
    async fn handle(&self, event: &Envelope, attempt: Attempt) -> Verdict {
        // Its worker may have recorded it and died before it was parked.
        if attempt.came_back {
            let struck = parked_message::strike_out(&self.db, self.queue.name(), &event.id).await;
            if let Err(error) = struck {
                return settled(&self.db, Err(Halt::from(error))).await;
            }
        }
        self.handler.handle(event, attempt).await
    }

    /// The record comes before the message: what is recorded and not in the parking lot is missed,
    /// what is there and not recorded is not.
    async fn give_up(
        &self,
        event: &Envelope,
        failure: &Failure,
    ) -> Result<Vec<Outgoing>, Unavailable> {
        let follow_ups = self.handler.give_up(event, failure).await?;
        let queue = self.queue.name();
        parked_message::record(&self.db, queue, &event.id, failure.reason, Utc::now())
            .await
            .map_err(|error| unavailable(&error))?;
        Ok(follow_ups)
    }
}
