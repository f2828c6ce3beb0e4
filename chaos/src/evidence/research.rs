//! The evidence of research.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use entities::{JobId, job};
use sandbox::{Effect, EffectKind, FaultKind, Received};
use sea_orm::{DatabaseConnection, EntityTrait as _, QuerySelect as _};

use super::collect::{of_kind, word};
use super::{Evidence, Job, Submission};
use crate::log::Entry;
use crate::relay::Record;

/// How long after a submission a fault may still keep its outcome from being stored: OpenAI or the
/// machine may have been slow.
const STORED_WITHIN: TimeDelta = TimeDelta::seconds(15);

pub(super) fn submissions(
    effects: &[Effect],
    received: &[Received],
    record: &Record,
    faults: &[Entry],
) -> Vec<Submission> {
    let mut requests: HashMap<&str, Vec<&Received>> = HashMap::new();
    for request in received {
        if let Some(job) = request.body["metadata"]["job_id"].as_str() {
            requests.entry(job).or_default().push(request);
        }
    }
    of_kind(effects, EffectKind::ResearchSubmissions)
        .map(|effect| {
            // The request that made it is the last one for this job before it.
            let mut requests = requests.get(effect.subject.as_str()).into_iter().flatten();
            let request = requests.rfind(|request| request.number < effect.number);
            let answer_lost = request.is_some_and(|request| {
                matches!(
                    request.fault,
                    Some(FaultKind::DropAfter | FaultKind::StatusAfter | FaultKind::Garbage)
                )
            });
            let response = effect.detail["response_id"].as_str().unwrap_or_default();
            let at = effect.at.parse().unwrap_or_default();
            Submission {
                job: effect.subject.clone(),
                at,
                outcome_unknown: answer_lost || struck_inside(faults, at),
                told_at: record.accepted.get(response).map(|accepted| accepted.at),
                in_vain: effect.detail["deleted"] == true
                    || effect.detail["code"] == "server_error",
            }
        })
        .collect()
}

/// Whether a fault that can keep a worker from storing what it learned was there while this
/// submission was made or just after.
fn struck_inside(faults: &[Entry], at: DateTime<Utc>) -> bool {
    faults.iter().any(|fault| {
        fault.kind.strikes_workers() && fault.until >= at && fault.at < at + STORED_WITHIN
    })
}

pub(super) async fn jobs(db: &DatabaseConnection, evidence: &mut Evidence) -> anyhow::Result<()> {
    // Not the raw responses: thousands of them are a lot.
    let rows: Vec<(JobId, job::State, Option<String>, Option<String>)> = job::Entity::find()
        .select_only()
        .columns([
            job::Column::Id,
            job::Column::State,
            job::Column::DealId,
            job::Column::Error,
        ])
        .into_tuple()
        .all(db)
        .await?;
    for (id, state, deal, error) in rows {
        let job = Job {
            state: word(&state),
            deal,
            error,
        };
        evidence.jobs.insert(id.0.to_string(), job);
    }
    Ok(())
}
