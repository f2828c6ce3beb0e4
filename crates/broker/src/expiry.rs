//! Parked messages whose time is over.

use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use lapin::options::BasicAckOptions;
use messages::Envelope;

use crate::dead_letters::{DeadLetter, DeadLetterError, DeadLetters, parked_messages, put_back};
use crate::topology::ParkingLot;

impl DeadLetters {
    /// Throws away what was parked before this time, for good, and returns it; with `dry_run` only
    /// returns it.
    ///
    /// A parking lot holds the oldest message first: the look ends at the first one that may stay,
    /// which is put back in its place. The others are not touched.
    ///
    /// # Errors
    /// [`DeadLetterError`]; what was thrown away before stays so.
    pub async fn expire(
        &self,
        lot: impl Into<ParkingLot>,
        before: DateTime<Utc>,
        dry_run: bool,
    ) -> Result<Vec<DeadLetter>, DeadLetterError> {
        let lot = lot.into();
        let channel = self.channel().await?;
        let (mut old, mut left) = (Vec::new(), 0);
        {
            let mut parked = std::pin::pin!(parked_messages(&channel, lot).await?);
            while let Some(delivery) = parked.next().await {
                let delivery = delivery?;
                let event = Envelope::decode(&delivery.data).ok();
                let letter = DeadLetter::read(&delivery, event.as_ref());
                let since = letter.since();
                let is_old = since.is_some_and(|since| since < before);
                if dry_run || !is_old {
                    left += 1;
                } else {
                    delivery.ack(BasicAckOptions::default()).await?;
                }
                if is_old {
                    old.push(letter);
                } else if since.is_some() {
                    break;
                }
            }
        }
        put_back(&channel, lot, left).await?;
        Ok(old)
    }
}

impl DeadLetter {
    /// Since when it has been lying there: the time when it was published there; for one that
    /// somebody has put there by hand without it, when it was read first, or when it happened.
    #[must_use]
    pub fn since(&self) -> Option<DateTime<Utc>> {
        let first_seen = || {
            let text = self.first_seen.as_deref()?;
            let time = DateTime::parse_from_rfc3339(text).ok()?;
            Some(time.with_timezone(&Utc))
        };
        let happened = || Envelope::decode(&self.body).ok().map(|event| event.time);
        self.parked_at.or_else(first_seen).or_else(happened)
    }
}
