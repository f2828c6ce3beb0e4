//! How often somebody may call, and that a verified webhook may always.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;

use crate::gateway::{API_KEY, Answer, Gateway, NO_BROKER, NO_DATABASE, openai, unproven};

fn gateway(limits: &[(&str, &str)]) -> Gateway {
    Gateway::with(NO_BROKER, NO_DATABASE, limits)
}

/// A question of a client that is refused without broker and database.
fn question(key: &str) -> Request<Body> {
    let mut request = unproven("POST", "/batch-config", "{}");
    let headers = request.headers_mut();
    headers.insert("x-api-key", key.parse().unwrap());
    request
}

/// The same request from another address.
fn from(address: &str, mut request: Request<Body>) -> Request<Body> {
    let address: SocketAddr = address.parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(address));
    request
}

fn field<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers[name].to_str().unwrap()
}

#[tokio::test]
async fn a_key_that_calls_too_often_is_told_when_to_come_back() {
    let gateway = gateway(&[("RATE_LIMIT_PER_KEY", "2"), ("API_KEYS", "one,two")]);
    for remaining in [1, 0] {
        let answer = gateway.send(question("one")).await;
        assert_eq!(answer.status, 422);
        let limit = field(&answer, "ratelimit");
        assert!(
            limit.contains(&format!(r#""key";r={remaining};t="#)),
            "{limit}"
        );
        let policy = field(&answer, "ratelimit-policy");
        assert_eq!(policy, r#""address";q=6000;w=60, "key";q=2;w=60"#);
    }
    let answer = gateway.send(question("one")).await;
    assert_eq!(answer.problem(429), "too-many-requests");
    assert!((1..=60).contains(&answer.retry_after()));
    assert!(field(&answer, "ratelimit").contains(r#""key";r=0;t="#));
    assert_eq!(gateway.send(question("two")).await.status, 422);
}

#[tokio::test]
async fn an_address_that_calls_too_often_is_told_so_whatever_key_it_shows() {
    let gateway = gateway(&[("RATE_LIMIT_PER_ADDRESS", "2")]);
    for _ in 0..2 {
        let answer = gateway.send(from("192.0.2.1:1", question(API_KEY))).await;
        assert_eq!(answer.status, 422);
    }
    let answer = gateway.send(from("192.0.2.1:2", question("guessed"))).await;
    assert_eq!(answer.problem(429), "too-many-requests");
    let other = gateway.send(from("192.0.2.2:1", question(API_KEY))).await;
    assert_eq!(other.status, 422);
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_caller_is_counted_by_its_own_address() {
    let limits = [("RATE_LIMIT_PER_ADDRESS", "1"), ("TRUSTED_PROXY_HOPS", "1")];
    let gateway = gateway(&limits);
    let through_proxy = |caller: &str| {
        let mut request = question(API_KEY);
        let headers = request.headers_mut();
        // What the caller itself wrote stands before what the proxy saw.
        headers.append("x-forwarded-for", "203.0.113.99".parse().unwrap());
        headers.append("x-forwarded-for", caller.parse().unwrap());
        from("192.0.2.1:1", request)
    };
    for caller in ["203.0.113.1", "203.0.113.2"] {
        assert_eq!(gateway.send(through_proxy(caller)).await.status, 422);
    }
    let answer = gateway.send(through_proxy("203.0.113.1")).await;
    assert_eq!(answer.problem(429), "too-many-requests");
}

#[tokio::test]
async fn who_fails_all_the_time_is_told_to_wait_and_verified_requests_are_not() {
    let gateway = gateway(&[("RATE_LIMIT_PER_ADDRESS", "20")]);
    let forged = || unproven("POST", "/webhook/openai", "{}");
    for _ in 0..20 {
        assert_eq!(gateway.send(forged()).await.status, 401);
    }
    let answer = gateway.send(forged()).await;
    assert_eq!(answer.problem(429), "too-many-requests");
    assert!((1..=60).contains(&answer.retry_after()));
    assert!(field(&answer, "ratelimit").starts_with(r#""unverified";r=0;t="#));
    // From the same address, verified: judged by its content, and not counted.
    let answer = gateway.send(openai("wh_1", "not JSON")).await;
    assert_eq!(answer.problem(400), "malformed-request");
    assert!(!answer.headers.contains_key("ratelimit"));
}

#[tokio::test]
async fn test_events_are_limited_by_address() {
    let gateway = gateway(&[]);
    let ping = || unproven("GET", "/test-webhook", "");
    let answer = gateway.send(ping()).await;
    assert_eq!(answer.problem(503), "not-confirmed");
    assert_eq!(field(&answer, "ratelimit-policy"), r#""test";q=60;w=60"#);
    for _ in 0..59 {
        assert_eq!(gateway.send(ping()).await.status, 503);
    }
    assert_eq!(gateway.send(ping()).await.problem(429), "too-many-requests");
}
