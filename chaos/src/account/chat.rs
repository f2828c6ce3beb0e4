//! Messages, replies, and what forbids them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{Account, Line, is_parked};
use crate::evidence::{Batch, Cause, Evidence, Reply, ReplyRequest, Silence};

pub(super) fn count(evidence: &Evidence, account: &mut Account) {
    let answered = Answered::by(evidence);
    messages(evidence, &answered, account);
    replies(evidence, account);
    for (what, cause) in [
        ("opt-outs", Cause::OptOut),
        ("contacts not to be disturbed", Cause::DoNotDisturb),
        ("answers by hand", Cause::AnswerByHand),
    ] {
        silences(evidence, what, cause, account);
    }
}

/// What the replies that went out were about.
struct Answered {
    /// The questions that the model saw for a reply to their contact.
    shown: HashSet<(String, u32)>,
    /// The replies that answer a question, by their places.
    by: HashMap<(String, u32), BTreeSet<usize>>,
}

impl Answered {
    fn by(evidence: &Evidence) -> Self {
        let mut requests: HashMap<&str, Vec<&ReplyRequest>> = HashMap::new();
        for request in &evidence.reply_requests {
            requests.entry(&request.batch).or_default().push(request);
        }
        let mut answered = Self {
            shown: HashSet::new(),
            by: HashMap::new(),
        };
        for (place, reply) in evidence.replies.iter().enumerate() {
            let batches = reply.batches.iter();
            for request in batches
                .filter_map(|batch| requests.get(batch.as_str()))
                .flatten()
            {
                let question = |number: &u32| (reply.contact.clone(), *number);
                answered.shown.extend(request.shown.iter().map(question));
                for question in request.answers.iter().map(question) {
                    answered.by.entry(question).or_default().insert(place);
                }
            }
        }
        answered
    }
}

/// Every accepted message must have been shown to the model for a reply that went out.
fn messages(evidence: &Evidence, answered: &Answered, account: &mut Account) {
    let mut line = Line {
        what: "messages of contacts",
        sent: Some(evidence.messages.len()),
        ..Line::default()
    };
    for message in evidence.messages.iter().filter(|message| message.accepted) {
        line.expected += 1;
        let question = (message.contact.clone(), message.number);
        let name = format!("question {} of {}", message.number, message.contact);
        if answered.by.get(&question).is_some_and(|by| by.len() > 1) {
            account.repeat(&mut line, format!("{name} was answered by two replies"));
        }
        if answered.shown.contains(&question) {
            line.seen += 1;
            continue;
        }
        let Some((id, batch)) = last_batch(evidence, message.number) else {
            account.lose(&mut line, format!("{name}: not stored"));
            continue;
        };
        let reason = batch.reason.clone().unwrap_or_default();
        if batch.state == "suppressed" && is_explained(evidence, &batch.contact, &reason) {
            line.suppressed += 1;
            *account.suppressed.entry(reason).or_default() += 1;
        } else if is_parked(&evidence.parked, id) {
            line.parked += 1;
        } else {
            account.lose(&mut line, format!("{name}: batch {id} {batch:?}"));
        }
    }
    line.accepted = Some(line.expected);
    account.lines.push(line);
}

/// The batch that was to answer a question in the end: one that was superseded hands its messages to
/// the contact's next one.
fn last_batch(evidence: &Evidence, question: u32) -> Option<(&String, &Batch)> {
    let mut found = evidence
        .batches
        .get_key_value(evidence.batch_of.get(&question)?)?;
    while found.1.state == "superseded"
        && let Some(next) = found.1.next.as_ref()
        && let Some(next) = evidence.batches.get_key_value(next)
    {
        found = next;
    }
    Some(found)
}

/// Whether this run has given a reason to leave this contact without a reply.
fn is_explained(evidence: &Evidence, contact: &str, reason: &str) -> bool {
    let cause = match reason {
        "opted_out" => Cause::OptOut,
        "do_not_disturb" => Cause::DoNotDisturb,
        "answered_by_a_person" => Cause::AnswerByHand,
        _ => return false,
    };
    let mut silences = evidence.silences.iter();
    silences.any(|silence| silence.cause == cause && silence.contact == contact)
}

/// Each batch must have had one reply at most, and each reply a batch.
fn replies(evidence: &Evidence, account: &mut Account) {
    let mut line = Line {
        what: "replies to batches",
        seen: evidence.replies.len(),
        ..Line::default()
    };
    let mut replies_of: BTreeMap<&str, usize> = BTreeMap::new();
    for reply in &evidence.replies {
        if reply.batches.is_empty() {
            let what = format!("{} got {:?} for no batch", reply.contact, reply.text);
            account.repeat(&mut line, what);
        }
        for batch in &reply.batches {
            *replies_of.entry(batch).or_default() += 1;
        }
    }
    line.expected = replies_of.len();
    for (batch, count) in replies_of.iter().filter(|(_, count)| **count > 1) {
        account.repeat(&mut line, format!("batch {batch} got {count} replies"));
    }
    account.lines.push(line);
}

/// Each of these must be stored, and no reply begun once it is.
fn silences(evidence: &Evidence, what: &'static str, cause: Cause, account: &mut Account) {
    let mut replies_to: HashMap<&str, Vec<&Reply>> = HashMap::new();
    for reply in &evidence.replies {
        replies_to.entry(&reply.contact).or_default().push(reply);
    }
    let of_cause = evidence.silences.iter();
    let of_cause: Vec<&Silence> = of_cause.filter(|silence| silence.cause == cause).collect();
    let mut line = Line {
        what,
        sent: Some(of_cause.len()),
        ..Line::default()
    };
    for silence in of_cause.into_iter().filter(|silence| silence.accepted) {
        line.expected += 1;
        let Some(in_force) = silence.in_force else {
            account.lose(&mut line, format!("{what}: that of {}", silence.contact));
            continue;
        };
        line.seen += 1;
        let replies = replies_to
            .get(silence.contact.as_str())
            .into_iter()
            .flatten();
        for reply in replies {
            let forbidden = reply.batches.iter().any(|batch| {
                let Some(batch) = evidence.batches.get(batch) else {
                    return false;
                };
                let concerned = silence.said_at.is_none_or(|at| batch.begun_at <= at);
                concerned && batch.claimed_at.unwrap_or(reply.at) > in_force
            });
            if forbidden {
                let what = format!(
                    "{} got {:?} at {} in spite of {silence:?}",
                    reply.contact, reply.text, reply.at
                );
                account.repeat(&mut line, what);
            }
        }
    }
    line.accepted = Some(line.expected);
    account.lines.push(line);
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use crate::account::Account;
    use crate::evidence::{
        Batch, Cause, Evidence, Message, ParkedMessage, Reply, ReplyRequest, Silence,
    };

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(second)
    }

    fn message(number: u32) -> Message {
        Message {
            number,
            contact: "ada".to_owned(),
            accepted: true,
        }
    }

    fn request(batch: &str, earlier: &[u32], answers: &[u32]) -> ReplyRequest {
        ReplyRequest {
            batch: batch.to_owned(),
            shown: [earlier, answers].concat(),
            answers: answers.to_vec(),
        }
    }

    fn reply(batch: &str) -> Reply {
        Reply {
            contact: "ada".to_owned(),
            text: format!("Thank you for {batch}"),
            at: at(100),
            batches: vec![batch.to_owned()],
        }
    }

    fn stored(evidence: &mut Evidence, question: u32, batch: &str, state: &str, reason: &str) {
        let stored = Batch {
            contact: "ada".to_owned(),
            state: state.to_owned(),
            reason: Some(reason.to_owned()),
            begun_at: at(10),
            claimed_at: None,
            next: None,
        };
        evidence.batch_of.insert(question, batch.to_owned());
        evidence.batches.insert(batch.to_owned(), stored);
    }

    fn one_message() -> Evidence {
        Evidence {
            messages: vec![message(1)],
            ..Evidence::default()
        }
    }

    fn answered() -> Evidence {
        let mut evidence = one_message();
        stored(&mut evidence, 1, "b1", "replied", "");
        evidence.reply_requests.push(request("b1", &[], &[1]));
        evidence.replies.push(reply("b1"));
        evidence
    }

    fn silence(cause: Cause, said_at: Option<i64>, in_force: Option<i64>) -> Silence {
        Silence {
            cause,
            contact: "ada".to_owned(),
            accepted: true,
            said_at: said_at.map(at),
            in_force: in_force.map(at),
        }
    }

    #[test]
    fn a_message_whose_reply_went_out_is_done() {
        let account = Account::of(&answered());
        assert!(account.is_clean(), "{account:?}");
        assert_eq!((account.lines[0].expected, account.lines[0].seen), (1, 1));
    }

    #[test]
    fn a_message_that_the_next_batch_answers_is_done() {
        let mut evidence = one_message();
        stored(&mut evidence, 1, "b1", "superseded", "");
        evidence.reply_requests.push(request("b2", &[], &[1, 2]));
        evidence.replies.push(reply("b2"));
        assert!(Account::of(&evidence).is_clean());
    }

    #[test]
    fn a_superseded_message_shares_the_fate_of_the_next_batch() {
        let mut evidence = one_message();
        stored(&mut evidence, 1, "b1", "superseded", "");
        stored(&mut evidence, 2, "b2", "suppressed", "opted_out");
        assert_eq!(Account::of(&evidence).lost.len(), 1, "handed to nobody");

        evidence.batches.get_mut("b1").expect("stored").next = Some("b2".to_owned());
        let stop = silence(Cause::OptOut, None, Some(50));
        evidence.silences.push(stop);
        let account = Account::of(&evidence);
        assert!(account.is_clean(), "{account:?}");
        assert_eq!(account.suppressed["opted_out"], 1);
    }

    #[test]
    fn a_reply_that_was_made_and_not_sent_answers_nothing() {
        let mut evidence = one_message();
        stored(&mut evidence, 1, "b1", "closed", "");
        evidence.reply_requests.push(request("b1", &[], &[1]));
        assert_eq!(Account::of(&evidence).lost.len(), 1);
    }

    #[test]
    fn a_reply_to_somebody_else_answers_nothing() {
        let mut evidence = one_message();
        evidence.reply_requests.push(request("b1", &[], &[1]));
        evidence.replies.push(Reply {
            contact: "bob".to_owned(),
            ..reply("b1")
        });
        assert_eq!(Account::of(&evidence).lost.len(), 1);
    }

    #[test]
    fn a_message_that_nobody_stored_is_lost_and_one_that_nobody_accepted_is_not() {
        let mut evidence = one_message();
        assert_eq!(Account::of(&evidence).lost.len(), 1);
        evidence.messages[0].accepted = false;
        assert!(Account::of(&evidence).is_clean());
    }

    #[test]
    fn a_message_is_suppressed_only_for_a_reason_that_there_was() {
        let mut evidence = one_message();
        stored(&mut evidence, 1, "b1", "suppressed", "opted_out");
        assert_eq!(Account::of(&evidence).lost.len(), 1);
        let stop = silence(Cause::OptOut, None, Some(50));
        evidence.silences.push(stop);
        assert!(Account::of(&evidence).is_clean());
        stored(&mut evidence, 1, "b1", "suppressed", "do_not_disturb");
        assert_eq!(Account::of(&evidence).lost.len(), 1);
    }

    #[test]
    fn a_failed_batch_counts_as_parked_only_when_its_message_is_in_a_parking_lot() {
        let mut evidence = one_message();
        stored(&mut evidence, 1, "b1", "failed", "highlevel_refused");
        assert_eq!(Account::of(&evidence).lost.len(), 1);
        evidence.parked.push(ParkedMessage {
            queue: "chat.reply.dead".to_owned(),
            reason: "highlevel_refused".to_owned(),
            detail: String::new(),
            body: r#"{"batch_id": "b1"}"#.to_owned(),
        });
        let account = Account::of(&evidence);
        assert!(account.is_clean());
        assert_eq!(account.lines[0].parked, 1);
    }

    #[test]
    fn two_replies_to_one_batch_are_a_repeat() {
        let mut evidence = answered();
        evidence.replies.push(reply("b1"));
        assert!(!Account::of(&evidence).repeated.is_empty());
    }

    #[test]
    fn two_batches_that_answer_the_same_message_are_a_repeat() {
        let mut evidence = answered();
        evidence.reply_requests.push(request("b2", &[], &[1, 2]));
        evidence.replies.push(reply("b2"));
        assert_eq!(Account::of(&evidence).repeated.len(), 1);
        // As an earlier message of the conversation it may be shown again.
        evidence.reply_requests[1] = request("b2", &[1], &[2]);
        assert!(Account::of(&evidence).is_clean());
    }

    #[test]
    fn a_reply_that_no_batch_explains_is_a_repeat() {
        let mut evidence = Evidence::default();
        evidence.replies.push(Reply {
            batches: Vec::new(),
            ..reply("b1")
        });
        assert_eq!(Account::of(&evidence).repeated.len(), 1);
    }

    #[test]
    fn an_opt_out_that_was_not_stored_is_lost() {
        let mut evidence = Evidence::default();
        let stop = silence(Cause::OptOut, None, None);
        evidence.silences.push(stop);
        assert_eq!(Account::of(&evidence).lost.len(), 1);
    }

    #[test]
    fn no_reply_may_be_begun_after_an_opt_out() {
        let mut evidence = answered();
        let claim = |evidence: &mut Evidence, second| {
            let batch = evidence.batches.get_mut("b1").expect("stored");
            batch.claimed_at = Some(at(second));
        };
        let stop = silence(Cause::OptOut, None, Some(50));
        evidence.silences.push(stop);
        claim(&mut evidence, 40);
        assert!(Account::of(&evidence).is_clean(), "it was on its way");
        claim(&mut evidence, 60);
        assert_eq!(Account::of(&evidence).repeated.len(), 1);
    }

    /// The account of a long run must not take longer than the run: this one is made in a moment, or,
    /// where somebody looks through everything for each message, not at all.
    #[test]
    fn fifty_thousand_messages_are_counted() {
        let mut evidence = Evidence::default();
        for number in 0..50_000 {
            let batch = format!("b{number}");
            let contact = format!("contact-{}", number % 8000);
            stored(&mut evidence, number, &batch, "replied", "");
            evidence.messages.push(Message {
                contact: contact.clone(),
                ..message(number)
            });
            let request = request(&batch, &[], &[number]);
            evidence.reply_requests.push(request);
            let reply = reply(&batch);
            evidence.replies.push(Reply { contact, ..reply });
        }
        let account = Account::of(&evidence);
        assert!(account.is_clean());
        assert_eq!(account.lines[0].seen, 50_000);
    }

    #[test]
    fn a_person_answers_what_was_said_before() {
        let mut evidence = answered();
        let by_hand = silence(Cause::AnswerByHand, Some(20), Some(50));
        evidence.silences.push(by_hand);
        assert_eq!(Account::of(&evidence).repeated.len(), 1);
        evidence.silences[0].said_at = Some(at(5));
        assert!(Account::of(&evidence).is_clean(), "the batch came later");
    }
}
