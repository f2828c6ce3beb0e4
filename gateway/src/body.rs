//! Reading request bodies: whole, bounded in size and time, and as the bytes that were signed.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use serde_json::{Map, Value};
use tokio::time::timeout;

use crate::problem::Problem;
use crate::state::State;

/// How long a body may take to arrive.
const ARRIVAL_DEADLINE: Duration = Duration::from_secs(10);

/// Reads the raw body. One that is announced as larger than `limit` bytes is not read at all.
///
/// # Errors
/// 413 when it is larger than `limit`, 408 when it is slow, 400 when it breaks off.
pub(crate) async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Problem> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    let announced = announced
        .and_then(|text| text.parse::<u64>().ok())
        .unwrap_or(0);
    if usize::try_from(announced).map_or(true, |length| length > limit) {
        return Err(Problem::too_large(limit));
    }
    timeout(ARRIVAL_DEADLINE, collect(body, limit))
        .await
        .map_err(|_| Problem::too_slow())?
}

async fn collect(body: Body, limit: usize) -> Result<Bytes, Problem> {
    let mut stream = body.into_data_stream();
    let mut bytes = BytesMut::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Problem::malformed("The body broke off."))?;
        if bytes.len() + chunk.len() > limit {
            return Err(Problem::too_large(limit));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

/// Reads a body as a JSON object.
///
/// # Errors
/// 400 when it is none.
pub(crate) fn json_object(body: &[u8]) -> Result<Map<String, Value>, Problem> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Problem::malformed("The body must be a JSON object.")),
        Err(error) => Err(not_json(&error)),
    }
}

/// The problem of a body that is not JSON, with the place and without the text.
#[must_use]
pub(crate) fn not_json(error: &serde_json::Error) -> Problem {
    let (line, column) = (error.line(), error.column());
    Problem::malformed(format!(
        "The body is not valid JSON (line {line}, column {column})."
    ))
}

/// The body of a client's request: a JSON object.
#[derive(Debug)]
pub(crate) struct JsonObject(pub(crate) Map<String, Value>);

impl FromRequest<State> for JsonObject {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &State) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read(&parts.headers, body, state.config.max_body_bytes).await?;
        json_object(&bytes).map(Self)
    }
}
