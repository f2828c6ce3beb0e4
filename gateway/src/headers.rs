//! Headers that every answer has, whatever its handler says, and who may call from a browser.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::response::Response;
use tower_http::cors::CorsLayer;

use crate::rate_limit::{RATE_LIMIT, RATE_LIMIT_POLICY};

/// How long a browser may remember what it was told about another origin.
const PREFLIGHT_AGE: Duration = Duration::from_secs(600);

/// What stands on an answer where its handler has set nothing else. Answers are data: nothing to
/// run, nothing to frame, nothing to keep. Strict-Transport-Security is for the proxy that ends TLS.
pub(crate) static DEFAULTS: [(HeaderName, HeaderValue); 5] = [
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// Adds the headers that are missing.
pub(crate) fn secure(response: &mut Response) {
    for (name, value) in &DEFAULTS {
        let headers = response.headers_mut();
        headers.entry(name).or_insert_with(|| value.clone());
    }
}

/// Lets pages of these origins call the routes of clients and operators. Keys travel in headers, and
/// no cookie is looked at, so no credentials are allowed.
pub(crate) fn cors(origins: &[HeaderValue]) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(origins.to_vec())
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("traceparent"),
            HeaderName::from_static("x-api-key"),
        ])
        .expose_headers([
            header::RETRY_AFTER,
            RATE_LIMIT.clone(),
            RATE_LIMIT_POLICY.clone(),
        ])
        .max_age(PREFLIGHT_AGE)
}
