//! How long what is kept.

use chrono::TimeDelta;
use config::Environment;

/// HubSpot and OpenAI repeat a webhook for at most three days, HighLevel's log can be resent from for
/// longer; two weeks are the least that is sensible.
const SHORTEST_EVENTS: i64 = 14;

const TEN_YEARS: i64 = 3650;

/// How long what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    /// The ids by which repeated events are recognised.
    pub(crate) events: TimeDelta,
    /// Parked and unrouted messages.
    pub(crate) parked: TimeDelta,
    /// What messages and replies say.
    pub(crate) texts: TimeDelta,
    /// What was asked of research, its raw answers, and documents in files of ours.
    pub(crate) research: TimeDelta,
    /// Everything else about batches, jobs and contacts.
    pub(crate) records: TimeDelta,
}

impl Times {
    /// Reads the variables. What would take something away that is still needed is a problem.
    pub(crate) fn read(environment: &mut Environment, research_cache: TimeDelta) -> Self {
        let mut days = |name, default, shortest| {
            let days = environment.number(name, default, shortest..=TEN_YEARS);
            (name, TimeDelta::days(days))
        };
        let events = days("RETENTION_EVENTS_DAYS", 30, SHORTEST_EVENTS);
        let parked = days("RETENTION_PARKED_DAYS", 30, 1);
        let texts = days("RETENTION_TEXTS_DAYS", 90, 1);
        let research = days("RETENTION_RESEARCH_DAYS", 365, 1);
        let records = days("RETENTION_RECORDS_DAYS", 400, 1);
        for (longer, shorter) in [
            (events, parked),
            (texts, parked),
            (research, parked),
            (research, ("RESEARCH_CACHE_DAYS", research_cache)),
            (records, texts),
            (records, research),
        ] {
            if longer.1 < shorter.1 {
                let (name, least) = (shorter.0, shorter.1.num_days());
                let text = format!("must not be shorter than {name}, which is {least} days");
                environment.problem(longer.0, text);
            }
        }
        Self {
            events: events.1,
            parked: parked.1,
            texts: texts.1,
            research: research.1,
            records: records.1,
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use config::Environment;

    use super::Times;

    fn problems(variables: &[(&str, &str)]) -> String {
        let mut environment = Environment::from_pairs(variables.iter().copied());
        Times::read(&mut environment, TimeDelta::days(7));
        let finished = environment.finish();
        finished.map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn without_any_variable_there_is_no_problem() {
        assert_eq!(problems(&[]), "");
    }

    #[test]
    fn what_would_take_something_away_that_is_needed_is_refused() {
        for (variables, problem) in [
            (
                &[
                    ("RETENTION_EVENTS_DAYS", "13"),
                    ("RETENTION_PARKED_DAYS", "1"),
                ][..],
                "RETENTION_EVENTS_DAYS must be a number from 14",
            ),
            (
                &[("RETENTION_PARKED_DAYS", "40")],
                "RETENTION_EVENTS_DAYS must not be shorter than RETENTION_PARKED_DAYS, which is 40 days",
            ),
            (
                &[("RETENTION_TEXTS_DAYS", "29")],
                "RETENTION_TEXTS_DAYS must not be shorter than RETENTION_PARKED_DAYS",
            ),
            (
                &[
                    ("RETENTION_RESEARCH_DAYS", "6"),
                    ("RETENTION_PARKED_DAYS", "1"),
                ],
                "RETENTION_RESEARCH_DAYS must not be shorter than RESEARCH_CACHE_DAYS, which is 7 days",
            ),
            (
                &[("RETENTION_RECORDS_DAYS", "364")],
                "RETENTION_RECORDS_DAYS must not be shorter than RETENTION_RESEARCH_DAYS",
            ),
        ] {
            let told = problems(variables);
            assert!(told.contains(problem), "{told}");
        }
    }
}
