//! Messages and replies.

use std::collections::{BTreeMap, BTreeSet};

use super::{Account, Line, is_parked};
use crate::evidence::{Evidence, Message, Reply, ReplyRequest};

pub(super) fn count(evidence: &Evidence, account: &mut Account) {
    messages(evidence, account);
    replies(evidence, account);
}

/// Every accepted message must have been shown to the model for a reply that went out.
fn messages(evidence: &Evidence, account: &mut Account) {
    let mut line = Line {
        what: "messages of contacts",
        sent: Some(evidence.messages.len()),
        ..Line::default()
    };
    let mut accepted = 0;
    for message in evidence.messages.iter().filter(|message| message.accepted) {
        accepted += 1;
        let answered_by = |answers: bool| {
            let requests = requests_of_sent(evidence, message);
            requests
                .filter(|(_, request)| {
                    let text = if answers {
                        &request.answers
                    } else {
                        &request.shown
                    };
                    text.contains(&message.text)
                })
                .map(|(reply, _)| reply)
                .collect::<BTreeSet<_>>()
        };
        if answered_by(true).len() > 1 {
            line.repeated += 1;
            account
                .repeated
                .push(format!("{:?} was answered by two replies", message.text));
        }
        if !answered_by(false).is_empty() {
            line.seen += 1;
            continue;
        }
        let batch = evidence.batches.get(&message.text);
        let parked = is_parked(&evidence.parked, &message.text)
            || batch.is_some_and(|batch| is_parked(&evidence.parked, &batch.id));
        match batch {
            Some(batch) if batch.state == "suppressed" => {
                line.suppressed += 1;
                let reason = batch.reason.clone().unwrap_or_default();
                *account.suppressed.entry(reason).or_default() += 1;
            }
            _ if parked => line.parked += 1,
            _ => {
                line.lost += 1;
                account.lost.push(format!(
                    "message {:?} of {}: {}",
                    message.text,
                    message.contact,
                    batch.map_or_else(|| "not stored".to_owned(), |batch| format!("{batch:?}")),
                ));
            }
        }
    }
    line.accepted = Some(accepted);
    line.expected = accepted;
    account.lines.push(line);
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
        match reply.batches.as_slice() {
            [] => {
                line.repeated += 1;
                account.repeated.push(format!(
                    "{} got {:?} for no batch",
                    reply.contact, reply.text
                ));
            }
            batches => {
                for batch in batches {
                    *replies_of.entry(batch).or_default() += 1;
                }
            }
        }
    }
    line.expected = replies_of.len();
    for (batch, count) in replies_of.iter().filter(|(_, count)| **count > 1) {
        line.repeated += count - 1;
        let times = format!("batch {batch} got {count} replies");
        account.repeated.push(times);
    }
    account.lines.push(line);
}

/// The requests for those replies to this message's contact that went out, each with the place of
/// its reply.
fn requests_of_sent<'a>(
    evidence: &'a Evidence,
    message: &'a Message,
) -> impl Iterator<Item = (usize, &'a ReplyRequest)> {
    let sent = evidence.replies.iter().enumerate();
    let sent = sent.filter(|(_, reply)| reply.contact == message.contact);
    sent.flat_map(|(place, reply)| {
        let requests = evidence.reply_requests.iter();
        requests
            .filter(|request| is_for(reply, request))
            .map(move |request| (place, request))
    })
}

fn is_for(reply: &Reply, request: &ReplyRequest) -> bool {
    reply.batches.contains(&request.batch)
}

#[cfg(test)]
mod tests {
    use crate::account::Account;
    use crate::evidence::{Batch, Evidence, Message, ParkedMessage, Reply, ReplyRequest};

    fn message(text: &str) -> Message {
        Message {
            text: text.to_owned(),
            contact: "ada".to_owned(),
            accepted: true,
        }
    }

    fn request(batch: &str, earlier: &str, answers: &str) -> ReplyRequest {
        ReplyRequest {
            batch: batch.to_owned(),
            shown: format!("{earlier}\n{answers}"),
            answers: answers.to_owned(),
        }
    }

    fn reply(batch: &str) -> Reply {
        Reply {
            contact: "ada".to_owned(),
            text: format!("Thank you for {batch}"),
            batches: vec![batch.to_owned()],
        }
    }

    fn stored(evidence: &mut Evidence, text: &str, batch: &str, state: &str) {
        let batch = Batch {
            id: batch.to_owned(),
            state: state.to_owned(),
            reason: Some("because".to_owned()),
        };
        evidence.batches.insert(text.to_owned(), batch);
    }

    fn one_message() -> Evidence {
        Evidence {
            messages: vec![message("one")],
            ..Evidence::default()
        }
    }

    #[test]
    fn a_message_whose_reply_went_out_is_done() {
        let mut evidence = one_message();
        evidence.reply_requests.push(request("b1", "", "one"));
        evidence.replies.push(reply("b1"));
        let account = Account::of(&evidence);
        assert!(account.is_clean(), "{account:?}");
        assert_eq!((account.lines[0].expected, account.lines[0].seen), (1, 1));
    }

    #[test]
    fn a_message_that_the_next_batch_answers_is_done() {
        let mut evidence = one_message();
        stored(&mut evidence, "one", "b1", "superseded");
        evidence.reply_requests.push(request("b2", "", "one\ntwo"));
        evidence.replies.push(reply("b2"));
        assert!(Account::of(&evidence).is_clean());
    }

    #[test]
    fn a_reply_that_was_made_and_not_sent_answers_nothing() {
        let mut evidence = one_message();
        stored(&mut evidence, "one", "b1", "closed");
        evidence.reply_requests.push(request("b1", "", "one"));
        assert_eq!(Account::of(&evidence).lost.len(), 1);
    }

    #[test]
    fn a_reply_to_somebody_else_answers_nothing() {
        let mut evidence = one_message();
        evidence.reply_requests.push(request("b1", "", "one"));
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
    fn a_suppressed_batch_names_its_reason() {
        let mut evidence = one_message();
        stored(&mut evidence, "one", "b1", "suppressed");
        let account = Account::of(&evidence);
        assert!(account.is_clean());
        assert_eq!(account.suppressed["because"], 1);
    }

    #[test]
    fn a_failed_batch_counts_as_parked_only_when_its_message_is_in_a_parking_lot() {
        let mut evidence = one_message();
        stored(&mut evidence, "one", "b1", "failed");
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
        let mut evidence = one_message();
        evidence.reply_requests.push(request("b1", "", "one"));
        evidence.replies = vec![reply("b1"), reply("b1")];
        assert!(!Account::of(&evidence).repeated.is_empty());
    }

    #[test]
    fn two_batches_that_answer_the_same_message_are_a_repeat() {
        let mut evidence = one_message();
        evidence.reply_requests = vec![request("b1", "", "one"), request("b2", "", "one\ntwo")];
        evidence.replies = vec![reply("b1"), reply("b2")];
        assert_eq!(Account::of(&evidence).repeated.len(), 1);
        // As an earlier message of the conversation it may be shown again.
        evidence.reply_requests[1] = request("b2", "one", "two");
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
}
