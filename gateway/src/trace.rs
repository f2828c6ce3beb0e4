//! One span, one log line and one measurement for each request.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State as FromState};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tracing::{Instrument as _, Span, debug, field, info, info_span};

use crate::state::State;

/// Wraps a request that starts a trace of its own.
pub(crate) async fn request(
    FromState(state): FromState<State>,
    request: Request,
    next: Next,
) -> Response {
    handle(&state, request, next, None).await
}

/// Wraps a request of a client, which continues the trace in its `traceparent` header.
pub(crate) async fn client_request(
    FromState(state): FromState<State>,
    request: Request,
    next: Next,
) -> Response {
    let header = request
        .headers()
        .get("traceparent")
        .and_then(|value| value.to_str().ok());
    let traceparent = header.map(str::to_owned);
    handle(&state, request, next, traceparent.as_deref()).await
}

async fn handle(
    state: &State,
    request: Request,
    next: Next,
    traceparent: Option<&str>,
) -> Response {
    let started = Instant::now();
    let method = known_method(request.method());
    // The route's template, never the path itself: a path may hold a secret or a contact's id.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(MatchedPath::as_str);
    let route = route.unwrap_or("(no route)").to_owned();
    let span = info_span!(
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = field::Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = field::Empty,
    );
    broker::trace::continue_trace(&span, traceparent);

    let response = next.run(request).instrument(span.clone()).await;
    record(&span, response.status());
    let duration = started.elapsed();
    let status = response.status().as_u16();
    span.in_scope(|| {
        let duration_ms = duration.as_millis();
        // Probes ask every few seconds; only a failed one is news.
        if route.starts_with("/health") && status < 500 {
            debug!(duration_ms, "Answered {method} {route} with {status}.");
        } else {
            info!(duration_ms, "Answered {method} {route} with {status}.");
        }
    });
    state.metrics.answered(method, &route, status, duration);
    response
}

fn record(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

/// The method, or `_OTHER` as OpenTelemetry's conventions want it: callers may invent methods, and
/// each would become a metric of its own.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}
