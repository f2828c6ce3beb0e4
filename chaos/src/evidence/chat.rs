//! The evidence of conversations.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use entities::{batch, contact, effect, message, processed_event};
use sandbox::{Effect, EffectKind, Received};
use sea_orm::{ColumnTrait as _, DatabaseConnection, EntityTrait as _, QueryFilter as _};
use sea_orm::{QueryOrder as _, QuerySelect as _};
use serde_json::Value;

use super::collect::{of_kind, word};
use super::{Batch, Cause, Evidence, Reply, ReplyRequest, Silence};
use crate::events::SentEvent;
use crate::log::Entry;
use crate::relay::Record;
use crate::schedule::What;
use crate::subject;

/// How long a worker may take, where nothing keeps it, from its decision to send to the request.
const DECIDED: TimeDelta = TimeDelta::seconds(5);

/// The requests for a reply that the stand-in of OpenAI has seen, whatever became of them.
pub(super) fn reply_requests(received: &[Received]) -> Vec<ReplyRequest> {
    let replies = received.iter().filter_map(|request| {
        let body = &request.body;
        let batch = body["metadata"]["batch_id"].as_str()?;
        let items = body["input"].as_array()?.iter();
        let questions = items.map(|item| questions(&item["content"]));
        let questions: Vec<Vec<u32>> = questions.filter(|item| !item.is_empty()).collect();
        Some(ReplyRequest {
            batch: batch.to_owned(),
            answers: questions.last().cloned().unwrap_or_default(),
            shown: questions.concat(),
        })
    });
    replies.collect()
}

/// The questions in an input item, which is a text or a list of parts.
fn questions(content: &Value) -> Vec<u32> {
    let parts = content.as_array().into_iter().flatten();
    let parts = parts.filter_map(|part| part["text"].as_str());
    let texts = content.as_str().into_iter().chain(parts);
    texts.flat_map(subject::questions_in).collect()
}

/// The messages that went out, each with those of its contact's batches for which the model had
/// made its text.
pub(super) fn replies(effects: &[Effect], batches: &BTreeMap<String, Batch>) -> Vec<Reply> {
    let mut made_for: HashMap<(String, &str), BTreeSet<String>> = HashMap::new();
    for effect in of_kind(effects, EffectKind::RepliesGenerated) {
        let answer = effect.detail["text"].as_str().unwrap_or_default();
        let answer: Value = serde_json::from_str(answer).unwrap_or_default();
        let text = ["text", "reply", "message"]
            .iter()
            .find_map(|name| answer[*name].as_str());
        if let Some(text) = text
            && let Some(batch) = batches.get(&effect.subject)
        {
            let made_for = made_for.entry((text.to_owned(), &batch.contact));
            made_for.or_default().insert(effect.subject.clone());
        }
    }
    let sent = of_kind(effects, EffectKind::MessagesSent);
    sent.map(|effect| {
        let text = effect.detail["text"].as_str().unwrap_or_default();
        let batches = made_for.get(&(text.to_owned(), effect.subject.as_str()));
        Reply {
            contact: effect.subject.clone(),
            text: text.to_owned(),
            at: effect.at.parse().unwrap_or_default(),
            batches: batches.into_iter().flatten().cloned().collect(),
        }
    })
    .collect()
}

/// The batches, and which question is in which.
pub(super) async fn batches(
    db: &DatabaseConnection,
    evidence: &mut Evidence,
) -> anyhow::Result<()> {
    let mut latest_of: HashMap<String, String> = HashMap::new();
    let in_order = batch::Entity::find().order_by_asc(batch::Column::OpenedAt);
    for row in in_order.all(db).await? {
        let id = row.id.0.to_string();
        let contact = row.contact_id.0;
        if let Some(earlier) = latest_of.insert(contact.clone(), id.clone())
            && let Some(earlier) = evidence.batches.get_mut(&earlier)
        {
            earlier.next = Some(id.clone());
        }
        let batch = Batch {
            contact,
            state: word(&row.state),
            reason: row.reason,
            begun_at: row.opened_at,
            claimed_at: None,
            next: None,
        };
        evidence.batches.insert(id, batch);
    }
    let inbound = message::Column::BatchId.is_not_null();
    for row in message::Entity::find().filter(inbound).all(db).await? {
        let Some(batch_id) = row.batch_id.map(|id| id.0.to_string()) else {
            continue;
        };
        for number in subject::questions_in(&row.text) {
            evidence.batch_of.insert(number, batch_id.clone());
        }
        if let Some(batch) = evidence.batches.get_mut(&batch_id) {
            batch.begun_at = batch.begun_at.min(row.sent_at);
        }
    }
    let sends = effect::Column::Key.starts_with("reply:");
    for row in effect::Entity::find().filter(sends).all(db).await? {
        let batch = row.key.split(':').nth(1).unwrap_or_default();
        if let Some(batch) = evidence.batches.get_mut(batch) {
            batch.claimed_at = Some(row.started_at);
        }
    }
    Ok(())
}

/// What forbids replies, with when Millrace stored it.
pub(super) async fn silences(
    db: &DatabaseConnection,
    sent: &[SentEvent],
    record: &Record,
    faults: &[Entry],
    evidence: &mut Evidence,
) -> anyhow::Result<()> {
    let processed: HashMap<String, DateTime<Utc>> = processed_event::Entity::find()
        .select_only()
        .column(processed_event::Column::EventId)
        .column(processed_event::Column::ProcessedAt)
        .filter(processed_event::Column::Consumer.eq("chat.intake"))
        .into_tuple()
        .all(db)
        .await?
        .into_iter()
        .collect();
    let contacts: HashMap<String, contact::Model> = contact::Entity::find()
        .all(db)
        .await?
        .into_iter()
        .map(|row| (row.id.0.clone(), row))
        .collect();
    for event in sent {
        let (cause, contact) = match event.event.what {
            What::OptOut { contact, .. } => (Cause::OptOut, contact),
            What::DoNotDisturb { contact } => (Cause::DoNotDisturb, contact),
            What::AnswerByHand { contact } => (Cause::AnswerByHand, contact),
            _ => continue,
        };
        let contact = subject::contact(contact);
        let accepted = event
            .subject()
            .and_then(|subject| record.accepted.get(&subject));
        let stored_at = accepted
            .and_then(|accepted| processed.get(accepted.webhook_id.as_ref()?))
            .filter(|_| {
                contacts.get(&contact).is_some_and(|row| match cause {
                    Cause::OptOut => row.opted_out_at.is_some(),
                    Cause::DoNotDisturb => row.dnd,
                    Cause::AnswerByHand => row.human_replied_at.is_some(),
                })
            });
        evidence.silences.push(Silence {
            cause,
            accepted: accepted.is_some(),
            said_at: accepted
                .filter(|_| cause == Cause::AnswerByHand)
                .and_then(|accepted| accepted.said_at),
            in_force: stored_at.map(|at| undisturbed(*at, faults)),
            contact,
        });
    }
    Ok(())
}

/// When whoever had decided to send before `at` has done so: soon, unless a fault keeps it.
fn undisturbed(at: DateTime<Utc>, faults: &[Entry]) -> DateTime<Utc> {
    let mut end = at + DECIDED;
    for fault in faults.iter().filter(|fault| fault.kind.strikes_workers()) {
        if fault.at <= end && fault.until >= at {
            end = end.max(fault.until + DECIDED);
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Kind;

    #[test]
    fn whoever_is_frozen_may_send_when_it_wakes_up() {
        let at = |second| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(second);
        let freeze = |from, until| Entry {
            at: at(from),
            until: at(until),
            kind: Kind::WorkerFrozen,
        };
        assert_eq!(undisturbed(at(100), &[]), at(105));
        assert_eq!(undisturbed(at(100), &[freeze(50, 60)]), at(105));
        let one_after_the_other = [freeze(90, 110), freeze(114, 120), freeze(200, 210)];
        assert_eq!(undisturbed(at(100), &one_after_the_other), at(125));
    }
}
