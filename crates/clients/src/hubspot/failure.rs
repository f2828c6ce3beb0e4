//! Which kind an error answer of HubSpot is (contract §6).

use std::time::Duration;

use serde::Deserialize;

use crate::{
    error::{ClientError, ErrorKind},
    http::Answer,
    lenient::null_as_default,
    retry_after::LATER,
};

/// The rolling limit's own length.
const ROLLING_LIMIT: Duration = Duration::from_secs(10);
/// An object that is locked by heavy writing asks for at least this.
const LOCKED: Duration = Duration::from_secs(2);

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ErrorBody {
    #[serde(deserialize_with = "null_as_default")]
    message: String,
    correlation_id: Option<String>,
    #[serde(deserialize_with = "null_as_default")]
    policy_name: String,
}

pub(super) fn read(answer: &Answer) -> ClientError {
    let body: ErrorBody = answer.parse_leniently();
    let named = answer.retry_after();
    let not_done = |wait: Option<Duration>| ErrorKind::NotDone { retry_after: wait };
    let kind = match answer.status() {
        423 => not_done(named.max(Some(LOCKED))),
        429 if body.policy_name == "DAILY" => not_done(named.or(Some(LATER))),
        429 if body.policy_name == "TEN_SECONDLY_ROLLING" => {
            not_done(named.or(Some(ROLLING_LIMIT)))
        }
        // The account is moving between data centres.
        477 => not_done(named),
        _ => answer.usual_kind(),
    };
    let message = if body.message.is_empty() {
        answer.usual_message()
    } else {
        body.message
    };
    let error = answer.failure(kind, message);
    match body.correlation_id {
        Some(id) => error.with_request_id(Some(id)),
        None => error,
    }
}
