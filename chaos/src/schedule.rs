//! What happens when: events from outside and faults, decided by a seed before anything starts.

use std::time::Duration;

use sandbox::{Deliver, FaultKind, Provider};

use crate::options::Database;
use crate::random::Random;

/// What a run is to be like. The same plan gives the same schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Where all chance comes from.
    pub seed: u64,
    /// How long events and faults go on.
    pub length: Duration,
    /// How many events come in.
    pub events: u32,
    /// How many faults strike.
    pub faults: u32,
    /// How many workers there are.
    pub workers: usize,
    /// The database. Only PostgreSQL is a server that can go away.
    pub database: Database,
}

/// Something that happens at a time after the start.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// When, counted from the start.
    pub at: Duration,
    /// What.
    pub action: Action,
}

/// An event from outside, or a fault.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Somebody outside does something.
    Event(Event),
    /// Something goes wrong.
    Fault(Fault),
}

/// What somebody outside does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A contact writes; HighLevel sends its webhook.
    Message {
        /// The number of the event in this run.
        number: u32,
        /// The contact.
        contact: u32,
        /// How HighLevel delivers it.
        deliver: Deliver,
    },
    /// A new deal reaches the stage; HubSpot sends its webhook this many times.
    Deal {
        /// The number of the event in this run, and the deal's id.
        number: u32,
        /// How often.
        times: u32,
    },
    /// A client asks for research, twice at once where `twice` says so.
    Request {
        /// The number of the event in this run.
        number: u32,
        /// Whether a second copy is sent at the same time.
        twice: bool,
    },
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// SIGKILL; started again at once.
    KillGateway,
    /// SIGKILL; started again at once.
    KillWorker(usize),
    /// SIGKILL of all workers in the same moment; started again at once.
    KillAllWorkers,
    /// SIGSTOP of a worker, SIGCONT after this time: a process that comes back from the dead.
    FreezeWorker(usize, Duration),
    /// SIGKILL of the broker; started again after this time.
    KillBroker(Duration),
    /// The broker is asked to stop, and started again.
    RestartBroker,
    /// Every connection to the broker is cut.
    CutBroker,
    /// Connections to the broker stay open, and nothing passes for this time.
    FreezeBroker(Duration),
    /// Every connection to the database is cut.
    CutDatabase,
    /// Connections to the database stay open, and nothing passes for this time.
    FreezeDatabase(Duration),
    /// The database's server is stopped at once and started again after this time.
    StopDatabase(Duration),
    /// A provider misbehaves on a route.
    Provider(ProviderFault),
    /// OpenAI delivers its webhooks differently for this time.
    Webhooks(Deliver, Duration),
    /// The gateway's next answers to webhooks are lost on their way: senders send again.
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

/// All steps in the order of their times.
#[must_use]
pub fn schedule(plan: &Plan) -> Vec<Step> {
    // Two generators: asking for more faults leaves the events as they are.
    let mut steps = events(plan, &mut Random::new(plan.seed));
    steps.extend(faults(plan, &mut Random::new(!plan.seed)));
    steps.sort_by_key(|step| step.at);
    steps
}

fn events(plan: &Plan, random: &mut Random) -> Vec<Step> {
    let contacts = u64::from(plan.events / 6).max(3);
    let mut steps = Vec::new();
    while steps.len() < plan.events as usize {
        let start = moment(random, plan.length);
        let number = steps.len() as u32;
        match random.below(100) {
            0..20 => {
                let times = if random.chance(25) { 2 } else { 1 };
                steps.push(event(start, Event::Deal { number, times }));
            }
            20..40 => {
                let twice = random.chance(25);
                steps.push(event(start, Event::Request { number, twice }));
            }
            _ => {
                let contact = random.below(contacts) as u32;
                let burst = random.between(1, 4).min((plan.events - number).into()) as u32;
                let mut at = start;
                for number in number..number + burst {
                    let message = Event::Message {
                        number,
                        contact,
                        deliver: delivery(random),
                    };
                    steps.push(event(at.min(plan.length), message));
                    at += Duration::from_millis(random.between(0, 2500));
                }
            }
        }
    }
    steps
}

fn event(at: Duration, event: Event) -> Step {
    let action = Action::Event(event);
    Step { at, action }
}

fn delivery(random: &mut Random) -> Deliver {
    match random.below(100) {
        0..10 => Deliver::Twice,
        10..20 => Deliver::Reordered,
        20..25 => Deliver::Late,
        _ => Deliver::Normal,
    }
}

fn faults(plan: &Plan, random: &mut Random) -> Vec<Step> {
    let length = plan.length.mul_f64(1.0 - QUIET_END);
    (0..plan.faults)
        .map(|_| Step {
            at: moment(random, length),
            action: Action::Fault(fault(plan, random)),
        })
        .collect()
}

fn fault(plan: &Plan, random: &mut Random) -> Fault {
    let seconds =
        |random: &mut Random, first, last| Duration::from_secs(random.between(first, last));
    match random.below(100) {
        0..7 => Fault::KillGateway,
        7..22 => Fault::KillWorker(random.below(plan.workers as u64) as usize),
        22..26 => Fault::KillAllWorkers,
        26..30 => {
            let worker = random.below(plan.workers as u64) as usize;
            Fault::FreezeWorker(worker, seconds(random, 2, 8))
        }
        30..34 => Fault::KillBroker(seconds(random, 0, 4)),
        34..37 => Fault::RestartBroker,
        37..43 => Fault::CutBroker,
        43..46 => Fault::FreezeBroker(seconds(random, 2, 8)),
        46..57 if plan.database == Database::Sqlite => Fault::KillWorker(0),
        46..50 => Fault::CutDatabase,
        50..53 => Fault::FreezeDatabase(seconds(random, 2, 8)),
        53..57 => Fault::StopDatabase(seconds(random, 0, 4)),
        57..87 => Fault::Provider(provider_fault(random)),
        87..95 => {
            let ways = [
                Deliver::Twice,
                Deliver::Late,
                Deliver::Never,
                Deliver::BeforeAnswer,
                Deliver::Reordered,
            ];
            Fault::Webhooks(random.one_of(&ways), seconds(random, 3, 10))
        }
        _ => Fault::LoseAnswers(random.between(1, 4) as u32),
    }
}

fn provider_fault(random: &mut Random) -> ProviderFault {
    let (provider, route) = random.one_of(&ROUTES);
    let kinds = [
        (FaultKind::Status, 429),
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

fn moment(random: &mut Random, length: Duration) -> Duration {
    Duration::from_millis(random.below(length.as_millis().max(1) as u64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const PLAN: Plan = Plan {
        seed: 7,
        length: Duration::from_secs(60),
        events: 300,
        faults: 200,
        workers: 2,
        database: Database::Postgres,
    };

    fn events_of(steps: &[Step]) -> Vec<&Event> {
        let event = |step| match step {
            &Step {
                action: Action::Event(ref event),
                ..
            } => Some(event),
            _ => None,
        };
        steps.iter().filter_map(event).collect()
    }

    #[test]
    fn the_same_seed_makes_the_same_schedule() {
        assert_eq!(schedule(&PLAN), schedule(&PLAN));
        assert_ne!(schedule(&PLAN), schedule(&Plan { seed: 8, ..PLAN }));
    }

    #[test]
    fn more_faults_leave_the_events_as_they_are() {
        let (few, many) = (schedule(&Plan { faults: 0, ..PLAN }), schedule(&PLAN));
        assert_eq!(events_of(&few), events_of(&many));
    }

    #[test]
    fn it_holds_as_many_events_and_faults_as_asked_in_the_order_of_time() {
        let steps = schedule(&PLAN);
        assert_eq!(events_of(&steps).len(), 300);
        assert_eq!(steps.len(), 500);
        assert!(steps.is_sorted_by_key(|step| step.at));
        assert!(steps.iter().all(|step| step.at <= PLAN.length));
    }

    #[test]
    fn every_event_has_a_number_of_its_own() {
        let steps = schedule(&PLAN);
        let numbers: BTreeSet<u32> = events_of(&steps)
            .into_iter()
            .map(|event| match event {
                Event::Message { number, .. }
                | Event::Deal { number, .. }
                | Event::Request { number, .. } => *number,
            })
            .collect();
        assert_eq!(numbers.len(), 300);
    }

    #[test]
    fn only_a_database_that_is_a_server_is_stopped() {
        let stops = |database| {
            let plan = Plan {
                database,
                faults: 2000,
                ..PLAN
            };
            let steps = schedule(&plan).into_iter();
            steps
                .filter(|step| matches!(step.action, Action::Fault(Fault::StopDatabase(_))))
                .count()
        };
        assert_eq!(stops(Database::Sqlite), 0);
        assert!(stops(Database::Postgres) > 0);
    }
}
