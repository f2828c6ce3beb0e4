//! `GET /health` and `/health/ready`.

use std::time::Duration;

use axum::Json;
use axum::extract::State as FromState;
use axum::http::StatusCode;
use broker::PublisherStatus;
use serde::Serialize;
use utoipa::ToSchema;

use super::timestamp;
use crate::state::State;

/// How long the database may take to answer. Kubernetes gives a probe one second by default, and the
/// answer must be there in time when the database is down.
const PING_DEADLINE: Duration = Duration::from_millis(800);

/// The process is alive.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Alive {
    status: Healthy,
    #[schema(format = DateTime)]
    timestamp: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Healthy {
    Healthy,
}

/// Whether webhooks can be confirmed, and questions answered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ready {
    status: Readiness,
    broker: BrokerHealth,
    database: DatabaseHealth,
    #[schema(format = DateTime)]
    timestamp: String,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Readiness {
    /// Everything works.
    Ready,
    /// Webhooks are accepted, questions are not answered.
    Degraded,
    /// Nothing can be accepted.
    Unavailable,
}

#[derive(Debug, Serialize, ToSchema)]
struct BrokerHealth {
    status: BrokerState,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum BrokerState {
    Ready,
    /// It takes nothing for want of memory or disk.
    Blocked,
    Disconnected,
}

#[derive(Debug, Serialize, ToSchema)]
struct DatabaseHealth {
    status: DatabaseState,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum DatabaseState {
    Up,
    Down,
}

/// Is the process alive
#[utoipa::path(
    get,
    path = "/health",
    operation_id = "health",
    tag = "operation",
    responses((
        status = 200,
        description = "It is.",
        body = Alive,
        example = json!({"status": "healthy", "timestamp": "2026-11-21T12:00:00.000Z"}),
    )),
)]
pub(crate) async fn alive(FromState(state): FromState<State>) -> Json<Alive> {
    Json(Alive {
        status: Healthy::Healthy,
        timestamp: timestamp(state.clock.now()),
    })
}

/// Broker and database, each by itself
///
/// 503 only where webhooks can't be confirmed: they are accepted while the database is down.
#[utoipa::path(
    get,
    path = "/health/ready",
    operation_id = "ready",
    tag = "operation",
    responses(
        (
            status = 200,
            description = "Webhooks can be confirmed.",
            body = Ready,
            example = json!({
                "status": "ready", "broker": {"status": "ready"}, "database": {"status": "up"},
                "timestamp": "2026-11-21T12:00:00.000Z",
            }),
        ),
        (
            status = 503,
            description = "Webhooks can't be confirmed.",
            body = Ready,
            example = json!({
                "status": "unavailable", "broker": {"status": "disconnected"},
                "database": {"status": "up"}, "timestamp": "2026-11-21T12:00:00.000Z",
            }),
        ),
    ),
)]
pub(crate) async fn ready(FromState(state): FromState<State>) -> (StatusCode, Json<Ready>) {
    let ping = tokio::time::timeout(PING_DEADLINE, state.database.ping());
    let database = if matches!(ping.await, Ok(Ok(()))) {
        DatabaseState::Up
    } else {
        DatabaseState::Down
    };
    let broker = match state.ingress.status() {
        PublisherStatus::Ready => BrokerState::Ready,
        PublisherStatus::Blocked => BrokerState::Blocked,
        PublisherStatus::Disconnected => BrokerState::Disconnected,
    };
    let (code, status) = match (broker, database) {
        (BrokerState::Ready, DatabaseState::Up) => (StatusCode::OK, Readiness::Ready),
        (BrokerState::Ready, DatabaseState::Down) => (StatusCode::OK, Readiness::Degraded),
        _ => (StatusCode::SERVICE_UNAVAILABLE, Readiness::Unavailable),
    };
    let answer = Ready {
        status,
        broker: BrokerHealth { status: broker },
        database: DatabaseHealth { status: database },
        timestamp: timestamp(state.clock.now()),
    };
    (code, Json(answer))
}
