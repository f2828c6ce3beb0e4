//! A gateway to send requests to, and the senders who sign them.

use std::time::Duration;

use ::gateway::Config;
use ::gateway::clock::Clock;
use ::gateway::router::router;
use ::gateway::state::State;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use config::Environment;
use hmac::{Hmac, KeyInit as _, Mac as _};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::Value;
use sha2::Sha256;
use test_support::{Broker, eventually};
use tower::ServiceExt as _;

use crate::described;

/// How long a test waits for what should happen at once.
pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) const API_KEY: &str = "key-of-a-test";
pub(crate) const WORKFLOW_SECRET: &str = "workflow-secret-of-a-test";
pub(crate) const OPENAI_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const HUBSPOT_SECRET: &str = "hubspot-secret-of-a-test";
const BASE_URL: &str = "https://hooks.example.com";

/// No broker listens there.
pub(crate) const NO_BROKER: &str = "amqp://127.0.0.1:1";
/// Nothing can be opened there.
pub(crate) const NO_DATABASE: &str = "postgres://millrace@127.0.0.1:1/millrace";

/// The gateway, in this process.
#[derive(Clone)]
pub(crate) struct Gateway(Router);

/// An answer, read whole.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Gateway {
    /// All routes open, with the given broker and database.
    pub(crate) fn new(amqp_url: &str, database_url: &str) -> Self {
        Self::with(amqp_url, database_url, &[])
    }

    /// The same, once it is connected to the broker.
    pub(crate) async fn connected(broker: &Broker, database_url: &str) -> Self {
        Self::new(broker.amqp_url(), database_url)
            .once_connected()
            .await
    }

    /// Waits until it is connected to the broker: on a busy machine that may take longer than a
    /// request waits.
    pub(crate) async fn once_connected(self) -> Self {
        eventually("the gateway is connected", SOON, async || {
            let answer = self.send(unproven("GET", "/health/ready", "")).await;
            match answer.body["broker"]["status"].as_str() {
                Some("ready") => Ok(()),
                _ => Err(answer.body),
            }
        })
        .await;
        self
    }

    /// The same, with other variables.
    pub(crate) fn with(amqp_url: &str, database_url: &str, more: &[(&str, &str)]) -> Self {
        let public_key = BASE64_STANDARD.encode(highlevel_key().public_key());
        let mut variables = vec![
            ("AMQP_URL", amqp_url),
            ("DATABASE_URL", database_url),
            ("PUBLIC_BASE_URL", BASE_URL),
            ("API_KEYS", API_KEY),
            ("OPENAI_WEBHOOK_SECRET", OPENAI_SECRET),
            ("HUBSPOT_CLIENT_SECRET", HUBSPOT_SECRET),
            ("GHL_WEBHOOK_PUBLIC_KEY", &public_key),
            ("WEBHOOK_SECRET", WORKFLOW_SECRET),
        ];
        variables.extend(more);
        let config = Config::read(Environment::from_pairs(variables)).unwrap();
        Self(router(
            State::new(config, Clock::stopped_at(now())).unwrap(),
        ))
    }

    /// Neither broker nor database: for what is refused before either is needed.
    pub(crate) fn alone() -> Self {
        Self::new(NO_BROKER, NO_DATABASE)
    }

    /// The answer, compared with the description.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let answer = self.send_unseen(request).await;
        described::check(method.as_str(), &path, &answer);
        answer
    }

    /// The answer as it is, for requests by the thousand.
    pub(crate) async fn send_unseen(&self, request: Request<Body>) -> Answer {
        let response = self.0.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let text = std::str::from_utf8(&bytes).unwrap();
        let is_page = parts
            .headers
            .get("content-type")
            .is_some_and(|name| name.as_bytes().starts_with(b"text/html"));
        let body = match text {
            "" => Value::Null,
            page if is_page => page.into(),
            json => serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}")),
        };
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// Sends an operator's or client's request.
    pub(crate) async fn call(&self, method: &str, path: &str, body: &str) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {API_KEY}"))
            .body(Body::from(body.to_owned()))
            .unwrap();
        self.send(request).await
    }
}

impl Answer {
    /// Checks that this is a problem (RFC 9457) with this status and returns its kind.
    pub(crate) fn problem(&self, status: u16) -> &str {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.body["status"], status);
        for field in ["title", "detail"] {
            assert!(
                self.body[field]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{field}"
            );
        }
        self.body["type"]
            .as_str()
            .unwrap()
            .strip_prefix("/problems/")
            .unwrap()
    }

    /// The field that a problem names.
    pub(crate) fn pointer(&self) -> &str {
        self.body["errors"][0]["pointer"].as_str().unwrap()
    }

    /// The seconds after which the sender should try again.
    pub(crate) fn retry_after(&self) -> u64 {
        self.headers["retry-after"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap()
    }
}

/// The gateway's clock stands still here.
pub(crate) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_262_400, 0).unwrap()
}

/// A delivery of OpenAI.
pub(crate) fn openai(webhook_id: &str, body: &str) -> Request<Body> {
    let timestamp = now().timestamp();
    let key = BASE64_STANDARD
        .decode(OPENAI_SECRET.trim_start_matches("whsec_"))
        .unwrap();
    let signature = sign(&key, &[webhook_id, ".", &timestamp.to_string(), ".", body]);
    post("/webhook/openai", body)
        .header("webhook-id", webhook_id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", format!("v1,{signature}"))
        .body(Body::from(body.to_owned()))
        .unwrap()
}

/// A delivery of HubSpot.
pub(crate) fn hubspot(path: &str, body: &str) -> Request<Body> {
    let timestamp = now().timestamp_millis().to_string();
    let uri = format!("{BASE_URL}{path}");
    let signature = sign(HUBSPOT_SECRET.as_bytes(), &["POST", &uri, body, &timestamp]);
    post(path, body)
        .header("x-hubspot-signature-v3", signature)
        .header("x-hubspot-request-timestamp", timestamp)
        .body(Body::from(body.to_owned()))
        .unwrap()
}

/// A signed delivery of HighLevel.
pub(crate) fn highlevel(path: &str, body: &str) -> Request<Body> {
    let signature = BASE64_STANDARD.encode(highlevel_key().sign(body.as_bytes()));
    post(path, body)
        .header("x-ghl-signature", signature)
        .body(Body::from(body.to_owned()))
        .unwrap()
}

/// A workflow action of HighLevel, with its secret.
pub(crate) fn workflow(content_type: &str, body: &str) -> Request<Body> {
    Request::builder()
        .method("POST")
        .uri("/webhook")
        .header("content-type", content_type)
        .header("x-webhook-token", WORKFLOW_SECRET)
        .body(Body::from(body.to_owned()))
        .unwrap()
}

/// A request without any proof.
pub(crate) fn unproven(method: &str, path: &str, body: &str) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .body(Body::from(body.to_owned()))
        .unwrap()
}

fn post(path: &str, body: &str) -> axum::http::request::Builder {
    Request::builder()
        .method("POST")
        .uri(path)
        .header("content-type", "application/json")
        .header("content-length", body.len())
}

fn sign(key: &[u8], parts: &[&str]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    for part in parts {
        mac.update(part.as_bytes());
    }
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

fn highlevel_key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}
