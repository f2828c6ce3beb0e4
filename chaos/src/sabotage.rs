//! Damage that no fault of this program could explain, to see whether the account reports it.

use std::time::Duration;

use anyhow::{Context as _, bail};
use sandbox::{EffectKind, keys};
use serde_json::json;

use crate::account::Account;
use crate::world::World;

/// How long the workers are away, so that the queues fill.
const FILLING: Duration = Duration::from_secs(8);

/// How many submissions are made again.
const SUBMISSIONS: usize = 3;

/// How often a stand-in is asked.
const TRIES: u32 = 20;

/// Throws away what stands in two work queues, and does three things a second time past Millrace.
///
/// # Errors
/// When there was nothing to do damage to.
pub(crate) async fn sabotage(world: &World) -> anyhow::Result<()> {
    world.log.note("sabotage begins");
    repeat_effects(world).await?;
    let mut workers = Vec::new();
    for worker in &world.workers {
        let mut worker = worker.lock().await;
        worker.kill().await?;
        workers.push(worker);
    }
    tokio::time::sleep(FILLING).await;
    for queue in ["chat.intake", "research.submission"] {
        world.management.purge(queue).await?;
    }
    for worker in &mut workers {
        worker.start_again()?;
    }
    world.log.note("sabotage has been done");
    Ok(())
}

/// Whether the account reports all that [`sabotage`] did.
pub(crate) fn is_noticed(account: &Account) -> bool {
    let line = |what: &str| account.lines.iter().find(|line| line.what == what);
    let lost = |what| line(what).is_some_and(|line| line.lost > 0);
    let repeated = |what| line(what).is_some_and(|line| line.repeated > 0);
    lost("messages of contacts")
        && (lost("deals at their stage") || lost("requests for research"))
        && repeated("replies to batches")
        && repeated("submissions of research")
        && repeated("notes on deals")
}

async fn repeat_effects(world: &World) -> anyhow::Result<()> {
    let latest = |kind| {
        let effects = world.sandbox.effects();
        let found = effects.into_iter().rfind(|effect| effect.kind == kind);
        found.with_context(|| format!("there is no effect {kind:?} to repeat yet"))
    };
    let reply = latest(EffectKind::MessagesSent)?;
    let message = json!({
        "type": reply.detail["channel"], "contactId": reply.subject, "message": reply.detail["text"],
    });
    let url = format!(
        "{}/conversations/messages",
        world.sandbox.highlevel_base_url()
    );
    let send = world.http.post(url).header("version", "2021-04-15");
    done(send.bearer_auth(keys::HIGHLEVEL_API_KEY).json(&message)).await?;

    // Of one of them alone a fault may have hidden the outcome, which would permit another.
    let effects = world.sandbox.effects();
    let submissions = effects
        .iter()
        .filter(|effect| effect.kind == EffectKind::ResearchSubmissions);
    for research in submissions.take(SUBMISSIONS) {
        let company = research.detail["company"].as_str().unwrap_or_default();
        let request = json!({
            "model": "gpt-5.5", "background": true, "store": true,
            "input": format!("Company: {company}"), "metadata": {"job_id": research.subject},
        });
        let url = format!("{}/responses", world.sandbox.openai_base_url());
        let submit = world.http.post(url).bearer_auth(keys::OPENAI_API_KEY);
        done(submit.json(&request)).await?;
    }

    let note = latest(EffectKind::NotesCreated)?;
    let (body, association) = (
        json!({"hs_note_body": "again", "hs_timestamp": "2026-01-01T00:00:00Z"}),
        214,
    );
    let note = json!({"properties": body, "associations": [{
        "to": {"id": note.subject},
        "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": association}],
    }]});
    let url = format!("{}/crm/v3/objects/notes", world.sandbox.hubspot_base_url());
    let write = world.http.post(url).bearer_auth(keys::HUBSPOT_ACCESS_TOKEN);
    done(write.json(&note)).await
}

/// Asks until the stand-in answers well: it may have been told to misbehave.
async fn done(request: reqwest::RequestBuilder) -> anyhow::Result<()> {
    for _ in 0..TRIES {
        let request = request
            .try_clone()
            .context("a request with a body of bytes")?;
        let answer = request.send().await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    bail!("a stand-in refused {TRIES} times")
}
