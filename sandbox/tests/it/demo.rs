//! The demo against a model gateway: the least that does what Millrace promises, or, when told so,
//! something that it must never do.

use std::process::Output;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use ring::signature::{ED25519, UnparsedPublicKey};
use sandbox::keys;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::support::World;

const WAIT: Duration = Duration::from_millis(1500);

/// What the model gateway gets wrong on purpose.
#[derive(Clone, Copy, PartialEq)]
enum Flaw {
    None,
    RepliesTwice,
    SubmitsTwice,
    MixesUpMessages,
}

struct Model {
    world: World,
    flaw: Flaw,
    events: Mutex<Vec<String>>,
    messages: Mutex<Vec<(String, String)>>,
    document: Mutex<Option<String>>,
}

type Shared = State<Arc<Model>>;

impl Model {
    async fn start(flaw: Flaw) -> (Arc<Self>, String) {
        let world = World::start().await;
        let model = Arc::new(Self {
            world,
            flaw,
            events: Mutex::default(),
            messages: Mutex::default(),
            document: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        model.world.sandbox.set_gateway(&url);
        let router = Router::new()
            .route("/webhook/hubspot", post(hubspot))
            .route("/webhook/openai", post(openai))
            .route("/webhook/highlevel", post(highlevel))
            .route("/job-status/{id}", get(job_status))
            .with_state(model.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (model, url)
    }

    fn is_new(&self, id: String) -> bool {
        let mut events = self.events.lock().unwrap();
        let new = !events.contains(&id);
        events.push(id);
        new
    }

    async fn openai(&self, body: &Value) {
        let url = format!("{}/responses", self.world.sandbox.openai_base_url());
        self.world
            .call(Method::POST, &url, keys::OPENAI_API_KEY, Some(body))
            .await;
    }
}

/// A real verification is not needed here: the demo's forgery names portal 1.
async fn hubspot(State(model): Shared, body: Bytes) -> StatusCode {
    let event: Value = serde_json::from_slice(&body).unwrap();
    if event[0]["portalId"] == 1 {
        return StatusCode::UNAUTHORIZED;
    }
    if model.is_new(event[0]["eventId"].to_string()) {
        let times = if model.flaw == Flaw::SubmitsTwice {
            2
        } else {
            1
        };
        for _ in 0..times {
            model.openai(&crate::openai::research("job-1")).await;
        }
    }
    StatusCode::ACCEPTED
}

async fn openai(State(model): Shared) -> StatusCode {
    *model.document.lock().unwrap() = Some("https://documents.example/1".to_owned());
    StatusCode::OK
}

async fn job_status(State(model): Shared, Path(id): Path<String>) -> Json<Value> {
    let document = model.document.lock().unwrap().clone();
    let status = if document.is_some() {
        "notified"
    } else {
        "submitted"
    };
    Json(json!({"job_id": id, "status": status, "document_url": document}))
}

async fn highlevel(State(model): Shared, headers: HeaderMap, body: Bytes) -> StatusCode {
    let spki = STANDARD
        .decode(keys::highlevel_webhook_public_key())
        .unwrap();
    let signature = STANDARD
        .decode(headers["x-ghl-signature"].as_bytes())
        .unwrap();
    if UnparsedPublicKey::new(&ED25519, &spki[12..])
        .verify(&body, &signature)
        .is_err()
    {
        return StatusCode::UNAUTHORIZED;
    }
    let event: Value = serde_json::from_slice(&body).unwrap();
    let text = |name: &str| event[name].as_str().unwrap().to_owned();
    if event["type"] == "InboundMessage" && model.is_new(text("webhookId")) {
        let mut messages = model.messages.lock().unwrap();
        messages.push((text("contactId"), text("body")));
        if messages.len() == 1 {
            tokio::spawn(reply_later(model.clone()));
        }
    }
    StatusCode::OK
}

async fn reply_later(model: Arc<Model>) {
    tokio::time::sleep(WAIT).await;
    let mut messages = model.messages.lock().unwrap().clone();
    if model.flaw == Flaw::MixesUpMessages {
        messages.reverse();
    }
    let input: Vec<Value> = messages
        .iter()
        .map(|(_, text)| json!({"role": "user", "content": text}))
        .collect();
    model
        .openai(&json!({"model": "gpt-5.4-mini", "store": false, "input": input}))
        .await;
    let url = format!(
        "{}/conversations/messages",
        model.world.sandbox.highlevel_base_url()
    );
    let reply = json!({"type": "SMS", "contactId": messages[0].0, "message": "Tuesday works."});
    let times = if model.flaw == Flaw::RepliesTwice {
        2
    } else {
        1
    };
    for _ in 0..times {
        model
            .world
            .call(Method::POST, &url, keys::HIGHLEVEL_API_KEY, Some(&reply))
            .await;
    }
}

async fn demo(gateway: &str, world: &World) -> Output {
    Command::new(env!("CARGO_BIN_EXE_millrace-sandbox"))
        .args([
            "demo",
            "--api-key",
            "key",
            "--wait-seconds",
            "1",
            "--timeout",
            "20",
        ])
        .args(["--gateway", gateway, "--sandbox", world.sandbox.base_url()])
        .output()
        .await
        .unwrap()
}

fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn it_succeeds_with_a_document_and_one_reply() {
    let (model, url) = Model::start(Flaw::None).await;
    let output = demo(&url, &model.world).await;
    let told = told(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    for part in [
        "https://documents.example/1",
        "Tuesday works.",
        "forged HubSpot webhook: 401",
        "forged HighLevel webhook: 401",
        "job job-1",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
}

#[tokio::test]
async fn it_fails_at_a_gateway_that_does_something_twice_or_out_of_order() {
    let cases = [
        (Flaw::RepliesTwice, "FAILED at: messages_sent"),
        (Flaw::SubmitsTwice, "FAILED at: research_submissions"),
        (Flaw::MixesUpMessages, "FAILED at: the reply model's input"),
    ];
    for (flaw, step) in cases {
        let (model, url) = Model::start(flaw).await;
        let output = demo(&url, &model.world).await;
        let told = told(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(step), "{step} in {told}");
    }
}

#[tokio::test]
async fn it_fails_at_a_gateway_that_takes_forged_webhooks() {
    let world = World::start().await;
    let output = demo(&world.gateway.url, &world).await;
    assert_eq!(output.status.code(), Some(1));
    let told = told(&output);
    assert!(
        told.contains("FAILED at: a forged HubSpot webhook"),
        "{told}"
    );
    assert!(
        told.contains("expected: status 401\n  saw:      status 202"),
        "{told}"
    );
}

#[tokio::test]
async fn it_says_when_no_gateway_answers() {
    let nowhere = "http://127.0.0.1:1";
    let world = World::with(|config| config.gateway = nowhere.to_owned()).await;
    let output = demo(nowhere, &world).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output).contains("FAILED at: the HubSpot webhook"));
}
