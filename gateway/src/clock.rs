//! The time, so that tests can set it.

use std::sync::Arc;

use chrono::{DateTime, Utc};

/// Where the time comes from. Cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(Utc::now))
    }

    /// A clock that stands still.
    #[must_use]
    pub fn stopped_at(time: DateTime<Utc>) -> Self {
        Self(Arc::new(move || time))
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        (self.0)()
    }
}
