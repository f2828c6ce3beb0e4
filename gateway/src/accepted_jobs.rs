//! Jobs that this gateway has accepted and no worker may have picked up yet.
//!
//! A client that asks for its job right after `POST /generate` must not hear that there is none.
//! This is a courtesy, not a record: it is forgotten with the process, and other pods don't know it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use entities::JobId;

/// How long a job is remembered. A worker has its row within milliseconds, unless all are away.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// How many jobs are remembered; later ones are not while there are as many.
const MOST_JOBS: usize = 10_000;

/// The jobs. Shared by all requests.
#[derive(Debug, Default)]
pub struct AcceptedJobs(Mutex<HashMap<JobId, Accepted>>);

#[derive(Debug)]
struct Accepted {
    at: Instant,
    company_name: Option<String>,
}

impl AcceptedJobs {
    /// Remembers a job whose request the broker has confirmed.
    pub fn remember(&self, job: JobId, company_name: Option<String>, now: Instant) {
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if jobs.len() >= MOST_JOBS {
            jobs.retain(|_, accepted| now.duration_since(accepted.at) < REMEMBERED);
        }
        if jobs.len() < MOST_JOBS {
            jobs.insert(
                job,
                Accepted {
                    at: now,
                    company_name,
                },
            );
        }
    }

    /// The company's name, if the job was accepted here not long ago.
    #[must_use]
    pub fn find(&self, job: JobId, now: Instant) -> Option<Option<String>> {
        let jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let accepted = jobs.get(&job)?;
        (now.duration_since(accepted.at) < REMEMBERED).then(|| accepted.company_name.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use entities::JobId;

    use super::{AcceptedJobs, MOST_JOBS, REMEMBERED};

    #[test]
    fn a_job_is_remembered_for_a_while() {
        let (jobs, now) = (AcceptedJobs::default(), Instant::now());
        let job = JobId::from_idempotency_key("a");
        assert_eq!(jobs.find(job, now), None);
        jobs.remember(job, Some("Acme".to_owned()), now);
        assert_eq!(jobs.find(job, now), Some(Some("Acme".to_owned())));
        assert_eq!(jobs.find(job, now + REMEMBERED), None);
    }

    #[test]
    fn the_memory_is_bounded_and_old_jobs_make_room() {
        let (jobs, start) = (AcceptedJobs::default(), Instant::now());
        let job = |number: usize| JobId::from_idempotency_key(&number.to_string());
        for number in 0..=MOST_JOBS {
            jobs.remember(job(number), None, start);
        }
        assert_eq!(jobs.find(job(MOST_JOBS), start), None);
        let later = start + REMEMBERED;
        jobs.remember(job(MOST_JOBS), None, later);
        assert_eq!(jobs.find(job(MOST_JOBS), later), Some(None));
    }
}
