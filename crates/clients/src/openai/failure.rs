//! Which kind an error answer of OpenAI is (contract §6).

use serde::Deserialize;

use crate::{
    error::{ClientError, ErrorKind, Reason},
    http::Answer,
    lenient::null_as_default,
    retry_after::LATER,
};

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorDetail {
    #[serde(deserialize_with = "null_as_default")]
    message: String,
    #[serde(rename = "type", deserialize_with = "null_as_default")]
    kind: String,
    #[serde(deserialize_with = "null_as_default")]
    code: String,
}

pub(super) fn read(answer: &Answer) -> ClientError {
    let ErrorBody { error } = answer.parse_leniently();
    let kind = kind(answer, &error);
    let message = if error.message.is_empty() {
        answer.usual_message()
    } else {
        error.message
    };
    answer.failure(kind, message)
}

fn kind(answer: &Answer, error: &ErrorDetail) -> ErrorKind {
    let not_done = ErrorKind::NotDone {
        retry_after: answer.retry_after(),
    };
    // Waiting minutes does not help, losing the job does not either.
    let later = ErrorKind::NotDone {
        retry_after: answer.retry_after().max(Some(LATER)),
    };
    if error.code == "model_not_found" {
        return ErrorKind::Permanent {
            reason: Some(Reason::ModelNotFound),
        };
    }
    if error.code == "insufficient_quota" || error.kind == "insufficient_quota" {
        return later;
    }
    let should_retry = answer
        .headers()
        .get("x-should-retry")
        .map(reqwest::header::HeaderValue::as_bytes);
    match (answer.status(), should_retry) {
        (401 | 403, _) => ErrorKind::Unauthorized,
        // A server fault tells nothing about the effect, whatever the service advises.
        (500.., _) => ErrorKind::Unknown,
        (429, Some(b"false")) => later,
        (_, Some(b"false")) => ErrorKind::Permanent { reason: None },
        (404, _) => ErrorKind::NotFound,
        // A lock conflict was refused before anything was done.
        (409, _) => not_done,
        (408, _) => ErrorKind::Unknown,
        (_, Some(b"true")) => not_done,
        _ => answer.usual_kind(),
    }
}
