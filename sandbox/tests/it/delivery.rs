//! How webhooks are delivered: once, twice, late, never, before the answer, in the wrong order.

use sandbox::{Deliver, DeliveryMode, Provider, keys};
use serde_json::{Value, json};

use crate::openai::research;
use crate::support::World;

async fn set(world: &World, provider: &str, deliver: &str, delay_ms: u64) {
    let mode = json!({"provider": provider, "deliver": deliver, "delay_ms": delay_ms});
    world.control("/sandbox/delivery", &mode).await;
}

async fn submit(world: &World, job: &str) -> Value {
    let url = format!("{}/responses", world.sandbox.openai_base_url());
    world
        .call(
            reqwest::Method::POST,
            &url,
            keys::OPENAI_API_KEY,
            Some(&research(job)),
        )
        .await
        .1
}

async fn write(world: &World, text: &str) {
    world
        .control(
            "/sandbox/highlevel/contacts/c1/messages",
            &json!({"text": text}),
        )
        .await;
}

#[tokio::test]
async fn two_copies_have_one_id() {
    let world = World::start().await;
    set(&world, "openai", "twice", 0).await;
    submit(&world, "job-1").await;
    let copies = world.gateway.delivered(2).await;
    assert_eq!(
        copies[0].header("webhook-id"),
        copies[1].header("webhook-id")
    );
}

#[tokio::test]
async fn a_late_webhook_comes_after_its_delay() {
    let world = World::start().await;
    set(&world, "highlevel", "late", 80).await;
    let start = std::time::Instant::now();
    write(&world, "hello").await;
    world.gateway.delivered(1).await;
    assert!(start.elapsed().as_millis() >= 80);
}

#[tokio::test]
async fn a_webhook_that_never_comes_leaves_the_response_to_be_fetched() {
    let world = World::start().await;
    set(&world, "openai", "never", 0).await;
    let lost = submit(&world, "job-1").await;
    let url = format!(
        "{}/responses/{}",
        world.sandbox.openai_base_url(),
        lost["id"].as_str().unwrap()
    );
    let completed = async {
        let get = || world.call(reqwest::Method::GET, &url, keys::OPENAI_API_KEY, None);
        while get().await.1["status"] != "completed" {}
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), completed)
        .await
        .unwrap();
    assert_eq!(world.sandbox.deliveries().len(), 0);
    assert_eq!(world.gateway.count(), 0);
}

#[tokio::test]
async fn a_webhook_can_come_before_the_answer() {
    let world = World::start().await;
    world.sandbox.set_delivery(
        Provider::OpenAi,
        DeliveryMode {
            deliver: Deliver::BeforeAnswer,
            ..DeliveryMode::default()
        },
    );
    let response = submit(&world, "job-1").await;
    assert_eq!(
        world.gateway.count(),
        1,
        "it was there when the answer came"
    );
    let event = world.gateway.delivered(1).await.remove(0).json();
    assert_eq!(event["data"]["id"], response["id"]);
    assert_eq!(response["status"], "queued");
}

#[tokio::test]
async fn reordered_webhooks_change_places() {
    let world = World::start().await;
    set(&world, "highlevel", "reordered", 5000).await;
    write(&world, "first").await;
    write(&world, "second").await;
    let bodies: Vec<Value> = world
        .gateway
        .delivered(2)
        .await
        .iter()
        .map(|d| d.json()["body"].clone())
        .collect();
    assert_eq!(bodies, ["second", "first"]);
}

#[tokio::test]
async fn a_held_back_webhook_comes_alone_when_no_other_follows() {
    let world = World::start().await;
    set(&world, "highlevel", "reordered", 30).await;
    write(&world, "only").await;
    world.gateway.delivered(1).await;
}

#[tokio::test]
async fn one_message_can_be_delivered_its_own_way() {
    let world = World::start().await;
    let message = json!({"text": "hello", "deliver": "twice"});
    let written = world
        .control("/sandbox/highlevel/contacts/c1/messages", &message)
        .await;
    assert_eq!(written["deliveries"].as_array().unwrap().len(), 2);
    let copies = world.gateway.delivered(2).await;
    assert_eq!(copies[0].body, copies[1].body);
}

#[tokio::test]
async fn webhooks_follow_the_gateway() {
    let world = World::start().await;
    let other = crate::support::Gateway::start().await;
    world.sandbox.set_gateway(&other.url);
    write(&world, "hello").await;
    assert_eq!(other.delivered(1).await.len(), 1);
    assert_eq!(world.gateway.count(), 0);
}
