//! What happens when: events from outside and faults, decided by a seed before anything starts.

mod events;
mod faults;

use std::time::Duration;

pub use events::{Ending, Event, What};
pub use faults::{Fault, ProviderFault};

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
    /// How many gateways there are.
    pub gateways: usize,
    /// How many nodes the broker has.
    pub nodes: usize,
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

/// All steps in the order of their times.
#[must_use]
pub fn schedule(plan: &Plan) -> Vec<Step> {
    // Two generators: asking for more faults leaves the events as they are.
    let mut steps = events::events(plan, &mut Random::new(plan.seed));
    steps.extend(faults::faults(plan, &mut Random::new(!plan.seed)));
    steps.sort_by_key(|step| step.at);
    steps
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
        gateways: 2,
        nodes: 1,
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

    fn faults_of(plan: Plan) -> Vec<Fault> {
        let steps = schedule(&plan).into_iter();
        let fault = |step: Step| match step.action {
            Action::Fault(fault) => Some(fault),
            Action::Event(_) => None,
        };
        steps.filter_map(fault).collect()
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
        let numbers: BTreeSet<u32> = events_of(&steps).iter().map(|event| event.number).collect();
        assert_eq!(numbers.len(), 300);
    }

    #[test]
    fn a_contact_falls_silent_once() {
        let plan = Plan {
            events: 5000,
            ..PLAN
        };
        let steps = schedule(&plan);
        let silenced: Vec<u32> = events_of(&steps)
            .into_iter()
            .filter_map(|event| match event.what {
                events::What::OptOut { contact, .. } | events::What::DoNotDisturb { contact } => {
                    Some(contact)
                }
                _ => None,
            })
            .collect();
        let different: BTreeSet<&u32> = silenced.iter().collect();
        assert!(!silenced.is_empty());
        assert_eq!(different.len(), silenced.len());
    }

    #[test]
    fn only_a_database_that_is_a_server_is_stopped() {
        let stops = |database| {
            let faults = faults_of(Plan {
                database,
                faults: 2000,
                ..PLAN
            });
            let stops = |fault: &&Fault| matches!(fault, Fault::StopDatabase(_));
            faults.iter().filter(stops).count()
        };
        assert_eq!(stops(Database::Sqlite), 0);
        assert!(stops(Database::Postgres) > 0);
    }
}
