//! Research, from the wish to the news of its document.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Account, Line, is_parked};
use crate::evidence::{Evidence, Submission, Wish};

pub(super) fn count(evidence: &Evidence, account: &mut Account) {
    let jobs = Jobs::of(evidence);
    wishes(evidence, &jobs, account);
    submissions(evidence, &jobs, account);
    let done: Vec<&str> = jobs.in_state(&["notified"]);
    let ended: Vec<&str> = jobs.in_state(&["failed", "cancelled"]);
    let deals: Vec<&str> = done
        .iter()
        .filter_map(|job| evidence.jobs.get(*job)?.deal.as_deref())
        .collect();
    let documents = &evidence.documents;
    once(account, "documents", &done, documents, Repeat::Counts);
    let news = &evidence.notifications;
    once(account, "news of documents", &done, news, Repeat::Known);
    once(
        account,
        "notes on deals",
        &deals,
        &evidence.notes,
        Repeat::Counts,
    );
    told_of_failure(evidence, &ended, account);
}

/// The jobs that accepted wishes became.
struct Jobs<'a> {
    evidence: &'a Evidence,
    of_deal: HashMap<&'a str, Vec<&'a str>>,
    expected: BTreeSet<&'a str>,
}

impl<'a> Jobs<'a> {
    fn of(evidence: &'a Evidence) -> Self {
        let mut jobs = Self {
            evidence,
            of_deal: HashMap::new(),
            expected: BTreeSet::new(),
        };
        for (id, job) in &evidence.jobs {
            if let Some(deal) = &job.deal {
                jobs.of_deal.entry(deal).or_default().push(id);
            }
        }
        let accepted = evidence.wishes.iter().filter(|wish| wish.accepted);
        jobs.expected = accepted.flat_map(|wish| jobs.of_wish(wish)).collect();
        jobs
    }

    fn of_wish(&self, wish: &Wish) -> Vec<&'a str> {
        if let Some(deal) = &wish.deal {
            return self.of_deal.get(deal.as_str()).cloned().unwrap_or_default();
        }
        let job = wish.job.as_ref();
        let known = job.and_then(|job| self.evidence.jobs.get_key_value(job));
        known.map(|(id, _)| id.as_str()).into_iter().collect()
    }

    fn is_in(&self, job: &str, states: &[&str]) -> bool {
        let job = self.evidence.jobs.get(job);
        job.is_some_and(|job| states.contains(&job.state.as_str()))
    }

    fn in_state(&self, states: &[&str]) -> Vec<&'a str> {
        let expected = self.expected.iter().copied();
        expected.filter(|job| self.is_in(job, states)).collect()
    }
}

/// Every accepted wish must have one job, and the job its end.
fn wishes(evidence: &Evidence, jobs: &Jobs<'_>, account: &mut Account) {
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
            let of_wish = jobs.of_wish(wish);
            if of_wish.len() > 1 {
                let what = format!("{} became {} jobs", wish.name, of_wish.len());
                account.repeat(&mut line, what);
            }
            let Some(job) = of_wish.first() else {
                account.lose(&mut line, format!("{}: no job", wish.name));
                continue;
            };
            let parked = |name: &str| is_parked(&evidence.parked, name);
            if jobs.is_in(job, &["notified"]) {
                line.seen += 1;
            } else if wish.may_fail && jobs.is_in(job, &["failed", "cancelled"]) {
                line.failed += 1;
            } else if parked(job) || wish.deal.as_deref().is_some_and(parked) {
                line.parked += 1;
            } else {
                let what = format!("{}: {job} {:?}", wish.name, evidence.jobs.get(*job));
                account.lose(&mut line, what);
            }
        }
        line.accepted = Some(line.expected);
        account.lines.push(line);
    }
}

/// Each job is submitted once; again only when the submission before was in vain, or its outcome
/// was one that nobody could know.
fn submissions(evidence: &Evidence, jobs: &Jobs<'_>, account: &mut Account) {
    let mut of_job: BTreeMap<&str, Vec<&Submission>> = BTreeMap::new();
    for submission in &evidence.submissions {
        of_job.entry(&submission.job).or_default().push(submission);
    }
    let mut line = Line {
        what: "submissions of research",
        expected: jobs.expected.len(),
        seen: evidence.submissions.len(),
        ..Line::default()
    };
    for job in jobs
        .expected
        .iter()
        .filter(|job| !of_job.contains_key(*job))
    {
        if is_parked(&evidence.parked, job) {
            line.parked += 1;
        } else {
            account.lose(&mut line, format!("{job} was never submitted"));
        }
    }
    for (job, submissions) in of_job {
        for pair in submissions.windows(2) {
            let [first, second] = pair else { continue };
            if first.in_vain {
                line.expected += 1;
                continue;
            }
            let told = first.told_at.is_some_and(|told_at| told_at < second.at);
            let text = format!("{job} was submitted at {} and {}", first.at, second.at);
            if first.outcome_unknown && !told {
                line.permitted += 1;
                account.permitted.push(format!(
                    "{text}: a fault hid the outcome, no webhook told it"
                ));
            } else {
                let what = format!(
                    "{text}; outcome hidden by a fault: {}, told before: {told}",
                    first.outcome_unknown
                );
                account.repeat(&mut line, what);
            }
        }
    }
    account.lines.push(line);
}

/// People are told of each job that ended without a document. What failed first and was replayed
/// with success was told of too, which is right.
fn told_of_failure(evidence: &Evidence, ended: &[&str], account: &mut Account) {
    let what = "news of failed research";
    let mut line = Line {
        what,
        expected: ended.len(),
        ..Line::default()
    };
    for job in ended {
        match evidence.failures.get(*job) {
            None if is_parked(&evidence.parked, job) => line.parked += 1,
            None => account.lose(&mut line, format!("{what}: none for {job}")),
            Some(1) => line.seen += 1,
            Some(count) => {
                line.seen += count;
                line.permitted += count - 1;
                let text = format!("{what}: {count} for {job}");
                account.permitted.push(text);
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
            account.lose(&mut line, format!("{what}: none for {subject}"));
        }
    }
    for (subject, count) in seen.iter().filter(|(_, count)| **count > 1) {
        let text = format!("{what}: {count} for {subject}");
        if repeat == Repeat::Known {
            line.permitted += count - 1;
            account.permitted.push(text);
        } else {
            account.repeat(&mut line, text);
        }
    }
    account.lines.push(line);
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
            in_vain: false,
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
                may_fail: false,
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
            job.state = "submitted".to_owned();
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

    #[test]
    fn after_a_response_that_failed_another_is_wanted() {
        let mut evidence = done();
        evidence.submissions[0].in_vain = true;
        evidence.submissions.push(submission(10));
        let account = Account::of(&evidence);
        assert!(account.is_clean(), "{account:?}");
    }

    #[test]
    fn failed_research_is_lost_unless_openai_wanted_it_and_people_were_told() {
        let mut evidence = done();
        for job in evidence.jobs.values_mut() {
            job.state = "failed".to_owned();
        }
        evidence.failures.insert("j1".to_owned(), 1);
        assert_eq!(Account::of(&evidence).lost.len(), 1);
        evidence.wishes[0].may_fail = true;
        assert!(Account::of(&evidence).is_clean());
        evidence.failures.clear();
        assert_eq!(Account::of(&evidence).lost.len(), 1);
    }
}
