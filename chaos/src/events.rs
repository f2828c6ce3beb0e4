//! Events from outside: contacts write, deals reach their stage, clients ask for research.
//!
//! The sandbox sends the webhooks as the providers do, signed, with the same ids until they are
//! accepted or the provider's retries are spent. The client of `POST /generate` does the same with
//! its idempotency key.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::ensure;
use reqwest::StatusCode;
use sandbox::Deliver;
use sandbox::environment::TRIGGER_STAGE;
use serde_json::{Value, json};

use crate::schedule::Event;
use crate::world::{API_KEY, World};

/// How late a message comes that is delivered late or out of order.
const LATE_MILLISECONDS: u64 = 1500;

/// How long the client of `POST /generate` goes on asking.
const CLIENT_PATIENCE: Duration = Duration::from_secs(120);

/// Everything that was sent so far.
#[derive(Debug, Default)]
pub struct Sent(Mutex<Vec<SentEvent>>);

/// One event.
#[derive(Debug, Clone)]
pub struct SentEvent {
    /// What it was.
    pub event: Event,
    /// The job that the gateway named in its answer to a client.
    pub job: Option<String>,
}

impl Sent {
    /// Everything that was sent so far.
    #[must_use]
    pub fn list(&self) -> Vec<SentEvent> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<SentEvent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The text of a message: no other one says the same, or has it as a part.
#[must_use]
pub fn text(number: u32) -> String {
    format!("Question {number:07} for you")
}

/// The name of a contact.
#[must_use]
pub fn contact_name(contact: u32) -> String {
    format!("contact-{contact}")
}

/// The id of a deal.
#[must_use]
pub fn deal_id(number: u32) -> String {
    (700_000_000 + u64::from(number)).to_string()
}

/// Sends one event. Returns when its first attempt is over; a client's request, when it is accepted
/// or the client has lost patience.
///
/// # Errors
/// When the sandbox refuses: a mistake of this program.
pub async fn send(world: &World, sent: &Sent, event: Event) -> anyhow::Result<()> {
    let place = {
        let mut sent = sent.lock();
        let event = event.clone();
        sent.push(SentEvent { event, job: None });
        sent.len() - 1
    };
    match event {
        Event::Message {
            number,
            contact,
            deliver,
        } => write(world, number, contact, deliver).await,
        Event::Deal { number, times } => move_deal(world, number, times).await,
        Event::Request { number, twice } => {
            let first = request(world, number);
            let job = if twice {
                let (first, second) = tokio::join!(first, request(world, number));
                first.or(second)
            } else {
                first.await
            };
            sent.lock()[place].job = job;
            Ok(())
        }
    }
}

async fn write(world: &World, number: u32, contact: u32, deliver: Deliver) -> anyhow::Result<()> {
    let path = format!(
        "/sandbox/highlevel/contacts/{}/messages",
        contact_name(contact)
    );
    let message = json!({"text": text(number), "deliver": deliver, "delay_ms": LATE_MILLISECONDS});
    play(world, &path, &message).await
}

async fn move_deal(world: &World, number: u32, times: u32) -> anyhow::Result<()> {
    let id = deal_id(number);
    let company = format!("Company {number:07}");
    let deal = json!({
        "id": id,
        "properties": {"dealname": format!("{company}: renewal")},
        "companies": [{"properties": {"name": company}}],
    });
    play(world, "/sandbox/hubspot/deals", &deal).await?;
    let path = format!("/sandbox/hubspot/deals/{id}/stage");
    let change = json!({"stage": TRIGGER_STAGE, "times": times});
    play(world, &path, &change).await
}

/// Asks until the gateway accepts. Returns the job that it names.
async fn request(world: &World, number: u32) -> Option<String> {
    let url = format!("{}/generate", world.gateway_url);
    let company = format!("Company {number:07}");
    let body = json!({"companyId": format!("company-{number}"), "company": {"name": company}});
    let began = Instant::now();
    let mut wait = Duration::from_millis(250);
    while began.elapsed() < CLIENT_PATIENCE {
        let request = world.http.post(&url).bearer_auth(API_KEY).json(&body);
        let request = request.header("idempotency-key", format!("chaos-{number}"));
        if let Ok(answer) = request.send().await
            && answer.status() == StatusCode::ACCEPTED
            && let Ok(body) = answer.bytes().await
            && let Ok(body) = serde_json::from_slice::<Value>(&body)
        {
            return body["job_id"].as_str().map(str::to_owned);
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(Duration::from_secs(4));
    }
    None
}

/// Has the sandbox do something. A webhook may take several seconds to fail.
async fn play(world: &World, path: &str, body: &Value) -> anyhow::Result<()> {
    let url = format!("{}{path}", world.sandbox.base_url());
    let answer = world.http.post(url).json(body).send().await?;
    let status = answer.status();
    let text = answer.text().await?;
    ensure!(status.is_success(), "{path} answered {status}: {text}");
    Ok(())
}
