//! What the evidence means: for each accepted event what became of it, for each outward effect
//! whether it happened once.
//!
//! An accepted event is **done** when the outside world saw its effect; **suppressed**, **failed** or
//! **parked** when Millrace names a reason, and the reason is one that this run has made; and
//! **lost** otherwise, also when it is merely not done yet at the end. An effect is **repeated** when
//! the outside world saw it twice, or saw it after it had been forbidden. Two repeats are counted by
//! themselves, because the design permits them and says so: research that was submitted again
//! after a fault had hidden the outcome and no webhook had told it, and a notification with the
//! same `webhook-id`, by which its receiver knows the repeat.

mod chat;
mod kept;
mod research;

use std::collections::BTreeMap;

use crate::evidence::{Evidence, ParkedMessage};

/// The result of a run.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// One line for each kind of event and effect.
    pub lines: Vec<Line>,
    /// Everything that was lost, with what is known about it.
    pub lost: Vec<String>,
    /// Everything that was done twice, or after it had been forbidden.
    pub repeated: Vec<String>,
    /// Repeats that the design permits.
    pub permitted: Vec<String>,
    /// How many messages are parked, by queue and reason.
    pub parked: BTreeMap<(String, String), usize>,
    /// How many events were suppressed, by reason.
    pub suppressed: BTreeMap<String, usize>,
}

/// One line of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// What is counted.
    pub what: &'static str,
    /// Events that were sent; `None` for effects.
    pub sent: Option<usize>,
    /// Events that the gateway accepted; `None` for effects.
    pub accepted: Option<usize>,
    /// What should have happened.
    pub expected: usize,
    /// What has been seen, repeats included: outside, or where it is to be kept.
    pub seen: usize,
    /// Ended without an effect, for a reason that this run has made.
    pub suppressed: usize,
    /// Ended as OpenAI wanted it, and people were told.
    pub failed: usize,
    /// In a parking lot.
    pub parked: usize,
    /// Neither seen nor named.
    pub lost: usize,
    /// Seen too often, or after it had been forbidden.
    pub repeated: usize,
    /// Seen again where the design permits it.
    pub permitted: usize,
}

impl Account {
    /// Makes the account.
    #[must_use]
    pub fn of(evidence: &Evidence) -> Self {
        let mut account = Self::default();
        for parked in &evidence.parked {
            let key = (parked.queue.clone(), parked.reason.clone());
            *account.parked.entry(key).or_default() += 1;
        }
        chat::count(evidence, &mut account);
        research::count(evidence, &mut account);
        kept::count(evidence, &mut account);
        account
    }

    /// Whether nothing was lost and nothing was done twice.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.lost.is_empty() && self.repeated.is_empty()
    }

    fn lose(&mut self, line: &mut Line, what: String) {
        line.lost += 1;
        self.lost.push(what);
    }

    fn repeat(&mut self, line: &mut Line, what: String) {
        line.repeated += 1;
        self.repeated.push(what);
    }
}

/// Whether a parked message names this.
fn is_parked(parked: &[ParkedMessage], name: &str) -> bool {
    parked.iter().any(|parked| parked.body.contains(name))
}
