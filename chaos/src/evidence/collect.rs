//! Gathers the evidence: from the sandbox, the relay, the parking lots, and the database.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use entities::{batch, job, message};
use sandbox::{Effect, EffectKind, FaultKind, Received};
use sea_orm::EntityTrait as _;
use serde::Serialize;
use serde_json::Value;

use super::{Batch, Evidence, Job, Message, ParkedMessage, Reply, ReplyRequest, Submission, Wish};
use crate::events::{Sent, contact_name, deal_id, text};
use crate::log::Entry;
use crate::relay::Passed;
use crate::schedule::Event;
use crate::settle::not_accepted;
use crate::world::World;

/// How long after a submission a fault may still keep its outcome from being stored: OpenAI may have
/// been slow.
const STORED_WITHIN: TimeDelta = TimeDelta::seconds(5);

/// How long a freeze or an absence lasts at most.
const LONGEST_FAULT: TimeDelta = TimeDelta::seconds(10);

/// Gathers everything. To be called when all is quiet.
///
/// # Errors
/// When RabbitMQ or the database does not answer.
pub async fn collect(world: &World, sent: &Sent) -> anyhow::Result<Evidence> {
    let sent = sent.list();
    let passed = world.relay.passed();
    let effects = world.sandbox.effects();
    let received = world.sandbox.received(None);
    let mut evidence = Evidence {
        reply_requests: reply_requests(&received),
        replies: replies(&effects),
        submissions: submissions(&effects, &received, &passed, &world.log.entries()),
        documents: counts(&effects, EffectKind::DocumentsCreated, |_| true),
        notes: counts(&effects, EffectKind::NotesCreated, |_| true),
        notifications: counts(&effects, EffectKind::Notifications, |news| {
            news["event"] == "document.created"
        }),
        ..Evidence::default()
    };
    let missing = not_accepted(&sent, &passed);
    for event in &sent {
        let accepted = !missing.iter().any(|missing| std::ptr::eq(*missing, event));
        match &event.event {
            Event::Message {
                number, contact, ..
            } => evidence.messages.push(Message {
                text: text(*number),
                contact: contact_name(*contact),
                accepted,
            }),
            Event::Deal { number, .. } => evidence.wishes.push(Wish {
                name: format!("deal {}", deal_id(*number)),
                deal: Some(deal_id(*number)),
                job: None,
                accepted,
            }),
            Event::Request { number, .. } => evidence.wishes.push(Wish {
                name: format!("request {number}"),
                deal: None,
                job: event.job.clone(),
                accepted,
            }),
        }
    }
    parked(world, &mut evidence).await?;
    rows(world, &mut evidence).await?;
    Ok(evidence)
}

async fn parked(world: &World, evidence: &mut Evidence) -> anyhow::Result<()> {
    for depth in world.management.depths().await? {
        if !depth.queue.ends_with(".dead") && depth.queue != "unrouted" {
            continue;
        }
        let parked = world.management.parked(&depth.queue).await?.into_iter();
        evidence.parked.extend(parked.map(|parked| ParkedMessage {
            queue: parked.queue,
            reason: parked.reason,
            detail: parked.detail,
            body: parked.body,
        }));
    }
    Ok(())
}

async fn rows(world: &World, evidence: &mut Evidence) -> anyhow::Result<()> {
    let db = entities::connect(&world.database_url, 1).await?;
    let batches: BTreeMap<String, Batch> = batch::Entity::find()
        .all(&db)
        .await?
        .into_iter()
        .map(|row| {
            let id = row.id.0.to_string();
            let batch = Batch {
                id: id.clone(),
                state: word(&row.state),
                reason: row.reason,
            };
            (id, batch)
        })
        .collect();
    for row in message::Entity::find().all(&db).await? {
        if let Some(batch) = row.batch_id.and_then(|id| batches.get(&id.0.to_string())) {
            evidence.batches.insert(row.text, batch.clone());
        }
    }
    for row in job::Entity::find().all(&db).await? {
        let job = Job {
            state: word(&row.state),
            deal: row.deal_id,
            error: row.error,
        };
        evidence.jobs.insert(row.id.0.to_string(), job);
    }
    db.close().await.context("closing the database")
}

/// The word that a state has in its column.
fn word(state: &impl Serialize) -> String {
    let state = serde_json::to_value(state).unwrap_or_default();
    state.as_str().unwrap_or_default().to_owned()
}

/// The requests for a reply that the stand-in of OpenAI has seen, whatever became of them.
fn reply_requests(received: &[Received]) -> Vec<ReplyRequest> {
    let replies = received.iter().filter_map(|request| {
        let body = &request.body;
        let batch = body["metadata"]["batch_id"].as_str()?;
        let items = body["input"].as_array()?;
        let shown: Vec<String> = items.iter().map(|item| words(&item["content"])).collect();
        Some(ReplyRequest {
            batch: batch.to_owned(),
            answers: shown.last().cloned().unwrap_or_default(),
            shown: shown.join("\n"),
        })
    });
    replies.collect()
}

/// The text of an input item, which is a text or a list of parts.
fn words(content: &Value) -> String {
    if let Some(text) = content.as_str() {
        return text.to_owned();
    }
    let parts = content.as_array().into_iter().flatten();
    let texts: Vec<&str> = parts.filter_map(|part| part["text"].as_str()).collect();
    texts.join("\n")
}

/// The messages that went out, each with the batches for which the model had made its text.
fn replies(effects: &[Effect]) -> Vec<Reply> {
    let mut made_for: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for effect in of_kind(effects, EffectKind::RepliesGenerated) {
        let answer = effect.detail["text"].as_str().unwrap_or_default();
        let answer: Value = serde_json::from_str(answer).unwrap_or_default();
        if let Some(text) = ["text", "reply", "message"]
            .iter()
            .find_map(|name| answer[*name].as_str())
        {
            let batches = made_for.entry(text.to_owned()).or_default();
            batches.insert(effect.subject.clone());
        }
    }
    let sent = of_kind(effects, EffectKind::MessagesSent);
    sent.map(|effect| {
        let text = effect.detail["text"].as_str().unwrap_or_default();
        Reply {
            contact: effect.subject.clone(),
            text: text.to_owned(),
            batches: made_for.get(text).into_iter().flatten().cloned().collect(),
        }
    })
    .collect()
}

fn submissions(
    effects: &[Effect],
    received: &[Received],
    passed: &[Passed],
    faults: &[Entry],
) -> Vec<Submission> {
    let mut told: BTreeMap<&str, DateTime<Utc>> = BTreeMap::new();
    for passed in passed.iter().filter(|passed| passed.accepted()) {
        if passed.path == "/webhook/openai"
            && let Some(response) = passed.body["data"]["id"].as_str()
        {
            told.entry(response).or_insert(passed.at);
        }
    }
    of_kind(effects, EffectKind::ResearchSubmissions)
        .map(|effect| {
            // The request that made it is the last one for this job before it.
            let request = received.iter().rev().find(|request| {
                request.number < effect.number
                    && request.body["metadata"]["job_id"].as_str() == Some(&effect.subject)
            });
            let at = request
                .and_then(|request| request.at.parse::<DateTime<Utc>>().ok())
                .unwrap_or_default();
            let answer_lost = request.is_some_and(|request| {
                matches!(
                    request.fault,
                    Some(FaultKind::DropAfter | FaultKind::StatusAfter | FaultKind::Garbage)
                )
            });
            let response = effect.detail["response_id"].as_str().unwrap_or_default();
            Submission {
                job: effect.subject.clone(),
                at,
                outcome_unknown: answer_lost || struck_inside(faults, at),
                told_at: told.get(response).copied(),
            }
        })
        .collect()
}

/// Whether a fault that can keep a worker from storing what it learned struck while this submission
/// was made or just after. One that lasts may have begun before.
fn struck_inside(faults: &[Entry], at: DateTime<Utc>) -> bool {
    faults.iter().any(|fault| {
        let lasts = fault.kind.contains("frozen") || fault.kind.contains("stopped");
        let began_before = if lasts {
            LONGEST_FAULT
        } else {
            TimeDelta::zero()
        };
        let inside = fault.kind.contains("database") || fault.kind.contains("worker");
        let after = fault.at - at;
        inside && -began_before <= after && after < STORED_WITHIN
    })
}

fn counts(
    effects: &[Effect],
    kind: EffectKind,
    counts: impl Fn(&Value) -> bool,
) -> BTreeMap<String, usize> {
    let mut by_subject = BTreeMap::new();
    for effect in of_kind(effects, kind).filter(|effect| counts(&effect.detail)) {
        *by_subject.entry(effect.subject.clone()).or_default() += 1;
    }
    by_subject
}

fn of_kind(effects: &[Effect], kind: EffectKind) -> impl Iterator<Item = &Effect> {
    effects.iter().filter(move |effect| effect.kind == kind)
}
