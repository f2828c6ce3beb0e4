//! Over a real connection: the server itself, the health check of containers, the shutdown.

use std::time::Duration;

use ::gateway::{Config, serve};
use config::Environment;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::described::{misfits, operations};
use crate::gateway::{NO_BROKER, OPENAI_SECRET};
use crate::headers::FORBIDDEN;

async fn start() -> (
    u16,
    CancellationToken,
    tokio::task::JoinHandle<anyhow::Result<()>>,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let environment = Environment::from_pairs([
        ("AMQP_URL", NO_BROKER),
        ("DATABASE_URL", "sqlite::memory:"),
        ("OPENAI_WEBHOOK_SECRET", OPENAI_SECRET),
    ]);
    let config = Config::read(environment).unwrap();
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(serve(config, listener, shutdown.clone()));
    (port, shutdown, serving)
}

async fn answer(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_check_knows_a_gateway_from_none() {
    let (port, shutdown, serving) = start().await;
    let check = |port| tokio::task::spawn_blocking(move || telemetry::healthcheck("0.0.0.0", port));
    check(port).await.unwrap().unwrap();
    shutdown.cancel();
    serving.await.unwrap().unwrap();
    assert!(check(port).await.unwrap().is_err());
}

#[tokio::test]
async fn a_body_announced_too_large_is_refused_before_it_is_sent() {
    let (port, _shutdown, _serving) = start().await;
    let answer = answer(
        port,
        "POST /webhook/openai HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\
         Connection: close\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn requests_that_cannot_be_read_are_problems_on_every_route() {
    let (port, _shutdown, _serving) = start().await;
    let many: String = (0..200)
        .map(|number| format!("x-{number}: 1\r\n"))
        .collect();
    for (method, path, _) in operations() {
        let method = method.to_uppercase();
        for (refused, status, kind) in [
            (
                format!("{method} {path} HTTP/1.1\r\nno colon\r\n\r\n"),
                400,
                "malformed-request",
            ),
            (
                format!("{method} {path} HTTP/9\r\n\r\n"),
                400,
                "malformed-request",
            ),
            (
                format!("{method} {path} HTTP/1.1\r\n{many}\r\n"),
                431,
                "headers-too-large",
            ),
        ] {
            let answer = answer(port, &refused).await;
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            assert!(
                head.contains("content-type: application/problem+json"),
                "{answer}"
            );
            for (name, value) in FORBIDDEN {
                let line = format!("\r\n{name}: {value}\r\n");
                assert!(head.contains(&line), "{name}: {answer}");
            }
            let body: Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["type"], format!("/problems/{kind}"));
            let described = operations().find(|(_, known, _)| *known == path).unwrap().2;
            let response = &described["responses"][status.to_string()];
            let schema = &response["content"]["application/problem+json"]["schema"];
            assert_eq!(misfits(schema, &body), [""; 0]);
        }
    }
}

#[tokio::test]
async fn a_request_under_way_is_answered_before_the_gateway_stops() {
    let (port, shutdown, serving) = start().await;
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    // The head has arrived when the server asks for the body.
    let head = "POST /webhook/openai HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\
                Expect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut proceed = [0; 25];
    stream.read_exact(&mut proceed).await.unwrap();
    assert_eq!(&proceed, b"HTTP/1.1 100 Continue\r\n\r\n");

    shutdown.cancel();
    stream.write_all(b"{}").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    let stopped = tokio::time::timeout(Duration::from_secs(5), serving).await;
    stopped
        .expect("the gateway stops when nothing is under way")
        .unwrap()
        .unwrap();
}
