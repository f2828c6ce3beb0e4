//! Routes of operators: the batches that are open, and closing one.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State as FromState;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use entities::{ContactId, batch};
use messages::{Envelope, FlushRequested, FlushTrigger, event_type};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::batch_view::{self, BatchView};
use super::{Status, ask, current_wait, timestamp};
use crate::contract::{AsksDatabase, CanFail, Problems, Publishes};
use crate::path_id::PathId;
use crate::problem::Problem;
use crate::state::State;
use crate::verify::{Client, Operate, Read, Verified};

/// How many open batches `/queue-status` describes; it counts all.
const MOST_DETAILS: u64 = 100;

/// Open batches. Times are RFC 3339, durations are seconds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueueStatus {
    status: Status,
    /// How many batches are open.
    active_batches: u64,
    /// The newest 100 of them by their contact.
    #[schema(value_type = BTreeMap<String, BatchView>)]
    batch_details: BTreeMap<ContactId, BatchView>,
    batch_wait_time: u32,
    #[schema(format = DateTime)]
    timestamp: String,
}

/// A contact's batch. Times are RFC 3339, durations are seconds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchStatus {
    status: Status,
    contact_id: String,
    /// Whether the batch is open.
    has_active_batch: bool,
    /// The open batch, else the latest, else null.
    #[schema(required)]
    batch: Option<BatchView>,
    batch_wait_time: u32,
    #[schema(format = DateTime)]
    timestamp: String,
}

/// A batch is being closed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchForced {
    status: Status,
    /// What happened, for people.
    message: &'static str,
    contact_id: String,
    #[schema(format = DateTime)]
    timestamp: String,
}

/// Open batches
///
/// Counts all of them and describes the newest 100.
#[utoipa::path(
    get,
    path = "/queue-status",
    operation_id = "queueStatus",
    tag = "chat",
    security(("bearer" = []), ("apiKey" = [])),
    responses(
        (
            status = 200,
            description = "The open batches.",
            body = QueueStatus,
            example = json!({
                "status": "success",
                "active_batches": 1,
                "batch_details": {"ocQHyuzHvysMo5N5VsXc": batch_view::sample()},
                "batch_wait_time": 30,
                "timestamp": "2026-11-21T12:00:15.000Z",
            }),
        ),
        Problems::<(Verified<Client<Read>>, AsksDatabase)>,
    ),
)]
pub(crate) async fn queue(
    FromState(state): FromState<State>,
    client: Verified<Client<Read>>,
) -> Result<Json<QueueStatus>, Problem> {
    let now = state.clock.now();
    let (wait, count, details) = ask(&client, async {
        let wait = current_wait(&state).await?;
        let count = batch::count_open(&state.database).await?;
        let mut details = BTreeMap::new();
        for batch in batch::open_batches(&state.database, MOST_DETAILS).await? {
            let contact = batch.contact_id.clone();
            details.insert(
                contact,
                BatchView::read(&state.database, batch, wait, now).await?,
            );
        }
        Ok((wait, count, details))
    })
    .await?;
    Ok(Json(QueueStatus {
        status: Status::Success,
        active_batches: count,
        batch_details: details,
        batch_wait_time: wait,
        timestamp: timestamp(now),
    }))
}

/// A contact's open batch, else the latest
#[utoipa::path(
    get,
    path = "/batch-status/{contact_id}",
    operation_id = "batchStatus",
    tag = "chat",
    security(("bearer" = []), ("apiKey" = [])),
    params((
        "contact_id" = String, Path,
        description = "HighLevel's id of the contact",
        pattern = "^[!-~]{1,255}$",
        example = "ocQHyuzHvysMo5N5VsXc",
    )),
    responses(
        (
            status = 200,
            description = "The batch; null for a contact that has none.",
            body = BatchStatus,
            example = json!({
                "status": "success",
                "contact_id": "ocQHyuzHvysMo5N5VsXc",
                "has_active_batch": true,
                "batch": batch_view::sample(),
                "batch_wait_time": 30,
                "timestamp": "2026-11-21T12:00:15.000Z",
            }),
        ),
        Problems::<(Verified<Client<Read>>, PathId, AsksDatabase)>,
    ),
)]
pub(crate) async fn status(
    FromState(state): FromState<State>,
    client: Verified<Client<Read>>,
    PathId(contact_id): PathId,
) -> Result<Json<BatchStatus>, Problem> {
    let now = state.clock.now();
    let contact = ContactId::from(contact_id.as_str());
    let (wait, has_active_batch, batch) = ask(&client, async {
        let wait = current_wait(&state).await?;
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
        Ok((wait, is_open, view))
    })
    .await?;
    Ok(Json(BatchStatus {
        status: Status::Success,
        contact_id,
        has_active_batch,
        batch,
        batch_wait_time: wait,
        timestamp: timestamp(now),
    }))
}

/// Close a contact's batch now
///
/// Works without the database too: a worker then finds out whether there is a batch, and the answer
/// is 202.
#[utoipa::path(
    post,
    path = "/force-process-batch/{contact_id}",
    operation_id = "forceProcessBatch",
    tag = "chat",
    security(("bearer" = []), ("apiKey" = [])),
    params((
        "contact_id" = String, Path,
        description = "HighLevel's id of the contact",
        pattern = "^[!-~]{1,255}$",
        example = "ocQHyuzHvysMo5N5VsXc",
    )),
    responses(
        (
            status = 200,
            description = "The batch is being closed.",
            body = BatchForced,
            example = json!(BatchForced::new("ocQHyuzHvysMo5N5VsXc".to_owned(), DateTime::UNIX_EPOCH)),
        ),
        (
            status = 202,
            description = "The database could not be asked; the batch is being closed if there is one.",
            body = BatchForced,
            example = json!(BatchForced::new("ocQHyuzHvysMo5N5VsXc".to_owned(), DateTime::UNIX_EPOCH)),
        ),
        Problems::<(Verified<Client<Operate>>, PathId, BatchForced, Publishes<Client<Operate>>)>,
    ),
)]
pub(crate) async fn force(
    FromState(state): FromState<State>,
    client: Verified<Client<Operate>>,
    PathId(contact_id): PathId,
) -> Result<(StatusCode, Json<BatchForced>), Problem> {
    let contact = ContactId::from(contact_id.as_str());
    let question = batch::open_of_contact(&state.database, &contact);
    let (status, batch_id) = match ask(&client, question).await {
        Ok(Some(batch)) => (StatusCode::OK, Some(batch.id.0)),
        Ok(None) => return Err(no_open_batch()),
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
    Ok((status, Json(BatchForced::new(contact_id, now))))
}

impl BatchForced {
    fn new(contact_id: String, now: DateTime<Utc>) -> Self {
        Self {
            status: Status::Success,
            message: "The batch is being closed.",
            contact_id,
            timestamp: timestamp(now),
        }
    }
}

impl CanFail for BatchForced {
    fn problems() -> Vec<Problem> {
        vec![no_open_batch()]
    }
}

fn no_open_batch() -> Problem {
    Problem::not_found("This contact has no open batch.")
}
