//! Scripted faults, the log and the referee.

use reqwest::Method;
use sandbox::{EffectKind, Provider, keys};
use serde_json::{Value, json};

use crate::openai::research;
use crate::support::World;

async fn submit(world: &World) -> Result<reqwest::Response, reqwest::Error> {
    let url = format!("{}/responses", world.sandbox.openai_base_url());
    let request = world.http.post(url).bearer_auth(keys::OPENAI_API_KEY);
    request.json(&research("job-1")).send().await
}

fn submissions(world: &World) -> usize {
    world
        .sandbox
        .effect_count(EffectKind::ResearchSubmissions, "job-1")
}

async fn script(world: &World, kind: &str, more: Value) {
    let mut fault = json!({"provider": "openai", "route": "POST /v1/responses", "kind": kind});
    fault
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    world.control("/sandbox/faults", &fault).await;
}

#[tokio::test]
async fn a_status_is_answered_as_often_as_asked_and_nothing_is_done() {
    let world = World::start().await;
    script(
        &world,
        "status",
        json!({"status": 429, "retry_after": "7", "times": 2}),
    )
    .await;
    for _ in 0..2 {
        let refused = submit(&world).await.unwrap();
        assert_eq!(refused.status(), 429);
        assert_eq!(refused.headers()["retry-after"], "7");
        let body: Value = refused.json().await.unwrap();
        assert_eq!(body["error"]["code"], "rate_limit_exceeded");
    }
    assert_eq!(submissions(&world), 0);
    assert_eq!(submit(&world).await.unwrap().status(), 200);
    assert_eq!(world.show("/sandbox/faults").await, json!([]));
}

#[tokio::test]
async fn a_dropped_connection_gives_no_answer_before_or_after_the_work() {
    let world = World::start().await;
    script(&world, "drop_before", json!({})).await;
    assert!(submit(&world).await.is_err());
    assert_eq!(submissions(&world), 0);
    script(&world, "drop_after", json!({})).await;
    assert!(submit(&world).await.is_err());
    assert_eq!(submissions(&world), 1);
    assert_eq!(
        submit(&world).await.unwrap().status(),
        200,
        "the server lives on"
    );
    let received = world.sandbox.received(Some(Provider::OpenAi));
    let statuses: Vec<Option<u16>> = received.iter().map(|entry| entry.status).collect();
    assert_eq!(statuses, [None, None, Some(200)]);
}

#[tokio::test]
async fn work_can_be_done_behind_an_error_or_garbage() {
    let world = World::start().await;
    script(&world, "status_after", json!({"status": 503})).await;
    assert_eq!(submit(&world).await.unwrap().status(), 503);
    assert_eq!(submissions(&world), 1);
    script(&world, "garbage", json!({})).await;
    let answer = submit(&world).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/html");
    assert!(answer.json::<Value>().await.is_err());
    assert_eq!(submissions(&world), 2);
}

#[tokio::test]
async fn a_delay_holds_the_answer_back() {
    let world = World::start().await;
    script(&world, "delay", json!({"delay_ms": 60})).await;
    let start = std::time::Instant::now();
    assert_eq!(submit(&world).await.unwrap().status(), 200);
    assert!(start.elapsed().as_millis() >= 60);
}

#[tokio::test]
async fn a_fault_strikes_only_its_own_route_and_provider() {
    let world = World::start().await;
    script(&world, "status", json!({})).await;
    let url = format!("{}/models/gpt-5.5", world.sandbox.openai_base_url());
    assert_eq!(
        world
            .call(Method::GET, &url, keys::OPENAI_API_KEY, None)
            .await
            .0,
        200
    );
    let url = format!(
        "{}/crm/v3/objects/deals/9001",
        world.sandbox.hubspot_base_url()
    );
    assert_eq!(
        world
            .call(Method::GET, &url, keys::HUBSPOT_ACCESS_TOKEN, None)
            .await
            .0,
        200
    );
    assert_eq!(submit(&world).await.unwrap().status(), 500);
}

#[tokio::test]
async fn everything_received_is_listed_in_order_and_without_secrets() {
    let world = World::start().await;
    submit(&world).await.unwrap();
    let notification = json!({"job_id": "job-1", "text": "done"});
    world
        .http
        .post(world.sandbox.notify_url())
        .json(&notification)
        .send()
        .await
        .unwrap();
    let received = world.show("/sandbox/received").await;
    assert_eq!(received[0]["path"], "/v1/responses");
    assert_eq!(received[0]["body"]["metadata"]["job_id"], "job-1");
    assert_eq!(
        (&received[1]["provider"], &received[1]["status"]),
        (&json!("notify"), &json!(200))
    );
    assert!(received[0]["number"].as_u64() < received[1]["number"].as_u64());
    assert!(!received.to_string().contains(keys::OPENAI_API_KEY));
    let only = world.show("/sandbox/received?provider=notify").await;
    assert_eq!(only.as_array().unwrap().len(), 1);
    let effects = world.show("/sandbox/effects").await;
    assert_eq!(effects["notifications"], json!({"job-1": 1}));
    assert_eq!(effects["research_submissions"], json!({"job-1": 1}));
    let page = world
        .http
        .get(format!("{}/sandbox", world.sandbox.base_url()))
        .send()
        .await
        .unwrap();
    assert!(page.text().await.unwrap().contains("research_submissions"));
}

#[tokio::test]
async fn a_reset_forgets_everything() {
    let world = World::start().await;
    script(&world, "status", json!({"times": 9})).await;
    submit(&world).await.unwrap();
    world.control("/sandbox/reset", &json!({})).await;
    assert_eq!(world.show("/sandbox/received").await, json!([]));
    assert_eq!(submit(&world).await.unwrap().status(), 200);
}
