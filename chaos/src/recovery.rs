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

/// The same of all workers, who have to start first.
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
            Kind::WorkerKilled | Kind::CrashedAt => &WORKER_KILLED,
            Kind::AllWorkersKilled => &ALL_WORKERS_KILLED,
            _ => return None,
        };
        is_alone(fault, faults).then_some((way, fault.at))
    });
    kills
        .filter_map(|(way, at)| {
            let next = resumed.get(resumed.partition_point(|resumed| *resumed <= at))?;
            let time = (*next - at).to_std().ok()?;
            // The worker may have had nothing in its hands: then that was somebody else's work.
            (time < OWN_WORK).then_some(Recovery { way, time })
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

/// What is resumed later than this after a kill was left by a later fault.
const OWN_WORK: Duration = Duration::from_secs(30);

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
