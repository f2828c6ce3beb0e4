//! Reading request bodies: whole, bounded in size and time, and as the bytes that were signed.

pub(crate) mod json;
pub(crate) mod text;

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderValue, header};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::contract::CanFail;
use crate::problem::Problem;
use crate::state::State;

/// How long a body may take to arrive.
const ARRIVAL_DEADLINE: Duration = Duration::from_secs(10);

/// How much of each body is read without a claim on the memory that larger ones share, in bytes:
/// most webhooks are smaller, so no crowd of large bodies keeps them out.
const UNCLAIMED: usize = 16 * 1024;

/// How much memory the larger bodies share while they arrive, in KiB.
const SHARED_KIB: usize = 64 * 1024;

/// The memory for bodies that are arriving. What has arrived is bounded elsewhere: unverified bodies
/// are dropped at once, and verified ones are counted until the broker confirms.
pub(crate) struct Memory(Semaphore);

impl Default for Memory {
    fn default() -> Self {
        Self(Semaphore::new(SHARED_KIB))
    }
}

/// Reads the raw body. One that is announced as larger than `MAX_BODY_BYTES` is not read at all.
///
/// # Errors
/// 413 when it is too large, 415 when it is compressed, 408 when it is slow, 400 when it breaks
/// off, 503 when too many large bodies arrive at once.
pub(crate) async fn read(headers: &HeaderMap, body: Body, state: &State) -> Result<Bytes, Problem> {
    let is_compressed = |value: &HeaderValue| !value.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(is_compressed)
    {
        return Err(Problem::compressed());
    }
    let limit = state.config.max_body_bytes;
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    let announced = announced
        .and_then(|text| text.parse::<u64>().ok())
        .unwrap_or(0);
    if usize::try_from(announced).map_or(true, |length| length > limit) {
        return Err(Problem::too_large(limit));
    }
    timeout(ARRIVAL_DEADLINE, collect(body, limit, &state.body_memory))
        .await
        .map_err(|_| Problem::too_slow())?
}

async fn collect(body: Body, limit: usize, Memory(memory): &Memory) -> Result<Bytes, Problem> {
    let mut stream = body.into_data_stream();
    let mut bytes = BytesMut::new();
    let mut claims = Vec::new();
    let mut room = UNCLAIMED;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Problem::malformed("The body broke off."))?;
        if bytes.len() + chunk.len() > limit {
            return Err(Problem::too_large(limit));
        }
        while bytes.len() + chunk.len() > room {
            // As much again, so that a body needs few claims.
            let more = u32::try_from(room / 1024).unwrap_or(u32::MAX);
            claims.push(
                memory
                    .try_acquire_many(more)
                    .map_err(|_| Problem::overloaded())?,
            );
            room *= 2;
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

/// Reading a raw body.
pub(crate) struct RawBody;

impl CanFail for RawBody {
    fn problems() -> Vec<Problem> {
        vec![
            Problem::malformed("The body can't be read as JSON (line 1, column 14)."),
            Problem::too_slow(),
            Problem::too_large(1 << 20),
            Problem::compressed(),
            Problem::overloaded(),
        ]
    }
}

/// The media type that the sender names, in lower case and without parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let media_type = text.split(';').next()?;
    Some(media_type.trim().to_ascii_lowercase())
}

/// The body of a client's request: a JSON object, read into `T`.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<State> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &State) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        // Older clients name no media type.
        let is_json = |name: &str| name == "application/json" || name.ends_with("+json");
        if parts.headers.contains_key(header::CONTENT_TYPE)
            && !media_type(&parts.headers).is_some_and(|name| is_json(&name))
        {
            return Err(Problem::unsupported_media_type());
        }
        let bytes = read(&parts.headers, body, state).await?;
        json::object(&bytes).map(Self)
    }
}

impl<T: CanFail> CanFail for JsonBody<T> {
    fn problems() -> Vec<Problem> {
        let problems = [
            RawBody::problems(),
            vec![Problem::unsupported_media_type()],
            T::problems(),
        ];
        problems.concat()
    }
}
