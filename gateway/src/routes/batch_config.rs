//! `GET` and `POST /batch-config`: the wait before a batch closes.

use axum::Json;
use axum::extract::State as FromState;
use chrono::{DateTime, Utc};
use config::WAIT_SECONDS;
use entities::setting;
use messages::{Envelope, WaitChanged, event_type};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Status, ask, current_wait, timestamp};
use crate::body::JsonBody;
use crate::contract::{AsksDatabase, CanFail, Problems, Publishes};
use crate::problem::Problem;
use crate::state::State;
use crate::verify::{Client, Operate, Read, Verified};

const POINTER: &str = "/batch_wait_time";

/// The wait that is asked for.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewWait {
    /// Seconds.
    #[serde(default)]
    #[schema(required, value_type = u32, minimum = 5, maximum = 300)]
    batch_wait_time: Value,
}

/// The wait that applies to all pods. Waits are seconds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchConfig {
    status: Status,
    batch_wait_time: u32,
    /// What that means, for people.
    message: String,
    /// The shortest wait that can be set.
    min: u32,
    /// The longest wait that can be set.
    max: u32,
    #[schema(format = DateTime)]
    timestamp: String,
}

/// The wait before a batch closes
#[utoipa::path(
    get,
    path = "/batch-config",
    operation_id = "batchConfig",
    tag = "chat",
    security(("bearer" = []), ("apiKey" = [])),
    responses(
        (status = 200, description = "The wait.", body = BatchConfig, example = sample),
        Problems::<(Verified<Client<Read>>, AsksDatabase)>,
    ),
)]
pub(crate) async fn wait(
    FromState(state): FromState<State>,
    client: Verified<Client<Read>>,
) -> Result<Json<BatchConfig>, Problem> {
    let seconds = ask(&client, current_wait(&state)).await?;
    Ok(Json(BatchConfig::new(seconds, state.clock.now())))
}

/// Change the wait before a batch closes
///
/// For all pods at once, and for batches that are open too.
// The one write of the gateway.
#[utoipa::path(
    post,
    path = "/batch-config",
    operation_id = "setBatchConfig",
    tag = "chat",
    security(("bearer" = []), ("apiKey" = [])),
    request_body(content = NewWait, example = json!({"batch_wait_time": 45})),
    responses(
        (status = 200, description = "The wait is stored.", body = BatchConfig, example = sample),
        Problems::<(Verified<Client<Operate>>, JsonBody<NewWait>, AsksDatabase, Publishes<Client<Operate>>)>,
    ),
)]
pub(crate) async fn set_wait(
    FromState(state): FromState<State>,
    client: Verified<Client<Operate>>,
    JsonBody(body): JsonBody<NewWait>,
) -> Result<Json<BatchConfig>, Problem> {
    let wait_seconds = body.seconds()?;
    let now = state.clock.now();
    let question = setting::set_batch_wait_seconds(&state.database, wait_seconds, now);
    ask(&client, question).await?;
    let id = Uuid::new_v4().to_string();
    let data = WaitChanged { wait_seconds };
    let event = Envelope::new(event_type::WAIT_CHANGED, id, "/batch-config", now, &data);
    state.ingress.publish(&client, vec![event]).await?;
    Ok(Json(BatchConfig::new(wait_seconds, now)))
}

impl BatchConfig {
    fn new(seconds: u32, now: DateTime<Utc>) -> Self {
        Self {
            status: Status::Success,
            batch_wait_time: seconds,
            message: format!("A batch closes after {seconds} s without a new message."),
            min: *WAIT_SECONDS.start(),
            max: *WAIT_SECONDS.end(),
            timestamp: timestamp(now),
        }
    }
}

impl NewWait {
    fn seconds(&self) -> Result<u32, Problem> {
        // 30.0 is a whole number too.
        let whole = |seconds: &f64| seconds.fract() == 0.0;
        let seconds = self.batch_wait_time.as_f64().filter(whole);
        let seconds = seconds.ok_or_else(|| Problem::invalid_field(POINTER, range()))?;
        WAIT_SECONDS
            .clone()
            .find(|allowed| f64::from(*allowed) == seconds)
            .ok_or_else(|| Problem::out_of_range(POINTER, range()))
    }
}

impl CanFail for NewWait {
    fn problems() -> Vec<Problem> {
        vec![
            Problem::out_of_range(POINTER, range()),
            Problem::invalid_field(POINTER, range()),
        ]
    }
}

fn range() -> String {
    let (from, to) = (WAIT_SECONDS.start(), WAIT_SECONDS.end());
    format!("batch_wait_time must be a whole number of seconds from {from} to {to}.")
}

fn sample() -> BatchConfig {
    BatchConfig::new(45, DateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::NewWait;

    #[test]
    fn the_wait_is_a_whole_number_of_seconds_in_its_range() {
        let wait = |batch_wait_time: Value| NewWait { batch_wait_time }.seconds();
        for accepted in [5, 30, 300] {
            assert_eq!(wait(json!(accepted)).unwrap(), accepted);
            assert_eq!(wait(json!(f64::from(accepted))).unwrap(), accepted);
        }
        for out_of_range in [json!(4), json!(301), json!(-5), json!(4_294_967_301_u64)] {
            assert_eq!(wait(out_of_range).unwrap_err().status(), 400);
        }
        for no_number in [json!(30.5), json!("30"), json!(null), json!([30])] {
            assert_eq!(wait(no_number).unwrap_err().status(), 422);
        }
    }
}
