//! Sending webhooks: signed afresh for each attempt, retried with back-off, and, when asked,
//! twice, late, never, or in the wrong order.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::app::{App, lock, now_text};
use crate::config::SandboxConfig;
use crate::providers::Provider;

/// How a provider delivers its webhooks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deliver {
    /// Once, at once.
    #[default]
    Normal,
    /// Two copies at the same time.
    Twice,
    /// After `delay_ms`.
    Late,
    /// Not at all.
    Never,
    /// Before the API call that caused it is answered.
    BeforeAnswer,
    /// After the next webhook of the same provider, or after `delay_ms` when none comes.
    Reordered,
}

/// A way of delivering with its delay.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct DeliveryMode {
    /// The way.
    pub deliver: Deliver,
    /// Milliseconds for `late` and `reordered` (default 3000).
    #[serde(default = "three_seconds")]
    pub delay_ms: u64,
}

/// One attempt at delivering a webhook.
#[derive(Debug, Clone, Serialize)]
pub struct Attempt {
    /// Its place in the order of everything that happened in this sandbox.
    pub number: u64,
    /// When the answer came, RFC 3339.
    pub at: String,
    /// Who sent it.
    pub provider: Provider,
    /// The event type.
    pub event: String,
    /// The id that stays the same for every attempt and copy.
    pub id: String,
    /// 0 for the first attempt.
    pub attempt: u32,
    /// The gateway's answer; `None` when there was none.
    pub status: Option<u16>,
    /// What went wrong when there was no answer.
    pub error: Option<String>,
}

/// A webhook to be sent.
pub(crate) struct Webhook {
    pub(crate) provider: Provider,
    pub(crate) event: String,
    pub(crate) id: String,
    pub(crate) path: &'static str,
    /// Makes the request of one attempt (0 for the first).
    pub(crate) build: Box<dyn Fn(u32) -> SignedRequest + Send + Sync>,
}

/// One attempt's headers and body.
pub(crate) struct SignedRequest {
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

/// The first attempt of each copy of a webhook, to wait for.
pub(crate) struct FirstAttempts(Vec<oneshot::Receiver<Attempt>>);

/// The sender.
pub(crate) struct Webhooks {
    http: reqwest::Client,
    gateway: Mutex<String>,
    modes: Mutex<HashMap<Provider, DeliveryMode>>,
    /// For each provider, what lets its held-back webhook go.
    held: Mutex<HashMap<Provider, oneshot::Sender<()>>>,
    attempts: Mutex<Vec<Attempt>>,
    retry_delay: Duration,
    stop: CancellationToken,
    /// Ends the deliveries under way at a reset; a child of `stop`.
    current: Mutex<CancellationToken>,
}

/// The longest that a receiver may take to answer (HubSpot's limit; OpenAI says "a few seconds").
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const LONGEST_RETRY_FACTOR: u32 = 20;

impl Webhooks {
    pub(crate) fn new(config: &SandboxConfig, stop: &CancellationToken) -> Self {
        // Fails only when another provider is installed already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ANSWER_WITHIN)
            .no_proxy()
            .build()
            .expect("the HTTP client has no setting that can fail");
        Self {
            http,
            gateway: Mutex::new(config.gateway.trim_end_matches('/').to_owned()),
            modes: Mutex::default(),
            held: Mutex::default(),
            attempts: Mutex::default(),
            retry_delay: config.retry_delay,
            current: Mutex::new(stop.child_token()),
            stop: stop.clone(),
        }
    }

    pub(crate) fn gateway(&self) -> String {
        lock(&self.gateway).clone()
    }

    pub(crate) fn set_gateway(&self, gateway: &str) {
        gateway
            .trim_end_matches('/')
            .clone_into(&mut lock(&self.gateway));
    }

    pub(crate) fn mode(&self, provider: Provider) -> DeliveryMode {
        lock(&self.modes)
            .get(&provider)
            .copied()
            .unwrap_or_default()
    }

    pub(crate) fn set_mode(&self, provider: Provider, mode: DeliveryMode) {
        lock(&self.modes).insert(provider, mode);
    }

    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        lock(&self.attempts).clone()
    }

    /// Ends at a reset or when the sandbox stops.
    pub(crate) fn current(&self) -> CancellationToken {
        lock(&self.current).clone()
    }

    pub(crate) fn reset(&self) {
        let mut current = lock(&self.current);
        current.cancel();
        *current = self.stop.child_token();
        lock(&self.modes).clear();
        lock(&self.held).clear();
        lock(&self.attempts).clear();
    }
}

/// Sends a webhook the way its provider is set to, or the way given.
pub(crate) fn send(app: &Arc<App>, webhook: Webhook, mode: Option<DeliveryMode>) -> FirstAttempts {
    let provider = webhook.provider;
    let mode = mode.unwrap_or_else(|| app.webhooks.mode(provider));
    let webhook = Arc::new(webhook);
    let delay = Duration::from_millis(mode.delay_ms);
    let held = lock(&app.webhooks.held).remove(&provider);
    let mut first = Vec::new();
    match mode.deliver {
        Deliver::Never => {}
        Deliver::Normal | Deliver::BeforeAnswer => first.push(spawn(app, &webhook, None, held)),
        Deliver::Twice => {
            first.push(spawn(app, &webhook, None, held));
            first.push(spawn(app, &webhook, None, None));
        }
        Deliver::Late => {
            spawn(
                app,
                &webhook,
                Some(Box::pin(tokio::time::sleep(delay))),
                held,
            );
        }
        Deliver::Reordered if held.is_some() => first.push(spawn(app, &webhook, None, held)),
        Deliver::Reordered => {
            let (release, released) = oneshot::channel();
            lock(&app.webhooks.held).insert(provider, release);
            let wait = async move {
                let _ = tokio::time::timeout(delay, released).await;
            };
            spawn(app, &webhook, Some(Box::pin(wait)), None);
        }
    }
    FirstAttempts(first)
}

impl FirstAttempts {
    /// Waits until each copy has been tried once. Copies that are held back are not waited for.
    pub(crate) async fn wait(self) -> Vec<Attempt> {
        let mut attempts = Vec::new();
        for receiver in self.0 {
            attempts.extend(receiver.await.ok());
        }
        attempts
    }
}

type Wait = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn spawn(
    app: &Arc<App>,
    webhook: &Arc<Webhook>,
    wait: Option<Wait>,
    held: Option<oneshot::Sender<()>>,
) -> oneshot::Receiver<Attempt> {
    let (sender, receiver) = oneshot::channel();
    let (app, webhook, stop) = (app.clone(), webhook.clone(), app.webhooks.current());
    tokio::spawn(async move {
        let delivery = async {
            if let Some(wait) = wait {
                wait.await;
            }
            deliver(&app, &webhook, sender, held).await;
        };
        let _ = stop.run_until_cancelled(delivery).await;
    });
    receiver
}

/// Tries until a 2xx, or until the provider's retries are spent.
async fn deliver(
    app: &App,
    webhook: &Webhook,
    first: oneshot::Sender<Attempt>,
    held: Option<oneshot::Sender<()>>,
) {
    let (mut first, mut held) = (Some(first), held);
    for number in 0..=retries(webhook.provider) {
        let attempt = attempt(app, webhook, number).await;
        let delivered = attempt
            .status
            .is_some_and(|status| (200..300).contains(&status));
        tracing::info!(
            webhook.provider = ?webhook.provider,
            webhook.event = webhook.event,
            webhook.attempt = number,
            http.status = attempt.status,
            "webhook sent"
        );
        if let Some(first) = first.take() {
            let _ = first.send(attempt);
        }
        if let Some(held) = held.take() {
            let _ = held.send(());
        }
        if delivered {
            return;
        }
        tokio::time::sleep(back_off(app.webhooks.retry_delay, number)).await;
    }
}

async fn attempt(app: &App, webhook: &Webhook, number: u32) -> Attempt {
    let SignedRequest { headers, body } = (webhook.build)(number);
    let url = format!("{}{}", app.webhooks.gateway(), webhook.path);
    let mut request = app.webhooks.http.post(url).body(body);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let answer = request.send().await;
    let attempt = Attempt {
        number: app.next_number(),
        at: now_text(),
        provider: webhook.provider,
        event: webhook.event.clone(),
        id: webhook.id.clone(),
        attempt: number,
        status: answer.as_ref().ok().map(|answer| answer.status().as_u16()),
        error: answer.as_ref().err().map(ToString::to_string),
    };
    lock(&app.webhooks.attempts).push(attempt.clone());
    attempt
}

/// How often a failed delivery is tried again (hubspot.md section 2.3, highlevel.md section 2.6;
/// OpenAI goes on for 72 hours).
fn retries(provider: Provider) -> u32 {
    match provider {
        Provider::HubSpot => 10,
        Provider::HighLevel => 12,
        Provider::OpenAi | Provider::Google | Provider::Notify => u32::MAX - 1,
    }
}

/// Exponential, with up to a quarter more by chance.
fn back_off(base: Duration, attempt: u32) -> Duration {
    let factor = 2_u32.saturating_pow(attempt).min(LONGEST_RETRY_FACTOR);
    (base * factor).mul_f64(1.0 + rand::random_range(0.0..0.25))
}

impl Default for DeliveryMode {
    fn default() -> Self {
        Self {
            deliver: Deliver::Normal,
            delay_ms: three_seconds(),
        }
    }
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Webhooks").finish_non_exhaustive()
    }
}

fn three_seconds() -> u64 {
    3000
}
