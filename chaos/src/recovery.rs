//! How long it takes until all is well again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::log::{Entry, Kind};

/// From what to what, and within which time it should be.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    /// For people.
    pub name: &'static str,
    /// The target, where there is one.
    pub target: Option<Duration>,
}

/// From the broker's first frame to the moment when every gateway is ready.
pub(crate) const BROKER_BACK: Way = Way {
    name: "broker back, to all gateways ready",
    target: Some(Duration::from_secs(2)),
};

/// From the loss of one node of a cluster to the next event that a gateway accepted.
const NODE_LOST: Way = Way {
    name: "node of the cluster lost, to the next event accepted",
    target: None,
};

/// From the kill of a worker to the first of its messages that another one has handled.
const WORKER_KILLED: Way = Way {
    name: "worker killed, to its work resumed by another",
    target: Some(Duration::from_secs(5)),
};

/// The same where no worker is left: one has to start first.
const ALL_WORKERS_KILLED: Way = Way {
    name: "all workers killed, to their work resumed",
    target: None,
};

/// The times that have been measured.
#[derive(Debug, Default)]
pub(crate) struct Recoveries(Mutex<Vec<Recovery>>);

/// One of them.
#[derive(Debug, Clone, Copy)]
pub struct Recovery {
    /// From what to what.
    pub way: &'static Way,
    /// How long it took.
    pub time: Duration,
}

impl Recoveries {
    pub(crate) fn add(&self, way: &'static Way, time: Duration) {
        let recovery = Recovery { way, time };
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(recovery);
    }

    pub(crate) fn list(&self) -> Vec<Recovery> {
        let list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.clone()
    }
}

/// The longest time of each way, and how many were measured.
#[must_use]
pub fn longest(recoveries: &[Recovery]) -> BTreeMap<&'static Way, (Duration, usize)> {
    let mut longest: BTreeMap<_, (Duration, usize)> = BTreeMap::new();
    for recovery in recoveries {
        let (time, count) = longest.entry(recovery.way).or_default();
        *time = (*time).max(recovery.time);
        *count += 1;
    }
    longest
}

/// From the kill of a worker to the first message handled that had been in somebody's hands before,
/// told by the workers' logs. Kills close to what stops all work say nothing about workers.
pub(crate) fn of_workers(faults: &[Entry], logs: &[PathBuf]) -> Vec<Recovery> {
    let mut resumed: Vec<DateTime<Utc>> = logs.iter().flat_map(resumed_at).collect();
    resumed.sort_unstable();
    let kills = faults.iter().filter_map(|fault| {
        let way = match fault.kind {
            Kind::WorkerKilled | Kind::CrashedAt if logs.len() > 1 => &WORKER_KILLED,
            Kind::WorkerKilled | Kind::CrashedAt | Kind::AllWorkersKilled => &ALL_WORKERS_KILLED,
            _ => return None,
        };
        is_alone(fault, faults).then_some((way, fault.at))
    });
    kills
        .filter_map(|(way, at)| {
            let next = *resumed.get(resumed.partition_point(|resumed| *resumed <= at))?;
            // A worker may have had nothing in its hands. What is resumed after a later fault was
            // left by that one.
            let mut later = faults.iter().filter(|fault| fault.at > at);
            let is_its_own = later.all(|fault| fault.at > next || !fault.kind.leaves_work());
            let time = (next - at).to_std().ok()?;
            is_its_own.then_some(Recovery { way, time })
        })
        .collect()
}

/// From the loss of a node to the next event accepted, where the broker has other nodes.
pub(crate) fn of_ingress(faults: &[Entry], accepted_at: &[DateTime<Utc>]) -> Vec<Recovery> {
    let lost = faults
        .iter()
        .filter(|fault| matches!(fault.kind, Kind::BrokerKilled | Kind::BrokerRestarted));
    lost.filter_map(|lost| {
        let next = accepted_at.partition_point(|accepted| *accepted <= lost.at);
        let time = (*accepted_at.get(next)? - lost.at).to_std().ok()?;
        let way = &NODE_LOST;
        Some(Recovery { way, time })
    })
    .collect()
}

fn is_alone(kill: &Entry, faults: &[Entry]) -> bool {
    let margin = TimeDelta::seconds(10);
    !faults.iter().any(|other| {
        other.kind.stops_all_work()
            && other.at - margin < kill.at
            && kill.at < other.until + margin * 2
    })
}

/// When this worker finished messages that the broker had handed out before.
fn resumed_at(log: &PathBuf) -> Vec<DateTime<Utc>> {
    let Ok(file) = File::open(log) else {
        return Vec::new();
    };
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    lines
        .filter(|line| line.contains("\"The message was handled.\""))
        .filter_map(|line| {
            let line: Value = serde_json::from_str(&line).ok()?;
            let resumed = line["span"]["redelivered"] == true;
            line["timestamp"].as_str().filter(|_| resumed)?.parse().ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(second)
    }

    fn fault(kind: Kind, second: i64) -> Entry {
        Entry {
            at: at(second),
            until: at(second),
            kind,
        }
    }

    /// The longest times after these faults, where workers resumed messages at these seconds.
    fn measured(faults: &[Entry], resumed: &[i64]) -> Vec<u64> {
        let mut log = tempfile::NamedTempFile::new().unwrap();
        for second in resumed {
            let line = serde_json::json!({
                "timestamp": at(*second), "fields": {"message": "The message was handled."},
                "span": {"redelivered": true},
            });
            writeln!(log, "{line}").unwrap();
        }
        let logs = [log.path().to_owned(), "another worker's".into()];
        let recoveries = of_workers(faults, &logs).into_iter();
        recoveries.map(|recovery| recovery.time.as_secs()).collect()
    }

    #[test]
    fn a_killed_workers_work_is_what_is_resumed_before_the_next_fault() {
        let kill = fault(Kind::WorkerKilled, 100);
        assert_eq!(measured(&[kill], &[90, 103, 104]), [3]);
        assert_eq!(measured(&[kill], &[]), [] as [u64; 0]);
        let later = fault(Kind::WorkerKilled, 102);
        assert_eq!(measured(&[kill, later], &[103]), [1]);
    }

    #[test]
    fn a_kill_close_to_what_stops_all_work_says_nothing() {
        let faults = [
            fault(Kind::BrokerKilled, 95),
            fault(Kind::WorkerKilled, 100),
        ];
        assert_eq!(measured(&faults, &[130]), [] as [u64; 0]);
    }
}
