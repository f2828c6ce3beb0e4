//! The clock, as precise as both databases keep it.

use chrono::{DateTime, Utc};

/// Now, in whole microseconds: PostgreSQL keeps no more, and the start of an effect is recognised
/// by its exact time.
pub(crate) fn now() -> DateTime<Utc> {
    let now = Utc::now();
    DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now)
}
