//! The clock, as precise as both databases keep it.

use chrono::{DateTime, Utc};

/// Now, in whole microseconds: PostgreSQL keeps no more, and the start of an effect is recognised
/// by its exact time.
pub(crate) fn now() -> DateTime<Utc> {
    let now = real_or_moved();
    DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now)
}

#[cfg(not(test))]
fn real_or_moved() -> DateTime<Utc> {
    Utc::now()
}

#[cfg(test)]
fn real_or_moved() -> DateTime<Utc> {
    Utc::now() + moved::by()
}

/// Tests move the clock of their thread on, instead of waiting.
#[cfg(test)]
pub(crate) mod moved {
    use std::cell::Cell;

    use chrono::TimeDelta;

    thread_local! {
        static BY: Cell<TimeDelta> = const { Cell::new(TimeDelta::zero()) };
    }

    pub(super) fn by() -> TimeDelta {
        BY.get()
    }

    /// Sets this thread's clock: so far from the real one.
    pub(crate) fn to(from_now: TimeDelta) {
        BY.set(from_now);
    }

    /// Moves this thread's clock on.
    pub(crate) fn on(time: TimeDelta) {
        BY.set(BY.get() + time);
    }
}
