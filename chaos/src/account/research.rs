//! Research, from the wish to the news of its document.

use std::collections::{BTreeMap, BTreeSet};

use super::{Account, Line, is_parked};
use crate::evidence::{Evidence, Submission, Wish};

pub(super) fn count(evidence: &Evidence, account: &mut Account) {
    wishes(evidence, account);
    submissions(evidence, account);
    let jobs = expected_jobs(evidence);
    let done = |job: &&str| is_done(evidence, job);
    let finished: Vec<&str> = jobs.iter().copied().filter(done).collect();
    once(
        account,
        "documents",
        &finished,
        &evidence.documents,
        Repeat::Counts,
    );
    once(
        account,
        "notifications",
        &finished,
        &evidence.notifications,
        Repeat::Known,
    );
    let deals: Vec<&str> = finished
        .iter()
        .filter_map(|job| evidence.jobs.get(*job)?.deal.as_deref())
        .collect();
    once(
        account,
        "notes on deals",
        &deals,
        &evidence.notes,
        Repeat::Counts,
    );
}

/// Every accepted wish must have one job, and the job its end.
fn wishes(evidence: &Evidence, account: &mut Account) {
    for (what, of_deals) in [
        ("deals at their stage", true),
        ("requests for research", false),
    ] {
        let of_kind = |wish: &&Wish| wish.deal.is_some() == of_deals;
        let all: Vec<&Wish> = evidence.wishes.iter().filter(of_kind).collect();
        let mut line = Line {
            what,
            sent: Some(all.len()),
            ..Line::default()
        };
        for wish in all.iter().filter(|wish| wish.accepted) {
            line.expected += 1;
            let jobs = jobs_of(evidence, wish);
            if let [_, .., _] = jobs.as_slice() {
                line.repeated += 1;
                account
                    .repeated
                    .push(format!("{} became {} jobs", wish.name, jobs.len()));
            }
            let Some(job) = jobs.first() else {
                line.lost += 1;
                account.lost.push(format!("{}: no job", wish.name));
                continue;
            };
            if is_done(evidence, job) {
                line.seen += 1;
            } else if is_parked(&evidence.parked, job)
                || wish
                    .deal
                    .as_ref()
                    .is_some_and(|deal| is_parked(&evidence.parked, deal))
            {
                line.parked += 1;
            } else {
                line.lost += 1;
                let lost = format!("{}: {job} {:?}", wish.name, evidence.jobs.get(*job));
                account.lost.push(lost);
            }
        }
        line.accepted = Some(line.expected);
        account.lines.push(line);
    }
}

/// Each job is submitted once; again only after an outcome that nobody could know.
fn submissions(evidence: &Evidence, account: &mut Account) {
    let mut of_job: BTreeMap<&str, Vec<&Submission>> = BTreeMap::new();
    for submission in &evidence.submissions {
        of_job.entry(&submission.job).or_default().push(submission);
    }
    let jobs = expected_jobs(evidence);
    let mut line = Line {
        what: "submissions of research",
        expected: jobs.len(),
        seen: evidence.submissions.len(),
        ..Line::default()
    };
    for job in jobs.iter().filter(|job| !of_job.contains_key(*job)) {
        if is_parked(&evidence.parked, job) {
            line.parked += 1;
        } else {
            line.lost += 1;
            account.lost.push(format!("{job} was never submitted"));
        }
    }
    for (job, submissions) in of_job {
        for pair in submissions.windows(2) {
            let [first, second] = pair else { continue };
            let told = first.told_at.is_some_and(|told_at| told_at < second.at);
            let text = format!("{job} was submitted at {} and {}", first.at, second.at);
            if first.outcome_unknown && !told {
                line.permitted += 1;
                account.permitted.push(format!(
                    "{text}: a fault hid the outcome, no webhook told it"
                ));
            } else {
                line.repeated += 1;
                account.repeated.push(format!(
                    "{text}; outcome hidden by a fault: {}, told before: {told}",
                    first.outcome_unknown
                ));
            }
        }
    }
    account.lines.push(line);
}

/// What a repeat means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeat {
    /// It is one too many.
    Counts,
    /// The receiver knows it by its id.
    Known,
}

/// Each of these must have been seen once, and nothing else at all.
fn once(
    account: &mut Account,
    what: &'static str,
    expected: &[&str],
    seen: &BTreeMap<String, usize>,
    repeat: Repeat,
) {
    let mut line = Line {
        what,
        expected: expected.len(),
        seen: seen.values().sum(),
        ..Line::default()
    };
    for subject in expected {
        if !seen.contains_key(*subject) {
            line.lost += 1;
            account.lost.push(format!("{what}: none for {subject}"));
        }
    }
    for (subject, count) in seen.iter().filter(|(_, count)| **count > 1) {
        let text = format!("{what}: {count} for {subject}");
        if repeat == Repeat::Known {
            line.permitted += count - 1;
            account.permitted.push(text);
        } else {
            line.repeated += count - 1;
            account.repeated.push(text);
        }
    }
    account.lines.push(line);
}

fn is_done(evidence: &Evidence, job: &str) -> bool {
    let job = evidence.jobs.get(job);
    job.is_some_and(|job| job.state == "notified")
}

/// The jobs that accepted wishes became.
fn expected_jobs(evidence: &Evidence) -> BTreeSet<&str> {
    let accepted = evidence.wishes.iter().filter(|wish| wish.accepted);
    accepted.flat_map(|wish| jobs_of(evidence, wish)).collect()
}

fn jobs_of<'a>(evidence: &'a Evidence, wish: &'a Wish) -> Vec<&'a str> {
    let known = evidence.jobs.iter();
    known
        .filter(|(id, job)| match &wish.deal {
            Some(deal) => job.deal.as_ref() == Some(deal),
            None => wish.job.as_ref() == Some(id),
        })
        .map(|(id, _)| id.as_str())
        .collect()
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use crate::account::Account;
    use crate::evidence::{Evidence, Job, ParkedMessage, Submission, Wish};

    fn submission(second: i64) -> Submission {
        Submission {
            job: "j1".to_owned(),
            at: DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(second),
            outcome_unknown: false,
            told_at: None,
        }
    }

    /// A deal whose research is done.
    fn done() -> Evidence {
        let one = |subject: &str| [(subject.to_owned(), 1)].into();
        let job = Job {
            state: "notified".to_owned(),
            deal: Some("d1".to_owned()),
            error: None,
        };
        Evidence {
            wishes: vec![Wish {
                name: "deal d1".to_owned(),
                deal: Some("d1".to_owned()),
                job: None,
                accepted: true,
            }],
            submissions: vec![submission(0)],
            documents: one("j1"),
            notes: one("d1"),
            notifications: one("j1"),
            jobs: [("j1".to_owned(), job)].into(),
            ..Evidence::default()
        }
    }

    #[test]
    fn a_wish_with_one_of_everything_is_done() {
        let account = Account::of(&done());
        assert!(account.is_clean(), "{account:?}");
    }

    #[test]
    fn a_wish_without_a_job_is_lost() {
        let mut evidence = done();
        evidence.jobs.clear();
        assert!(!Account::of(&evidence).lost.is_empty());
    }

    #[test]
    fn each_missing_effect_of_a_job_that_says_it_is_done_is_lost() {
        for clear in [
            (|evidence| evidence.documents.clear()) as fn(&mut Evidence),
            |evidence| evidence.notes.clear(),
            |evidence| evidence.notifications.clear(),
            |evidence| evidence.submissions.clear(),
        ] {
            let mut evidence = done();
            clear(&mut evidence);
            assert_eq!(Account::of(&evidence).lost.len(), 1);
        }
    }

    #[test]
    fn a_job_that_stands_still_is_lost_unless_it_is_parked() {
        let mut evidence = done();
        for job in evidence.jobs.values_mut() {
            job.state = "failed".to_owned();
        }
        assert_eq!(Account::of(&evidence).lost.len(), 1);
        evidence.parked.push(ParkedMessage {
            queue: "research.submission.dead".to_owned(),
            reason: "openai_unavailable".to_owned(),
            detail: String::new(),
            body: r#"{"job_id": "j1"}"#.to_owned(),
        });
        assert!(Account::of(&evidence).is_clean());
    }

    #[test]
    fn a_second_document_or_note_is_a_repeat() {
        let mut evidence = done();
        evidence.documents.insert("j1".to_owned(), 2);
        evidence.notes.insert("d1".to_owned(), 2);
        assert_eq!(Account::of(&evidence).repeated.len(), 2);
    }

    #[test]
    fn a_second_notification_is_permitted_and_counted() {
        let mut evidence = done();
        evidence.notifications.insert("j1".to_owned(), 2);
        let account = Account::of(&evidence);
        assert!(account.is_clean());
        assert_eq!(account.permitted.len(), 1);
    }

    #[test]
    fn a_second_submission_is_a_repeat_unless_nobody_could_know_of_the_first() {
        let mut evidence = done();
        evidence.submissions.push(submission(10));
        assert_eq!(Account::of(&evidence).repeated.len(), 1);

        evidence.submissions[0].outcome_unknown = true;
        assert!(Account::of(&evidence).is_clean());

        evidence.submissions[0].told_at = Some(evidence.submissions[0].at + TimeDelta::seconds(5));
        assert_eq!(Account::of(&evidence).repeated.len(), 1);

        evidence.submissions[0].told_at = Some(evidence.submissions[0].at + TimeDelta::seconds(15));
        assert!(Account::of(&evidence).is_clean());
    }
}
