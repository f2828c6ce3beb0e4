//! Which kind an error answer of HighLevel is (contract §4.1, §6).

use serde::Deserialize;
use serde_json::Value;

use crate::{
    error::{ClientError, ErrorKind, Reason},
    http::Answer,
    lenient::misfit_as_default,
    retry_after::{LATER, milliseconds, number},
};

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ErrorBody {
    /// A text; with 422 a list of texts.
    message: Value,
    #[serde(deserialize_with = "misfit_as_default")]
    trace_id: Option<String>,
}

pub(super) fn read(answer: &Answer) -> ClientError {
    let body: ErrorBody = answer.parse_leniently();
    let message = match &body.message {
        Value::String(message) => message.clone(),
        Value::Array(messages) => messages
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join("; "),
        _ => answer.usual_message(),
    };
    let kind = match answer.status() {
        429 => rate_limited(answer),
        400 | 422 => refused(&message),
        _ => answer.usual_kind(),
    };
    let error = answer.failure(kind, message);
    match body.trace_id {
        Some(id) => error.with_request_id(Some(id)),
        None => error,
    }
}

/// The refusals that matter have no code, only words.
fn refused(message: &str) -> ErrorKind {
    let message = message.to_ascii_lowercase();
    let reason = if message.contains("dnd is active") || message.contains("do not disturb") {
        Reason::DoNotDisturb
    } else if message.contains("unsubscribed") {
        Reason::Unsubscribed
    } else if message.contains("missing phone number") {
        Reason::MissingPhoneNumber
    } else if message.contains("not found") {
        // Some calls report a missing contact with 400.
        return ErrorKind::NotFound;
    } else {
        return ErrorKind::Permanent { reason: None };
    };
    ErrorKind::Permanent {
        reason: Some(reason),
    }
}

/// The burst limit ends with its interval, the daily one at its reset.
fn rate_limited(answer: &Answer) -> ErrorKind {
    let headers = answer.headers();
    let day_is_used_up = number(headers, "x-ratelimit-daily-remaining").is_some_and(|n| n <= 0.0);
    let wait = if day_is_used_up {
        milliseconds(headers, "x-ratelimit-daily-reset").or(Some(LATER))
    } else {
        milliseconds(headers, "x-ratelimit-interval-milliseconds")
    };
    ErrorKind::NotDone {
        retry_after: answer.retry_after().or(wait),
    }
}
