//! `GET /test-webhook`: sends a `test.ping` event through the broker. No worker reads it; it ends
//! in `unrouted`.

use axum::Json;
use axum::extract::{Request, State as FromState};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Status, timestamp};
use crate::contract::{CanFail, Problems};
use crate::problem::Problem;
use crate::rate_limit::{Caller, count};
use crate::state::State;

/// A test event is on disk.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TestEventConfirmed {
    status: Status,
    confirmed: bool,
    /// How long the broker took, in milliseconds.
    latency_ms: f64,
    #[schema(format = DateTime)]
    timestamp: String,
}

/// Send a test event through the broker
///
/// Says whether the broker confirmed it, and how long that took. At most 60 in a minute from one
/// address.
#[utoipa::path(
    get,
    path = "/test-webhook",
    operation_id = "testWebhook",
    tag = "operation",
    responses(
        (
            status = 200,
            description = "The broker confirmed.",
            body = TestEventConfirmed,
            example = json!({
                "status": "success", "confirmed": true, "latency_ms": 3.2,
                "timestamp": "2026-11-21T12:00:00.000Z",
            }),
        ),
        Problems::<TestEventConfirmed>,
    ),
)]
pub(crate) async fn ping(
    FromState(state): FromState<State>,
    request: Request,
) -> Result<Json<TestEventConfirmed>, Problem> {
    count(&state, &request.into_parts().0, Caller::Tester)?;
    let latency = state.ingress.ping(&state.clock).await?;
    Ok(Json(TestEventConfirmed {
        status: Status::Success,
        confirmed: true,
        latency_ms: latency.as_secs_f64() * 1000.0,
        timestamp: timestamp(state.clock.now()),
    }))
}

impl CanFail for TestEventConfirmed {
    fn problems() -> Vec<Problem> {
        vec![
            Problem::too_many_requests(42),
            Problem::not_confirmed(StatusCode::SERVICE_UNAVAILABLE),
        ]
    }
}
