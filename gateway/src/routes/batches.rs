//! Routes of operators: the wait before a batch closes, and the batches that are open.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State as FromState;
use axum::http::StatusCode;
use config::WAIT_SECONDS;
use entities::{ContactId, batch, setting};
use messages::{Envelope, FlushRequested, FlushTrigger, WaitChanged, event_type};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::batch_view::BatchView;
use super::{ask, timestamp};
use crate::body::JsonBody;
use crate::path_id::PathId;
use crate::problem::Problem;
use crate::state::State;
use crate::verify::{Client, Verified};

/// How many open batches `/queue-status` describes; it counts all.
const MOST_DETAILS: u64 = 100;

/// The body of `POST /batch-config`.
#[derive(Debug, Deserialize)]
pub(crate) struct NewWait {
    /// Seconds.
    #[serde(default)]
    batch_wait_time: Value,
}

/// `GET /batch-config`: the wait that applies now.
pub(crate) async fn wait(
    FromState(state): FromState<State>,
    _client: Verified<Client>,
) -> Result<Json<Value>, Problem> {
    let seconds = current_wait(&state).await?;
    Ok(Json(json!({
        "status": "success",
        "batch_wait_time": seconds,
        "message": format!("A batch closes after {seconds} s without a new message."),
        "min": WAIT_SECONDS.start(),
        "max": WAIT_SECONDS.end(),
        "timestamp": timestamp(state.clock.now()),
    })))
}

/// `POST /batch-config`: a new wait for all pods. The one write of the gateway.
pub(crate) async fn set_wait(
    FromState(state): FromState<State>,
    client: Verified<Client>,
    JsonBody(body): JsonBody<NewWait>,
) -> Result<Json<Value>, Problem> {
    let wait_seconds = body.seconds()?;
    let now = state.clock.now();
    ask(setting::set_batch_wait_seconds(
        &state.database,
        wait_seconds,
        now,
    ))
    .await?;
    let id = Uuid::new_v4().to_string();
    let data = WaitChanged { wait_seconds };
    let event = Envelope::new(event_type::WAIT_CHANGED, id, "/batch-config", now, &data);
    state.ingress.publish(&client, vec![event]).await?;
    Ok(Json(json!({
        "status": "success",
        "message": format!("A batch closes after {wait_seconds} s without a new message."),
        "batch_wait_time": wait_seconds,
        "timestamp": timestamp(now),
    })))
}

/// `GET /queue-status`: how many batches are open, and the newest of them.
pub(crate) async fn queue(
    FromState(state): FromState<State>,
    _client: Verified<Client>,
) -> Result<Json<Value>, Problem> {
    let (wait, now) = (current_wait(&state).await?, state.clock.now());
    let (count, details) = ask(async {
        let count = batch::count_open(&state.database).await?;
        let mut details = BTreeMap::new();
        for batch in batch::open_batches(&state.database, MOST_DETAILS).await? {
            let contact = batch.contact_id.clone();
            details.insert(
                contact,
                BatchView::read(&state.database, batch, wait, now).await?,
            );
        }
        Ok((count, details))
    })
    .await?;
    Ok(Json(json!({
        "status": "success",
        "active_batches": count,
        "batch_details": details,
        "batch_wait_time": wait,
        "timestamp": timestamp(now),
    })))
}

/// `GET /batch-status/{contact_id}`: the contact's open batch, else the latest.
pub(crate) async fn status(
    FromState(state): FromState<State>,
    _client: Verified<Client>,
    PathId(contact_id): PathId,
) -> Result<Json<Value>, Problem> {
    let (wait, now) = (current_wait(&state).await?, state.clock.now());
    let contact = ContactId::from(contact_id.as_str());
    let (has_active_batch, batch) = ask(async {
        let open = batch::open_of_contact(&state.database, &contact).await?;
        let is_open = open.is_some();
        let batch = match open {
            Some(batch) => Some(batch),
            None => batch::latest_of_contact(&state.database, &contact).await?,
        };
        let view = match batch {
            Some(batch) => Some(BatchView::read(&state.database, batch, wait, now).await?),
            None => None,
        };
        Ok((is_open, view))
    })
    .await?;
    Ok(Json(json!({
        "status": "success",
        "contact_id": contact_id,
        "has_active_batch": has_active_batch,
        "batch": batch,
        "batch_wait_time": wait,
        "timestamp": timestamp(now),
    })))
}

/// `POST /force-process-batch/{contact_id}`: close the contact's batch now. Works without the
/// database too: the worker then finds out whether there is one.
pub(crate) async fn force(
    FromState(state): FromState<State>,
    client: Verified<Client>,
    PathId(contact_id): PathId,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let contact = ContactId::from(contact_id.as_str());
    let (status, batch_id) = match ask(batch::open_of_contact(&state.database, &contact)).await {
        Ok(Some(batch)) => (StatusCode::OK, Some(batch.id.0)),
        Ok(None) => return Err(Problem::not_found("This contact has no open batch.")),
        Err(_) => (StatusCode::ACCEPTED, None),
    };
    let now = state.clock.now();
    let data = FlushRequested {
        contact_id: contact_id.clone(),
        batch_id,
        trigger: FlushTrigger::Operator,
    };
    let id = Uuid::new_v4().to_string();
    let event = Envelope::new(
        event_type::FLUSH_REQUESTED,
        id,
        "/force-process-batch",
        now,
        &data,
    );
    state
        .ingress
        .publish(&client, vec![event.with_subject(&contact_id)])
        .await?;
    let answer = json!({
        "status": "success",
        "message": "The batch is being closed.",
        "contact_id": contact_id,
        "timestamp": timestamp(now),
    });
    Ok((status, Json(answer)))
}

async fn current_wait(state: &State) -> Result<u32, Problem> {
    let stored = ask(setting::batch_wait_seconds(&state.database)).await?;
    Ok(stored.unwrap_or(state.config.batch_wait_seconds))
}

impl NewWait {
    fn seconds(&self) -> Result<u32, Problem> {
        let (from, to) = (WAIT_SECONDS.start(), WAIT_SECONDS.end());
        let pointer = "/batch_wait_time";
        let detail =
            format!("batch_wait_time must be a whole number of seconds from {from} to {to}.");
        if !self.batch_wait_time.is_i64() && !self.batch_wait_time.is_u64() {
            return Err(Problem::invalid_field(pointer, detail));
        }
        let seconds = self.batch_wait_time.as_u64();
        seconds
            .and_then(|seconds| u32::try_from(seconds).ok())
            .filter(|seconds| WAIT_SECONDS.contains(seconds))
            .ok_or_else(|| Problem::out_of_range(pointer, detail))
    }
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
        }
        for out_of_range in [json!(4), json!(301), json!(-5), json!(4_294_967_301_u64)] {
            assert_eq!(wait(out_of_range).unwrap_err().status(), 400);
        }
        for no_number in [json!(30.5), json!("30"), json!(null), json!([30])] {
            assert_eq!(wait(no_number).unwrap_err().status(), 422);
        }
    }
}
