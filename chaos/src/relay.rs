//! What stands between the outside and the gateways: it passes every request on to one of them in
//! turn, writes down what was accepted, and loses some answers on their way back.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use chrono::{DateTime, Utc};
use reqwest::Response;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::subject;

/// The relay; it runs as long as the program.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    inner: Arc<Inner>,
}

/// What the gateways answered.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// What the gateways said that they have, by its subject.
    pub accepted: HashMap<String, Accepted>,
    /// How often they answered with each status; `None` where there was no answer.
    pub answers: BTreeMap<Option<u16>, usize>,
    /// When a gateway accepted anything, in order.
    pub accepted_at: Vec<DateTime<Utc>>,
}

/// An event that a gateway accepted.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// When it did so for the first time.
    pub at: DateTime<Utc>,
    /// HighLevel's id of the webhook, by which Millrace knows the event.
    pub webhook_id: Option<String>,
    /// When HighLevel says that it happened.
    pub said_at: Option<DateTime<Utc>>,
}

#[derive(Debug)]
struct Inner {
    gateways: Vec<String>,
    next: AtomicUsize,
    http: reqwest::Client,
    record: Mutex<Record>,
    to_lose: AtomicU32,
}

/// Longer than any sender waits: it is the sender who gives up.
const PATIENCE: Duration = Duration::from_secs(30);

impl Relay {
    /// Listens on a free port of 127.0.0.1. Each gateway is an address without a path.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(gateways: Vec<String>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .context("the relay's HTTP client")?;
        let inner = Arc::new(Inner {
            gateways,
            next: AtomicUsize::new(0),
            http,
            record: Mutex::default(),
            to_lose: AtomicU32::new(0),
        });
        let router = Router::new().fallback(pass).with_state(inner.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, inner })
    }

    /// Where it listens, as an address without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next answers of the gateways never reach the sender.
    pub fn lose_answers(&self, count: u32) {
        self.inner.to_lose.fetch_add(count, Ordering::SeqCst);
    }

    /// Loses no more answers.
    pub fn stop_losing(&self) {
        self.inner.to_lose.store(0, Ordering::SeqCst);
    }

    /// Whether a gateway has said that it has this.
    #[must_use]
    pub fn has_accepted(&self, subject: &str) -> bool {
        self.inner.record().accepted.contains_key(subject)
    }

    /// What the gateways answered so far.
    #[must_use]
    pub fn record(&self) -> Record {
        self.inner.record().clone()
    }
}

impl Inner {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer of the gateway whose turn it is, or of the next one where nobody listens.
    async fn ask(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Option<Response> {
        let first = self.next.fetch_add(1, Ordering::SeqCst);
        for place in first..first + self.gateways.len() {
            let url = format!("{}{uri}", self.gateways[place % self.gateways.len()]);
            let request = self.http.request(method.clone(), url);
            let request = request.headers(headers.clone()).body(body.clone());
            match request.send().await {
                Ok(answer) => return Some(answer),
                Err(error) if error.is_connect() => {}
                Err(_) => return None,
            }
        }
        None
    }

    /// Writes an answer down, and says whether it is to be lost.
    fn note(&self, status: Option<u16>, body: &Bytes) -> bool {
        let accepted = status.is_some_and(|status| (200..300).contains(&status));
        let mut record = self.record();
        *record.answers.entry(status).or_default() += 1;
        if !accepted {
            return false;
        }
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let at = Utc::now();
        record.accepted_at.push(at);
        let accepted = Accepted {
            at,
            webhook_id: body["webhookId"].as_str().map(str::to_owned),
            said_at: body["dateAdded"]
                .as_str()
                .and_then(|said_at| said_at.parse().ok()),
        };
        for subject in subject::told_by(&body) {
            let accepted = accepted.clone();
            record.accepted.entry(subject).or_insert(accepted);
        }
        let one_less = |left: u32| left.checked_sub(1);
        let (set, read) = (Ordering::SeqCst, Ordering::SeqCst);
        self.to_lose.fetch_update(set, read, one_less).is_ok()
    }
}

async fn pass(
    State(relay): State<Arc<Inner>>,
    method: Method,
    uri: Uri,
    mut headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, HeaderMap, Bytes) {
    // In a task of its own: a sender that gives up must not take the request back from the gateway.
    let task = tokio::spawn(async move {
        for name in [header::HOST, header::CONTENT_LENGTH, header::CONNECTION] {
            headers.remove(name);
        }
        let answer = relay.ask(&method, &uri, &headers, &body).await;
        let status = answer.as_ref().map(|answer| answer.status().as_u16());
        let lost = relay.note(status, &body);
        let answer = answer.filter(|_| !lost)?;
        let status = StatusCode::from_u16(answer.status().as_u16()).ok()?;
        Some((status, answer.bytes().await.unwrap_or_default()))
    });
    match task.await {
        Ok(Some((status, body))) => (status, HeaderMap::new(), body),
        // Ends the connection before a byte of an answer is sent; axum knows no other way to say
        // nothing.
        _ => resume_unwind(Box::new("no answer")),
    }
}
