//! The routes: one module for each caller, and the questions about jobs, batches and health.

pub(crate) mod batch_config;
mod batch_view;
pub(crate) mod batches;
pub(crate) mod description;
pub(crate) mod health;
pub(crate) mod highlevel;
pub(crate) mod hubspot;
pub(crate) mod hubspot_workflow;
pub(crate) mod openai;
pub(crate) mod research;
mod research_request;
pub(crate) mod research_status;
pub(crate) mod test_webhook;

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use entities::setting;
use messages::event_type;
use sea_orm::{DbErr, Iterable};
use serde::Serialize;
use tracing::error;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use crate::problem::Problem;
use crate::state::State;
use crate::verify::{Client, Verified};

/// How long the database may take for all that one request asks of it, its key and waiting for a
/// connection included: the answer is there within two seconds, whatever the database does.
const DATABASE_DEADLINE: Duration = Duration::from_millis(1800);

/// Types whose events have data of our own making. A provider's unknown event must not take the
/// name of one.
const OUR_TYPES: [&str; 6] = [
    event_type::DEAL_STAGE_CHANGED,
    event_type::MESSAGE_RECEIVED,
    event_type::MESSAGE_SENT,
    event_type::CONTACT_CREATED,
    event_type::CONTACT_UPDATED,
    event_type::CONTACT_DND_CHANGED,
];

/// What `openai.response.*` events start with: a worker reads them all, whatever comes after it.
const OUR_PREFIX: &str = "openai.response.";

/// The type under which an event is kept that nobody here has a use for.
pub(crate) fn unrouted_type(provider: &str, name: &str) -> String {
    let event_type = event_type::other(provider, name);
    if OUR_TYPES.contains(&event_type.as_str()) || event_type.starts_with(OUR_PREFIX) {
        return event_type::other(provider, &format!("unknown.{name}"));
    }
    event_type
}

/// Asks the database for a client, once in a request.
///
/// # Errors
/// 503 when it does not answer.
async fn ask<A, T>(
    client: &Verified<Client<A>>,
    question: impl Future<Output = Result<T, DbErr>>,
) -> Result<T, Problem> {
    let left = DATABASE_DEADLINE.saturating_sub(client.waited);
    let reason = match tokio::time::timeout(left, question).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no answer in time".to_owned(),
    };
    error!(reason, "The database could not be asked.");
    Err(Problem::database_unavailable())
}

/// The wait before a batch closes, in seconds: the operator's, else the configured one.
async fn current_wait(state: &State) -> Result<u32, DbErr> {
    let stored = setting::batch_wait_seconds(&state.database).await?;
    Ok(stored.unwrap_or(state.config.batch_wait_seconds))
}

/// The word that the older server's answers begin with.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// It worked.
    Success,
}

/// The names of all states of `S`, as answers write them.
fn states<S: Iterable + Serialize>() -> Object {
    let names = S::iter().filter_map(|state| serde_json::to_value(state).ok());
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(names))
        .build()
}

/// A time as the answers write it: RFC 3339 with milliseconds, in UTC.
fn timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::unrouted_type;

    #[test]
    fn an_unknown_event_never_takes_the_name_of_one_that_workers_read() {
        assert_eq!(
            unrouted_type("openai", "batch.completed"),
            "openai.batch.completed"
        );
        assert_eq!(
            unrouted_type("openai", "response.queued"),
            "openai.unknown.response.queued"
        );
        assert_eq!(
            unrouted_type("highlevel", "message.received"),
            "highlevel.unknown.message.received"
        );
    }
}
