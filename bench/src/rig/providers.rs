//! Stand-ins for the providers that answer at once, the collector of traces, and the place where
//! Celery's worker says how far it has come. In one server, which does as little as it can: it
//! shares the machine with what is measured. The sandbox, which keeps the providers' contracts in
//! full and remembers everything, would cost more than the workers.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::Utc;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::signing::signature;

/// How long a response runs before its webhook. No research ends before its submission is answered.
const RESEARCH_TIME: Duration = Duration::from_millis(200);

/// The running stand-ins.
#[derive(Debug)]
pub(crate) struct Providers {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    http: reqwest::Client,
    /// Where webhooks go: `http://HOST:PORT` of a gateway.
    gateway: Mutex<String>,
    replies: AtomicU64,
    responses: AtomicU64,
    trace_exports: AtomicU64,
    marks: Mutex<HashMap<String, Instant>>,
}

impl Providers {
    /// Starts them on a free port.
    pub(crate) async fn start(http: reqwest::Client) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            http,
            gateway: Mutex::default(),
            replies: AtomicU64::new(0),
            responses: AtomicU64::new(0),
            trace_exports: AtomicU64::new(0),
            marks: Mutex::default(),
        });
        let router = Router::new()
            .route("/v1/responses", post(create_response))
            .route("/v1/responses/{id}", get(finished_response))
            .route("/v1/models/{id}", get(model))
            .route("/contacts/{id}", get(contact))
            .route("/conversations/messages", post(send_message))
            .route("/v1/traces", post(take_traces))
            .route("/mark/{name}", get(mark))
            .with_state(shared.clone());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        tokio::spawn(axum::serve(listener, router).into_future());
        Ok(Self { address, shared })
    }

    /// Their address, with nothing after the port.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sends OpenAI's webhooks to this gateway from now on.
    pub(crate) fn send_webhooks_to(&self, gateway: SocketAddr) {
        let mut target = lock(&self.shared.gateway);
        *target = format!("http://{gateway}");
    }

    /// How many messages were sent to contacts.
    pub(crate) fn replies(&self) -> u64 {
        self.shared.replies.load(Ordering::Relaxed)
    }

    /// How many batches of traces have come in.
    pub(crate) fn trace_exports(&self) -> u64 {
        self.shared.trace_exports.load(Ordering::Relaxed)
    }

    /// When this mark was reached.
    pub(crate) fn marked(&self, name: &str) -> Option<Instant> {
        lock(&self.shared.marks).get(name).copied()
    }

    /// Forgets all marks.
    pub(crate) fn forget_marks(&self) {
        lock(&self.shared.marks).clear();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Deserialize)]
struct CreateResponse {
    #[serde(default)]
    background: bool,
}

async fn create_response(State(shared): State<Arc<Shared>>, body: Bytes) -> impl IntoResponse {
    let Ok(request) = serde_json::from_slice::<CreateResponse>(&body) else {
        return (StatusCode::BAD_REQUEST, Json(Value::Null));
    };
    let number = shared.responses.fetch_add(1, Ordering::Relaxed);
    let id = format!("resp_bench_{number}");
    if request.background {
        tokio::spawn(end_research(shared, id.clone()));
        let queued = json!({"id": id, "object": "response", "status": "queued", "output": []});
        return (StatusCode::OK, Json(queued));
    }
    let text = r#"{"send":true,"text":"Thank you, Tuesday at ten it is."}"#;
    (StatusCode::OK, Json(response(&id, text)))
}

async fn end_research(shared: Arc<Shared>, id: String) {
    tokio::time::sleep(RESEARCH_TIME).await;
    let gateway = lock(&shared.gateway).clone();
    // As OpenAI does: once more when it was not taken. The watch token would find it anyhow.
    for _ in 0..3 {
        let sent = send_webhook(&shared.http, &gateway, &id).await;
        if sent.is_ok_and(|status| status.is_success()) {
            return;
        }
    }
}

/// Tells the gateway that this response has ended.
async fn send_webhook(
    http: &reqwest::Client,
    gateway: &str,
    response_id: &str,
) -> reqwest::Result<StatusCode> {
    let now = Utc::now().timestamp();
    let id = format!("wh_{response_id}");
    let body = format!(
        r#"{{"id":"evt_{response_id}","object":"event","created_at":{now},"type":"response.completed","data":{{"id":"{response_id}"}}}}"#
    );
    let signed = signature(&id, now, body.as_bytes());
    let request = http
        .post(format!("{gateway}/webhook/openai"))
        .header(header::CONTENT_TYPE, "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", now)
        .header("webhook-signature", format!("v1,{signed}"))
        .body(body);
    Ok(request.send().await?.status())
}

async fn finished_response(Path(id): Path<String>) -> Json<Value> {
    Json(response(&id, RESEARCH))
}

/// A completed response with this text.
fn response(id: &str, text: &str) -> Value {
    json!({
        "id": id, "object": "response", "status": "completed", "model": "gpt-5.5-2026-04-23",
        "error": null, "incomplete_details": null, "metadata": {},
        "output": [{"type": "message", "id": "msg_bench", "role": "assistant", "status": "completed",
                    "content": [{"type": "output_text", "text": text, "annotations": []}]}],
        "usage": {"input_tokens": 500, "input_tokens_details": {"cached_tokens": 0},
                  "output_tokens": 40, "output_tokens_details": {"reasoning_tokens": 10},
                  "total_tokens": 540},
    })
}

async fn model(Path(id): Path<String>) -> Json<Value> {
    Json(json!({"id": id, "object": "model"}))
}

async fn contact(Path(id): Path<String>) -> Json<Value> {
    Json(json!({"contact": {"id": id, "dnd": false, "dndSettings": {}}}))
}

async fn send_message(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let number = shared.replies.fetch_add(1, Ordering::Relaxed);
    Json(json!({
        "conversationId": "conversation-bench", "messageId": format!("reply-{number}"),
        "msg": "Message queued successfully.", "status": "pending",
    }))
}

async fn take_traces(State(shared): State<Arc<Shared>>, _: Bytes) -> impl IntoResponse {
    shared.trace_exports.fetch_add(1, Ordering::Relaxed);
    ([(header::CONTENT_TYPE, "application/x-protobuf")], "")
}

async fn mark(State(shared): State<Arc<Shared>>, Path(name): Path<String>) {
    lock(&shared.marks).insert(name, Instant::now());
}

/// What the model found: the sections that the document is made of.
const RESEARCH: &str = include_str!("research.json");
