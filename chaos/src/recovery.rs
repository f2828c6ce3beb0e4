//! How long it takes until all is well again.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::log::Entry;

/// The times that have been measured.
#[derive(Debug, Default)]
pub(crate) struct Recoveries(Mutex<Vec<Recovery>>);

/// One of them.
#[derive(Debug, Clone, Copy)]
pub struct Recovery {
    /// From what to what.
    pub what: &'static str,
    /// How long it took.
    pub time: Duration,
}

impl Recoveries {
    pub(crate) fn add(&self, what: &'static str, time: Duration) {
        self.lock().push(Recovery { what, time });
    }

    pub(crate) fn list(&self) -> Vec<Recovery> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Recovery>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a kill of workers is called in the log of faults.
pub(crate) const WORKER_KILLED: &str = "worker killed";
/// The same of all of them.
pub(crate) const ALL_WORKERS_KILLED: &str = "all workers killed";

/// Faults that keep workers from handling anything; a kill close to one of them says nothing about
/// workers.
const OTHERS_AWAY: [&str; 7] = [
    "broker killed",
    "broker restarted",
    "broker connections cut",
    "broker connections frozen",
    "database connections frozen",
    "database stopped",
    "worker frozen",
];

/// From the kill of a worker to the next message that any worker handled, told by the workers' logs.
/// Time in which no message was there to be handled counts too.
pub(crate) fn of_workers(faults: &[Entry], logs: &[&Path]) -> Vec<Recovery> {
    let mut handled: Vec<DateTime<Utc>> = logs.iter().flat_map(|log| handled_at(log)).collect();
    handled.sort_unstable();
    let kills = faults.iter().filter_map(|fault| {
        let what = match fault.kind {
            WORKER_KILLED => "one worker killed, to the next message handled",
            ALL_WORKERS_KILLED => "all workers killed, to the next message handled",
            _ => return None,
        };
        is_alone(fault, faults).then_some((what, fault.at))
    });
    kills
        .filter_map(|(what, at)| {
            let next = handled.iter().find(|handled| **handled > at)?;
            let time = (*next - at).to_std().ok()?;
            Some(Recovery { what, time })
        })
        .collect()
}

fn is_alone(kill: &Entry, faults: &[Entry]) -> bool {
    let close = |other: &Entry| {
        let after = kill.at - other.at;
        TimeDelta::seconds(-5) < after && after < TimeDelta::seconds(20)
    };
    !faults
        .iter()
        .any(|other| OTHERS_AWAY.contains(&other.kind) && close(other))
}

/// When this worker finished a message.
fn handled_at(log: &Path) -> Vec<DateTime<Utc>> {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines()
        .filter(|line| line.contains("The message was handled."))
        .filter_map(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            line["timestamp"].as_str()?.parse().ok()
        })
        .collect()
}
