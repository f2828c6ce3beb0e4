//! HighLevel's stand-in: conversations and contacts, with signed webhooks
//! (contracts/highlevel.md).

pub(crate) mod error;
mod routes;
pub(crate) mod store;
pub(crate) mod webhook;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use self::error::for_status;
pub(crate) use self::store::HighLevelStore;
use super::bearer_token;
use crate::app::App;
use crate::keys;

/// The API versions that the conversation calls take, and those of the contact calls; the last of
/// each is what HighLevel's own client library sends.
const CONVERSATION_VERSIONS: [&str; 3] = ["2021-04-15", "v3", "2023-02-21"];
const CONTACT_VERSIONS: [&str; 3] = ["2021-07-28", "v3", "2023-02-21"];

/// The routes, relative to the host.
pub(crate) fn router(app: &Arc<App>) -> Router {
    Router::new()
        .route("/conversations/messages", post(routes::send))
        .route("/conversations/search", get(routes::search))
        .route("/conversations/{id}/messages", get(routes::list))
        .route("/contacts/{id}", get(routes::contact))
        .fallback(|| async { for_status(StatusCode::NOT_FOUND, "Cannot find this route") })
        .layer(from_fn(authorize))
        .with_state(app.clone())
}

/// Checks the token and the version; every answer carries the rate limit headers (section 6).
async fn authorize(request: Request, next: Next) -> Response {
    let mut response = match refusal(&request) {
        Some(message) => for_status(StatusCode::UNAUTHORIZED, message).into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in [
        ("x-ratelimit-limit-daily", "200000"),
        ("x-ratelimit-daily-remaining", "199999"),
        ("x-ratelimit-interval-milliseconds", "10000"),
        ("x-ratelimit-max", "100"),
        ("x-ratelimit-remaining", "99"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn refusal(request: &Request) -> Option<&'static str> {
    if bearer_token(request.headers()) != Some(keys::HIGHLEVEL_API_KEY) {
        return Some("Invalid Private Integration token");
    }
    let versions = if request.uri().path().starts_with("/contacts") {
        CONTACT_VERSIONS
    } else {
        CONVERSATION_VERSIONS
    };
    match request
        .headers()
        .get("version")
        .and_then(|version| version.to_str().ok())
    {
        None => Some("version header was not found."),
        Some(version) if versions.contains(&version) => None,
        Some(_) => Some("version header is invalid."),
    }
}
