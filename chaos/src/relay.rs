//! What stands between the providers and the gateway: it passes every webhook on, writes down what
//! the gateway answered, and loses some answers on their way back.

use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::net::TcpListener;

/// The relay; it runs as long as the program.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    inner: Arc<Inner>,
}

/// One webhook that the gateway answered.
#[derive(Debug, Clone)]
pub struct Passed {
    /// When the answer came.
    pub at: DateTime<Utc>,
    /// The path.
    pub path: String,
    /// The body as JSON.
    pub body: Value,
    /// The gateway's answer; `None` when there was none.
    pub status: Option<u16>,
}

impl Passed {
    /// Whether the gateway said that it has the event.
    #[must_use]
    pub fn accepted(&self) -> bool {
        self.status
            .is_some_and(|status| (200..300).contains(&status))
    }
}

#[derive(Debug)]
struct Inner {
    gateway: String,
    http: reqwest::Client,
    passed: Mutex<Vec<Passed>>,
    to_lose: AtomicU32,
}

/// Longer than any sender waits: it is the sender who gives up.
const PATIENCE: Duration = Duration::from_secs(30);

impl Relay {
    /// Listens on a free port of 127.0.0.1. `gateway` is an address without a path.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(gateway: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .context("the relay's HTTP client")?;
        let inner = Arc::new(Inner {
            gateway: gateway.to_owned(),
            http,
            passed: Mutex::default(),
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

    /// The next answers of the gateway never reach the sender.
    pub fn lose_answers(&self, count: u32) {
        self.inner.to_lose.fetch_add(count, Ordering::SeqCst);
    }

    /// Loses no more answers.
    pub fn stop_losing(&self) {
        self.inner.to_lose.store(0, Ordering::SeqCst);
    }

    /// Every webhook passed on so far, in the order of their answers.
    #[must_use]
    pub fn passed(&self) -> Vec<Passed> {
        let passed = self.inner.passed.lock();
        passed.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn pass(
    State(relay): State<Arc<Inner>>,
    uri: Uri,
    mut headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, HeaderMap, Bytes) {
    // In a task of its own: a sender that gives up must not take the request back from the gateway.
    let task = tokio::spawn(async move {
        for name in [header::HOST, header::CONTENT_LENGTH, header::CONNECTION] {
            headers.remove(name);
        }
        let url = format!("{}{uri}", relay.gateway);
        let request = relay.http.post(url).headers(headers).body(body.clone());
        let answer = request.send().await.ok();
        let passed = Passed {
            at: Utc::now(),
            path: uri.path().to_owned(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
            status: answer.as_ref().map(|answer| answer.status().as_u16()),
        };
        let accepted = passed.accepted();
        relay
            .passed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(passed);
        let one_less = |left: u32| left.checked_sub(1);
        let (set, read) = (Ordering::SeqCst, Ordering::SeqCst);
        let lost = accepted && relay.to_lose.fetch_update(set, read, one_less).is_ok();
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
