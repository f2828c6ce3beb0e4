//! Gathers the evidence: from the sandbox, the relay, the parking lots, and the database.

use std::collections::BTreeMap;

use anyhow::Context as _;
use sandbox::{Effect, EffectKind, Provider};
use serde::Serialize;
use serde_json::Value;

use super::{Evidence, Kept, Message, ParkedMessage, Wish, chat, research};
use crate::events::{Sent, SentEvent};
use crate::schedule::What;
use crate::subject;
use crate::world::World;

/// Gathers everything. To be called when all is quiet.
///
/// # Errors
/// When RabbitMQ or the database does not answer.
pub async fn collect(world: &World, sent: &Sent) -> anyhow::Result<Evidence> {
    let sent = sent.list();
    let record = world.relay.record();
    let faults = world.log.entries();
    let effects = world.sandbox.effects();
    let received = world.sandbox.received(Some(Provider::OpenAi));
    let notifications = |event: &str| {
        counts(&effects, EffectKind::Notifications, |news| {
            news["event"] == event
        })
    };
    let mut evidence = Evidence {
        reply_requests: chat::reply_requests(&received),
        submissions: research::submissions(&effects, &received, &record, &faults),
        documents: counts(&effects, EffectKind::DocumentsCreated, |_| true),
        notes: counts(&effects, EffectKind::NotesCreated, |_| true),
        notifications: notifications("document.created"),
        failures: notifications("research.failed"),
        ..Evidence::default()
    };
    let kept = kept(world, &mut evidence).await?;
    for event in &sent {
        let accepted = event.is_accepted(|subject| record.accepted.contains_key(subject));
        add(&mut evidence, event, accepted, &kept);
    }
    let db = entities::connect(&world.database_url, 1).await?;
    chat::batches(&db, &mut evidence).await?;
    chat::silences(&db, &sent, &record, &faults, &mut evidence).await?;
    research::jobs(&db, &mut evidence).await?;
    db.close().await.context("closing the database")?;
    evidence.replies = chat::replies(&effects, &evidence.batches);
    Ok(evidence)
}

fn add(evidence: &mut Evidence, event: &SentEvent, accepted: bool, unrouted: &str) {
    let number = event.event.number;
    match &event.event.what {
        What::Message { contact, .. } => evidence.messages.push(Message {
            number,
            contact: subject::contact(*contact),
            accepted,
        }),
        What::Deal { ending, .. } => evidence.wishes.push(Wish {
            name: format!("deal {}", subject::deal(number)),
            deal: Some(subject::deal(number)),
            job: None,
            accepted,
            may_fail: ending.may_fail(),
        }),
        What::Request { ending, .. } => evidence.wishes.push(Wish {
            name: format!("request {number}"),
            deal: None,
            job: event.answer.clone(),
            accepted,
            may_fail: ending.may_fail(),
        }),
        What::Unknown => {
            let name = subject::unknown(number);
            // With its quotes: the name of one event is the beginning of another's.
            let is_there = unrouted.contains(&format!("\"{name}\""));
            evidence.unknown.push(Kept {
                name,
                accepted,
                is_there,
            });
        }
        What::Unreadable { queue } => {
            let payload = subject::unreadable(number);
            let is_there = evidence
                .parked
                .iter()
                .any(|parked| parked.queue.starts_with(queue) && parked.body == payload);
            evidence.unreadable.push(Kept {
                name: format!("{payload} in {queue}"),
                accepted,
                is_there,
            });
        }
        What::CloseBatch { .. } | What::ChangeWait { .. } => {
            evidence.calls.0 += 1;
            evidence.calls.1 += usize::from(accepted);
        }
        // Together with what Millrace has stored of them.
        What::OptOut { .. } | What::DoNotDisturb { .. } | What::AnswerByHand { .. } => {}
    }
}

/// Notes what is parked, and returns the bodies of everything that nobody reads.
async fn kept(world: &World, evidence: &mut Evidence) -> anyhow::Result<String> {
    let mut unrouted = String::new();
    for depth in world.management.depths().await? {
        if !depth.is_kept() {
            continue;
        }
        for parked in world.management.parked(&depth.queue).await? {
            if depth.is_parking_lot() {
                evidence.parked.push(ParkedMessage {
                    queue: parked.queue,
                    reason: parked.reason,
                    detail: parked.detail,
                    body: parked.body,
                });
            } else {
                unrouted.push_str(&parked.body);
            }
        }
    }
    Ok(unrouted)
}

/// The word that a state has in its column.
pub(super) fn word(state: &impl Serialize) -> String {
    let state = serde_json::to_value(state).unwrap_or_default();
    state.as_str().unwrap_or_default().to_owned()
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

pub(super) fn of_kind(effects: &[Effect], kind: EffectKind) -> impl Iterator<Item = &Effect> {
    effects.iter().filter(move |effect| effect.kind == kind)
}
