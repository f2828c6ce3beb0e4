//! What every request gets: one span, one log line, one measurement, the headers that stand on all
//! answers, and an answer even where its handler panics. One layer, since each costs about as much as a
//! signature's check.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State as FromState};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use tracing::{Instrument as _, Span, debug, debug_span, error, field, info};
use uuid::Uuid;

use crate::headers;
use crate::problem::Problem;
use crate::rate_limit::Standings;
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
    mut request: Request,
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
    // For traces. In the logs its one line tells the same.
    let span = debug_span!(
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = field::Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = field::Empty,
    );
    broker::trace::continue_trace(&span, traceparent);

    let standings = Standings::of(&mut request);
    // What handlers share is behind locks that recover from a panic, and the rest of it is theirs.
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
    let response = answer.instrument(span.clone()).await;
    let mut response = response.unwrap_or_else(|_| span.in_scope(|| internal_error(&route)));
    standings.report(&mut response);
    headers::secure(&mut response);
    record(&span, response.status());
    let duration = started.elapsed();
    let status = response.status().as_u16();
    span.in_scope(|| {
        let duration_ms = duration.as_millis();
        macro_rules! tell {
            ($level:ident) => {
                $level!(
                    http.route = route,
                    http.response.status_code = status,
                    duration_ms,
                    "Answered {method} {route} with {status}."
                )
            };
        }
        // Probes ask every few seconds; only a failed one is news.
        if route.starts_with("/health") && status < 500 {
            tell!(debug);
        } else {
            tell!(info);
        }
    });
    state.metrics.answered(method, &route, status, duration);
    response
}

/// The answer where a handler panicked. What it said stands on stderr, where Rust writes it; the
/// instance leads from the answer to the log line.
fn internal_error(route: &str) -> Response {
    let instance = Uuid::new_v4();
    error!(instance = %instance.urn(), "The handler of {route} panicked.");
    Problem::internal_error(instance).into_response()
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

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use config::Environment;
    use serde_json::Value;
    use tower::ServiceExt as _;

    use crate::clock::Clock;
    use crate::config::Config;
    use crate::state::State;

    #[tokio::test]
    async fn a_panic_is_answered_without_what_it_said() {
        let environment = Environment::from_pairs([
            ("AMQP_URL", "amqp://127.0.0.1:1"),
            ("DATABASE_URL", "sqlite::memory:"),
        ]);
        let state = State::new(Config::read(environment).unwrap(), Clock::system()).unwrap();
        let panics = async || -> () { panic!("something internal") };
        let router: Router = Router::new()
            .route("/panics", get(panics))
            .layer(from_fn_with_state(state, super::request));

        let request = Request::get("/panics").body(Body::empty()).unwrap();
        let answer = router.oneshot(request).await.unwrap();

        assert_eq!(answer.status(), 500);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["type"], "/problems/internal-error");
        let instance = body["instance"].as_str().unwrap();
        assert!(instance.starts_with("urn:uuid:"), "{instance}");
        assert!(!body.to_string().contains("something internal"), "{body}");
    }
}
