//! What a handler says about a message; the consumer loop carries it out.

use std::time::Duration;

use crate::delivery::Attempt;
use crate::outgoing::Outgoing;
use crate::topology::Lane;

/// What happened to a message. The loop publishes, waits for confirms and acks; handlers don't.
#[derive(Debug)]
pub enum Verdict {
    /// The work is done, its state committed. These follow-ups are derived from the stored state.
    Done(Vec<Outgoing>),
    /// The work was done before. The same follow-ups again, in case they were lost the first time.
    Duplicate(Vec<Outgoing>),
    /// Nothing to do, on purpose: the world moved on, or the message is of no interest.
    Skipped(&'static str),
    /// It failed, and a later try can help. Counts as an attempt.
    RetryLater {
        /// What failed.
        failure: Failure,
        /// How long the provider asked us to wait, if it did.
        delay: Option<Duration>,
    },
    /// Not due yet; not a failure.
    Snooze {
        /// Why, as a metric label.
        reason: &'static str,
        /// For how long.
        delay: Duration,
    },
    /// Valid, but it can't succeed. The row is marked failed and the message parked.
    GiveUp(Failure),
    /// It can't be read. The original bytes are parked.
    Poison(Failure),
    /// Our own database is away. The message stays where it is and is tried again in place, so
    /// that an outage burns no attempts.
    Hold(Unavailable),
}

impl Verdict {
    /// How long the message with this id will be away before it comes again; `None` where it does
    /// not.
    #[must_use]
    pub fn away_for(&self, attempt: Attempt, message_id: &str) -> Option<Duration> {
        match self {
            Self::RetryLater { delay, .. } if !attempt.is_last() => {
                Some(Lane::for_retry(attempt.number, *delay, message_id).delay())
            }
            Self::Snooze { delay, .. } => Some(Lane::at_least(*delay).delay()),
            _ => None,
        }
    }
}

/// Why a message failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// A closed set of words, used as a metric label and for filtering parked messages.
    pub reason: &'static str,
    /// What happened, to what, in words for people. No secret and no message text.
    pub detail: String,
}

impl Failure {
    /// A failure with its reason and what happened.
    pub fn new(reason: &'static str, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }
}

/// Something of our own that a handler needs is away: the database, or the broker.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);
