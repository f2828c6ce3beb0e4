//! What happens at the providers, played through the sandbox: it sends the webhooks.

use std::time::Duration;

use anyhow::ensure;
use sandbox::environment::TRIGGER_STAGE;
use serde_json::{Value, json};

use crate::schedule::{Ending, Event, What};
use crate::subject;
use crate::world::World;

/// How late a message comes that is delivered late or out of order.
const LATE_MILLISECONDS: u64 = 1500;

/// Plays an event that its provider tells by a webhook; returns after the first attempt.
pub(super) async fn play(world: &World, event: &Event) -> anyhow::Result<()> {
    let number = event.number;
    let write = |contact, text: &str, deliver| {
        let message = json!({"text": text, "deliver": deliver, "delay_ms": LATE_MILLISECONDS});
        of_contact(world, contact, "messages", message)
    };
    match &event.what {
        What::Message { contact, deliver } => {
            write(*contact, &subject::question(number), *deliver).await
        }
        What::OptOut { contact, deliver } => write(*contact, subject::STOP, *deliver).await,
        What::AnswerByHand { contact } => {
            let message = json!({"text": subject::answer_by_hand(number)});
            of_contact(world, *contact, "human-reply", message).await
        }
        What::DoNotDisturb { contact } => {
            of_contact(world, *contact, "dnd", json!({"dnd": true})).await
        }
        What::Deal { times, ending } => {
            script(world, number, *ending).await?;
            move_deal(world, number, *times).await
        }
        What::Unknown => {
            let fields = json!({"id": subject::unknown(number), "status": "open"});
            let event = json!({"type": "OpportunityCreate", "fields": fields});
            control(world, "/sandbox/highlevel/events", &event).await
        }
        What::Request { .. }
        | What::CloseBatch { .. }
        | What::ChangeWait { .. }
        | What::Unreadable { .. } => Ok(()), // nobody's webhook tells them
    }
}

/// Says how the research of this event will end at OpenAI.
pub(super) async fn script(world: &World, number: u32, ending: Ending) -> anyhow::Result<()> {
    let mut script = match ending {
        Ending::Completed => return Ok(()),
        Ending::FailsOnce => json!({"status": "failed", "code": "server_error"}),
        Ending::Fails => json!({"status": "failed", "code": "server_error", "times": 3}),
        Ending::Refused => json!({"status": "failed", "code": "invalid_prompt"}),
        Ending::CutShort => json!({"status": "incomplete"}),
        Ending::Empty => json!({"status": "incomplete", "text": ""}),
        Ending::Cancelled => json!({"status": "cancelled"}),
        Ending::Deleted => json!({"status": "completed", "deleted": true}),
    };
    script["company"] = json!(subject::company(number));
    control(world, "/sandbox/openai/next", &script).await
}

async fn of_contact(world: &World, contact: u32, what: &str, body: Value) -> anyhow::Result<()> {
    let contact = subject::contact(contact);
    let path = format!("/sandbox/highlevel/contacts/{contact}/{what}");
    control(world, &path, &body).await
}

async fn move_deal(world: &World, number: u32, times: u32) -> anyhow::Result<()> {
    let id = subject::deal(number);
    let company = subject::company(number);
    let deal = json!({
        "id": id,
        "properties": {"dealname": format!("{company}: renewal")},
        "companies": [{"properties": {"name": company}}],
    });
    control(world, "/sandbox/hubspot/deals", &deal).await?;
    let path = format!("/sandbox/hubspot/deals/{id}/stage");
    let change = json!({"stage": TRIGGER_STAGE, "times": times});
    control(world, &path, &change).await
}

/// How long the sandbox may take: a webhook takes several seconds to fail, and the machine may be
/// busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// Has the sandbox do something.
async fn control(world: &World, path: &str, body: &Value) -> anyhow::Result<()> {
    let url = format!("{}{path}", world.sandbox.base_url());
    let request = world.http.post(url).timeout(PATIENCE).json(body);
    let answer = request.send().await?;
    let status = answer.status();
    let text = answer.text().await?;
    ensure!(status.is_success(), "{path} answered {status}: {text}");
    Ok(())
}
