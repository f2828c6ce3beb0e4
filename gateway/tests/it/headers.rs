//! What stands on every answer, and which pages may call from a browser.

use axum::body::Body;
use axum::http::Request;

use crate::gateway::{Gateway, NO_BROKER, NO_DATABASE, openai, unproven};

const ORIGIN: &str = "https://console.example.com";

/// What every answer forbids.
pub(crate) const FORBIDDEN: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    (
        "content-security-policy",
        "default-src 'none'; frame-ancestors 'none'",
    ),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
];

#[tokio::test]
async fn every_answer_is_neither_framed_nor_kept_nor_guessed_at() {
    let gateway = Gateway::alone();
    for request in [
        unproven("GET", "/health", ""),
        unproven("GET", "/nowhere", ""),
        unproven("DELETE", "/batch-config", ""),
        unproven("GET", "/job-status/x", ""),
        openai("wh_1", "{"),
    ] {
        let path = request.uri().clone();
        let answer = gateway.send(request).await;
        for (name, value) in FORBIDDEN {
            assert_eq!(answer.headers[name], value, "{path}");
        }
    }
}

fn preflight(path: &str, origin: &str) -> Request<Body> {
    Request::builder()
        .method("OPTIONS")
        .uri(path)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization")
        .body(Body::empty())
        .unwrap()
}

#[tokio::test]
async fn pages_of_other_origins_may_not_call_unless_they_are_listed() {
    let closed = Gateway::alone();
    let answer = closed.send(preflight("/generate", ORIGIN)).await;
    assert_eq!(answer.problem(405), "method-not-allowed");
    assert!(!answer.headers.contains_key("access-control-allow-origin"));

    let listed = [("CORS_ALLOWED_ORIGINS", ORIGIN)];
    let open = Gateway::with(NO_BROKER, NO_DATABASE, &listed);
    let answer = open.send(preflight("/generate", ORIGIN)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["access-control-allow-origin"], ORIGIN);
    let other = open
        .send(preflight("/generate", "https://evil.example"))
        .await;
    assert!(!other.headers.contains_key("access-control-allow-origin"));
    // Providers are no browsers.
    let webhook = open.send(preflight("/webhook/openai", ORIGIN)).await;
    assert_eq!(webhook.problem(405), "method-not-allowed");
}

#[tokio::test]
async fn a_listed_page_can_read_answers_and_when_to_come_back() {
    let listed = [("CORS_ALLOWED_ORIGINS", ORIGIN)];
    let gateway = Gateway::with(NO_BROKER, NO_DATABASE, &listed);
    let mut request = unproven("GET", "/batch-config", "");
    request
        .headers_mut()
        .insert("origin", ORIGIN.parse().unwrap());
    let answer = gateway.send(request).await;
    assert_eq!(answer.problem(401), "unauthorized");
    assert_eq!(answer.headers["access-control-allow-origin"], ORIGIN);
    let exposed = answer.headers["access-control-expose-headers"]
        .to_str()
        .unwrap();
    assert!(exposed.contains("retry-after"), "{exposed}");
    assert!(
        !answer
            .headers
            .contains_key("access-control-allow-credentials")
    );
}
