//! `GET /test-webhook`: sends a `test.ping` event through the broker. No worker reads it; it ends
//! in `unrouted`.

use std::time::Instant;

use axum::Json;
use axum::extract::{Request, State as FromState};
use serde_json::{Value, json};

use super::timestamp;
use crate::problem::Problem;
use crate::rate_limit::Caller;
use crate::state::State;
use crate::verify::remote_address;

/// Reports whether the broker confirmed, and how long that took in milliseconds.
pub(crate) async fn ping(
    FromState(state): FromState<State>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let address = remote_address(request.extensions());
    let counted = state.limiter.count(Caller::tester(address), Instant::now());
    counted.map_err(Problem::too_many_requests)?;
    let latency = state.ingress.ping(&state.clock).await?;
    Ok(Json(json!({
        "status": "success",
        "confirmed": true,
        "latency_ms": latency.as_secs_f64() * 1000.0,
        "timestamp": timestamp(state.clock.now()),
    })))
}
