//! What a body may be and how long it may take, in the eyes of the gateway's memory.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::{HeaderValue, Request};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::task::JoinSet;

use crate::gateway::{Gateway, openai, unproven};

/// A request whose body sends this much, and then nothing more.
fn unfinished(bytes: usize) -> Request<Body> {
    let start = stream::once(async move { Ok::<_, Infallible>(Bytes::from(vec![b'x'; bytes])) });
    let mut request = unproven("POST", "/webhook/openai", "");
    *request.body_mut() = Body::from_stream(start.chain(stream::pending()));
    request
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let answer = Gateway::alone().send(unfinished(10)).await;
    assert_eq!(answer.problem(408), "too-slow");
}

#[tokio::test]
async fn large_bodies_share_a_bounded_memory_and_small_ones_go_on() {
    let gateway = Gateway::alone();
    let mut large = JoinSet::new();
    for _ in 0..200 {
        let gateway = gateway.clone();
        large.spawn(async move { gateway.send(unfinished(600_000)).await });
    }
    // Others hold the memory until their time is over.
    let answer = large.join_next().await.unwrap().unwrap();
    assert_eq!(answer.problem(503), "overloaded");
    assert!(answer.retry_after() > 0);
    let small = openai("wh_1", &"x".repeat(16_000));
    assert_eq!(gateway.send(small).await.problem(400), "malformed-request");
    large.shutdown().await;
}

#[tokio::test]
async fn a_compressed_body_is_refused_and_not_unpacked() {
    let gateway = Gateway::alone();
    for (encoding, status) in [("gzip", 415), ("gzip, identity", 415), ("identity", 400)] {
        let mut request = openai("wh_1", "not JSON");
        let value = HeaderValue::from_static(encoding);
        request.headers_mut().insert("content-encoding", value);
        let answer = gateway.send(request).await;
        answer.problem(status);
    }
}
