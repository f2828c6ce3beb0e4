//! A chat batch as operators see it, field for field as the older server showed it.

use chrono::{DateTime, Utc};
use entities::{BatchId, batch, message};
use sea_orm::{DatabaseConnection, DbErr};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{states, timestamp};

/// A batch. Times are RFC 3339, durations are seconds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchView {
    #[schema(value_type = String, format = "uuid")]
    batch_id: BatchId,
    #[schema(schema_with = states::<batch::State>)]
    state: batch::State,
    #[schema(format = DateTime)]
    start_time: String,
    #[schema(format = DateTime)]
    last_message_time: String,
    message_count: i32,
    /// The texts, in the order in which they came.
    messages: Vec<String>,
    /// Since the first message.
    time_elapsed: f64,
    /// Until the batch closes if the contact writes nothing more.
    time_remaining: f64,
    timer_active: bool,
}

impl BatchView {
    /// Reads the batch's messages and computes its times.
    ///
    /// # Errors
    /// Any database error.
    pub(crate) async fn read(
        database: &DatabaseConnection,
        batch: batch::Model,
        wait_seconds: u32,
        now: DateTime<Utc>,
    ) -> Result<Self, DbErr> {
        let messages = message::of_batch(database, batch.id).await?;
        let is_open = batch.state == batch::State::Open;
        let end = batch.closed_at.unwrap_or(now);
        let quiet = seconds(batch.last_message_at, now);
        Ok(Self {
            batch_id: batch.id,
            state: batch.state,
            start_time: timestamp(batch.opened_at),
            last_message_time: timestamp(batch.last_message_at),
            message_count: batch.sequence,
            messages: messages.into_iter().map(|message| message.text).collect(),
            time_elapsed: seconds(batch.opened_at, end),
            time_remaining: if is_open {
                (f64::from(wait_seconds) - quiet).max(0.0)
            } else {
                0.0
            },
            timer_active: is_open,
        })
    }
}

/// Never negative: another machine's clock may be ahead.
fn seconds(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    (to - from).to_std().unwrap_or_default().as_secs_f64()
}

/// An open batch as the description shows it.
pub(super) fn sample() -> Value {
    json!({
        "batch_id": "0198f0a2-6f5e-4c53-8d0e-2f6d3a9b1c47",
        "state": "open",
        "start_time": "2026-11-21T12:00:00.000Z",
        "last_message_time": "2026-11-21T12:00:10.000Z",
        "message_count": 2,
        "messages": ["Hello", "Are you open on Sunday?"],
        "time_elapsed": 15.0,
        "time_remaining": 25.0,
        "timer_active": true,
    })
}
