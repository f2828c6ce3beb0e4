//! What goes wrong.

use std::time::Duration;

use crash_points::{POINTS, Program};
use sandbox::{Deliver, FaultKind, Provider};

use super::events::WAITS;
use super::{Action, Plan, Step, moment};
use crate::options::Database;
use crate::random::Random;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// SIGKILL; started again at once.
    KillGateway(usize),
    /// SIGKILL; started again at once.
    KillWorker(usize),
    /// SIGKILL of all workers in the same moment; started again at once.
    KillAllWorkers,
    /// SIGSTOP of a worker, SIGCONT after this time: a process that comes back from the dead.
    FreezeWorker(usize, Duration),
    /// Every gateway and worker, one after the other, is asked to end and started again.
    RollingRestart,
    /// A worker dies when it comes by a named place in its code for the n-th time.
    CrashWorker(usize, &'static str, u32),
    /// A gateway dies in the same way.
    CrashGateway(usize, &'static str, u32),
    /// SIGKILL of a node of the broker; started again after this time.
    KillBroker(usize, Duration),
    /// A node of the broker is asked to stop, and started again.
    RestartBroker(usize),
    /// Every connection to the broker is cut.
    CutBroker,
    /// Connections to the broker stay open, and nothing passes for this time.
    FreezeBroker(Duration),
    /// Everything to and from the broker comes later by `latency`, for `time`.
    SlowBroker {
        /// How much later.
        latency: Duration,
        /// How long.
        time: Duration,
    },
    /// The broker has too little memory for this time: it reads nothing from publishers.
    MemoryAlarm(Duration),
    /// The broker has too little disk for this time: it reads nothing from publishers.
    DiskAlarm(Duration),
    /// Timers of batches are lost: the lane of this wait is emptied.
    LoseTimers(u32),
    /// An operator moves all parked messages back into their queues.
    ReplayParked,
    /// Every connection to the database is cut.
    CutDatabase,
    /// Connections to the database stay open, and nothing passes for this time.
    FreezeDatabase(Duration),
    /// Everything to and from the database comes later by `latency`, for `time`.
    SlowDatabase {
        /// How much later.
        latency: Duration,
        /// How long.
        time: Duration,
    },
    /// The database's server is stopped at once and started again after this time.
    StopDatabase(Duration),
    /// A provider misbehaves on a route.
    Provider(ProviderFault),
    /// OpenAI delivers its webhooks differently for this time.
    Webhooks(Deliver, Duration),
    /// The gateways' next answers to webhooks are lost on their way: senders send again.
    LoseAnswers(u32),
}

/// How a provider misbehaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderFault {
    /// Who.
    pub provider: Provider,
    /// On which route.
    pub route: &'static str,
    /// How.
    pub kind: FaultKind,
    /// The status, where it answers one.
    pub status: u16,
    /// Seconds of a `Retry-After` header.
    pub retry_after: Option<u64>,
    /// For how many requests.
    pub times: u32,
}

/// The share of the time at whose end no new fault begins, so that each fault strikes under load.
const QUIET_END: f64 = 0.05;

/// The kinds of faults, each with how often it comes relative to the others. Only PostgreSQL is a
/// server with connections; a cluster loses its nodes more often.
fn kinds(plan: &Plan) -> Vec<(Kind, u64)> {
    let mut kinds = vec![
        (Kind::KillGateway, 7),
        (Kind::KillWorker, 8),
        (Kind::CrashAt, 8),
        (Kind::KillAllWorkers, 4),
        (Kind::FreezeWorker, 3),
        (Kind::Zombie, 1),
        (Kind::RollingRestart, 2),
        (Kind::KillBroker, 4),
        (Kind::RestartBroker, 2),
        (Kind::CutBroker, 5),
        (Kind::FreezeBroker, 3),
        (Kind::SlowBroker, 2),
        (Kind::MemoryAlarm, 2),
        (Kind::DiskAlarm, 2),
        (Kind::LoseTimers, 3),
        (Kind::ReplayParked, 2),
        (Kind::Provider, 26),
        (Kind::Webhooks, 8),
        (Kind::LoseAnswers, 4),
    ];
    if plan.database == Database::Postgres {
        kinds.extend([
            (Kind::CutDatabase, 4),
            (Kind::FreezeDatabase, 3),
            (Kind::SlowDatabase, 2),
            (Kind::StopDatabase, 4),
        ]);
    }
    if plan.nodes > 1 {
        // What a cluster is for.
        kinds.extend([(Kind::KillBroker, 16), (Kind::RestartBroker, 6)]);
    }
    kinds
}

#[derive(Clone, Copy)]
enum Kind {
    KillGateway,
    KillWorker,
    /// Dies at a named place in the code.
    CrashAt,
    KillAllWorkers,
    FreezeWorker,
    /// Frozen for longer than anybody waits for it.
    Zombie,
    RollingRestart,
    KillBroker,
    RestartBroker,
    CutBroker,
    FreezeBroker,
    SlowBroker,
    MemoryAlarm,
    DiskAlarm,
    LoseTimers,
    ReplayParked,
    CutDatabase,
    FreezeDatabase,
    SlowDatabase,
    StopDatabase,
    Provider,
    Webhooks,
    LoseAnswers,
}

/// The routes that providers misbehave on.
const ROUTES: [(Provider, &str); 12] = [
    (Provider::OpenAi, "POST /v1/responses"),
    (Provider::OpenAi, "POST /v1/responses"),
    (Provider::OpenAi, "GET /v1/responses"),
    (Provider::HighLevel, "POST /conversations/messages"),
    (Provider::HighLevel, "POST /conversations/messages"),
    (Provider::HighLevel, "GET /conversations"),
    (Provider::HubSpot, "GET /crm"),
    (Provider::HubSpot, "POST /crm/v3/objects/notes"),
    (Provider::HubSpot, "PATCH /crm"),
    (Provider::Google, "POST /drive"),
    (Provider::Google, "POST /v1/documents"),
    (Provider::Notify, "POST"),
];

pub(super) fn faults(plan: &Plan, random: &mut Random) -> Vec<Step> {
    let kinds = kinds(plan);
    let length = plan.length.mul_f64(1.0 - QUIET_END);
    (0..plan.faults)
        .map(|_| Step {
            at: moment(random, length),
            action: Action::Fault(fault(plan, random.weighted(&kinds), random)),
        })
        .collect()
}

fn fault(plan: &Plan, kind: Kind, random: &mut Random) -> Fault {
    let gateway = |random: &mut Random| random.below(plan.gateways as u64) as usize;
    let worker = |random: &mut Random| random.below(plan.workers as u64) as usize;
    let node = |random: &mut Random| random.below(plan.nodes as u64) as usize;
    match kind {
        Kind::KillGateway => Fault::KillGateway(gateway(random)),
        Kind::KillWorker => Fault::KillWorker(worker(random)),
        Kind::KillAllWorkers => Fault::KillAllWorkers,
        Kind::FreezeWorker => Fault::FreezeWorker(worker(random), seconds(random, 2, 8)),
        Kind::Zombie => Fault::FreezeWorker(worker(random), seconds(random, 30, 60)),
        Kind::RollingRestart => Fault::RollingRestart,
        Kind::CrashAt => crash_at(random, gateway, worker),
        Kind::KillBroker => Fault::KillBroker(node(random), seconds(random, 0, 4)),
        Kind::RestartBroker => Fault::RestartBroker(node(random)),
        Kind::CutBroker => Fault::CutBroker,
        Kind::FreezeBroker => Fault::FreezeBroker(seconds(random, 2, 8)),
        Kind::SlowBroker => Fault::SlowBroker {
            latency: milliseconds(random, 20, 400),
            time: seconds(random, 4, 12),
        },
        Kind::MemoryAlarm => Fault::MemoryAlarm(seconds(random, 3, 8)),
        Kind::DiskAlarm => Fault::DiskAlarm(seconds(random, 3, 8)),
        Kind::LoseTimers => Fault::LoseTimers(random.one_of(&WAITS)),
        Kind::ReplayParked => Fault::ReplayParked,
        Kind::CutDatabase => Fault::CutDatabase,
        Kind::FreezeDatabase => Fault::FreezeDatabase(seconds(random, 2, 8)),
        Kind::SlowDatabase => Fault::SlowDatabase {
            latency: milliseconds(random, 5, 100),
            time: seconds(random, 4, 12),
        },
        Kind::StopDatabase => Fault::StopDatabase(seconds(random, 0, 4)),
        Kind::Provider => Fault::Provider(provider_fault(random)),
        Kind::Webhooks => {
            let ways = [
                Deliver::Twice,
                Deliver::Late,
                Deliver::Never,
                Deliver::BeforeAnswer,
                Deliver::Reordered,
            ];
            Fault::Webhooks(random.one_of(&ways), seconds(random, 3, 10))
        }
        Kind::LoseAnswers => Fault::LoseAnswers(random.between(1, 4) as u32),
    }
}

/// A named place, and who dies there.
fn crash_at(
    random: &mut Random,
    gateway: impl Fn(&mut Random) -> usize,
    worker: impl Fn(&mut Random) -> usize,
) -> Fault {
    let (program, point) = random.one_of(POINTS);
    let times = random.between(1, 5) as u32;
    match program {
        Program::Gateway => Fault::CrashGateway(gateway(random), point, times),
        Program::Worker => Fault::CrashWorker(worker(random), point, times),
    }
}

fn provider_fault(random: &mut Random) -> ProviderFault {
    let (provider, route) = random.one_of(&ROUTES);
    let kinds = [
        (FaultKind::Status, 429),
        // A refusal: the message is parked, and goes on from there when it is replayed.
        (FaultKind::Status, 400),
        (FaultKind::Status, 500),
        (FaultKind::Status, 503),
        (FaultKind::StatusAfter, 500),
        (FaultKind::DropBefore, 0),
        (FaultKind::DropAfter, 0),
        (FaultKind::DropAfter, 0),
        (FaultKind::Delay, 0),
        (FaultKind::Garbage, 0),
    ];
    let (kind, status) = random.one_of(&kinds);
    ProviderFault {
        provider,
        route,
        kind,
        status,
        retry_after: (status == 429).then(|| random.between(1, 4)),
        times: random.between(1, 3) as u32,
    }
}

fn seconds(random: &mut Random, first: u64, last: u64) -> Duration {
    Duration::from_secs(random.between(first, last))
}

fn milliseconds(random: &mut Random, first: u64, last: u64) -> Duration {
    Duration::from_millis(random.between(first, last))
}
