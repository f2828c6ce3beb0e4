//! `GET /health` and `/health/ready`.

use std::time::Duration;

use axum::Json;
use axum::extract::State as FromState;
use axum::http::StatusCode;
use broker::PublisherStatus;
use serde_json::{Value, json};

use super::timestamp;
use crate::state::State;

/// How long the database may take to answer. Kubernetes gives a probe one second by default, and the
/// answer must be there in time when the database is down.
const PING_DEADLINE: Duration = Duration::from_millis(800);

/// The process is alive.
pub(crate) async fn alive(FromState(state): FromState<State>) -> Json<Value> {
    Json(json!({"status": "healthy", "timestamp": timestamp(state.clock.now())}))
}

/// Broker and database, each by itself. 503 only when webhooks can't be confirmed: they are
/// accepted while the database is down.
pub(crate) async fn ready(FromState(state): FromState<State>) -> (StatusCode, Json<Value>) {
    let ping = tokio::time::timeout(PING_DEADLINE, state.database.ping());
    let database = if matches!(ping.await, Ok(Ok(()))) {
        "up"
    } else {
        "down"
    };
    let broker = match state.ingress.status() {
        PublisherStatus::Ready => "ready",
        PublisherStatus::Blocked => "blocked",
        PublisherStatus::Disconnected => "disconnected",
    };
    let (code, status) = match (broker, database) {
        ("ready", "up") => (StatusCode::OK, "ready"),
        ("ready", _) => (StatusCode::OK, "degraded"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    let answer = json!({
        "status": status,
        "broker": {"status": broker},
        "database": {"status": database},
        "timestamp": timestamp(state.clock.now()),
    });
    (code, Json(answer))
}
