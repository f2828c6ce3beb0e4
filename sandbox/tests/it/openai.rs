//! contracts/openai.md and contracts/standard-webhooks.md.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use ring::hmac;
use sandbox::{EffectKind, keys};
use serde_json::{Value, json};

use crate::support::{Delivered, World};

const KEY: &str = keys::OPENAI_API_KEY;

pub(crate) fn research(job: &str) -> Value {
    json!({"model": "gpt-5.5", "background": true, "store": true, "metadata": {"job_id": job},
           "input": "Company: Bolt Works\nDomain: bolt.example",
           "tools": [{"type": "web_search"}], "reasoning": {"effort": "high"}})
}

async fn post(world: &World, body: &Value) -> (u16, Value) {
    let url = format!("{}/responses", world.sandbox.openai_base_url());
    world.call(Method::POST, &url, KEY, Some(body)).await
}

async fn get(world: &World, path: &str) -> (u16, Value) {
    let url = format!("{}/{path}", world.sandbox.openai_base_url());
    world.call(Method::GET, &url, KEY, None).await
}

fn assert_signed(webhook: &Delivered) {
    let secret = keys::OPENAI_WEBHOOK_SECRET.strip_prefix("whsec_").unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(secret).unwrap());
    let mut signed = webhook.header("webhook-id").as_bytes().to_vec();
    signed.push(b'.');
    signed.extend_from_slice(webhook.header("webhook-timestamp").as_bytes());
    signed.push(b'.');
    signed.extend_from_slice(&webhook.body);
    let signature = webhook
        .header("webhook-signature")
        .strip_prefix("v1,")
        .unwrap();
    hmac::verify(&key, &signed, &STANDARD.decode(signature).unwrap()).unwrap();
}

#[tokio::test]
async fn research_is_queued_then_completed_and_a_signed_webhook_tells_of_it() {
    let world = World::start().await;
    let (status, queued) = post(&world, &research("job-1")).await;
    assert_eq!((status, &queued["status"]), (200, &json!("queued")));
    assert_eq!(queued["metadata"], json!({"job_id": "job-1"}));
    assert_eq!(queued["usage"], Value::Null);

    let webhook = world.gateway.delivered(1).await.remove(0);
    assert_eq!(webhook.path, "/webhook/openai");
    assert_signed(&webhook);
    let event = webhook.json();
    assert_eq!(event["type"], "response.completed");
    assert_eq!(event["data"], json!({"id": queued["id"]}));

    let id = queued["id"].as_str().unwrap();
    let (_, done) = get(&world, &format!("responses/{id}")).await;
    assert_eq!(done["status"], "completed");
    let kinds: Vec<&Value> = done["output"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| &i["type"])
        .collect();
    assert_eq!(kinds, ["reasoning", "web_search_call", "message"]);
    let text = done["output"][2]["content"][0]["text"].as_str().unwrap();
    let (_, fenced) = text.split_once("```json\n").unwrap();
    let sections: Value = serde_json::from_str(fenced.split_once("\n```").unwrap().0).unwrap();
    assert_eq!(sections.as_object().unwrap().len(), 12);
    assert_eq!(sections["DOC_TITLE"], "Bolt Works: go-to-market strategy");
    assert!(
        sections["SUMMARY_TABLE"]
            .as_str()
            .unwrap()
            .starts_with("| Topic |")
    );
    assert!(
        !done["output"][2]["content"][0]["annotations"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    assert_eq!(done["usage"]["total_tokens"], 51_234 + 18_321);
    assert_eq!(
        world
            .sandbox
            .effect_count(EffectKind::ResearchSubmissions, "job-1"),
        1
    );
}

#[tokio::test]
async fn a_webhook_is_sent_again_until_it_is_accepted_with_one_id() {
    let world = World::start().await;
    world.gateway.answer_with(&[503, 500, 302]);
    post(&world, &research("job-1")).await;
    let deliveries = world.gateway.delivered(4).await;
    for webhook in &deliveries {
        assert_signed(webhook);
        assert_eq!(
            webhook.header("webhook-id"),
            deliveries[0].header("webhook-id")
        );
        assert_eq!(webhook.body, deliveries[0].body);
    }
}

#[tokio::test]
async fn creation_is_not_idempotent() {
    let world = World::start().await;
    let (_, first) = post(&world, &research("job-1")).await;
    let (_, second) = post(&world, &research("job-1")).await;
    assert_ne!(first["id"], second["id"]);
    assert_eq!(
        world
            .sandbox
            .effect_count(EffectKind::ResearchSubmissions, "job-1"),
        2
    );
}

#[tokio::test]
async fn a_scripted_ending_is_kept() {
    let world = World::start().await;
    for (status, code) in [
        ("failed", "server_error"),
        ("incomplete", "max_output_tokens"),
    ] {
        world
            .control(
                "/sandbox/openai/next",
                &json!({"status": status, "code": code}),
            )
            .await;
    }
    let mut ended = Vec::new();
    for count in 1..=2 {
        let (_, response) = post(&world, &research("job-1")).await;
        let webhook = world.gateway.delivered(count).await.remove(count - 1);
        assert_eq!(webhook.json()["data"]["id"], response["id"]);
        let id = response["id"].as_str().unwrap().to_owned();
        ended.push(get(&world, &format!("responses/{id}")).await.1);
    }
    assert_eq!(ended[0]["error"]["code"], "server_error");
    assert_eq!(ended[0]["output"], json!([]));
    assert_eq!(
        ended[1]["incomplete_details"]["reason"],
        "max_output_tokens"
    );
    assert_eq!(ended[1]["output"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn an_ending_waits_for_its_company_and_a_deleted_response_is_gone() {
    let world = World::start().await;
    for company in ["Acme Mills", "Bolt Works"] {
        let ending = json!({"status": "completed", "deleted": true, "company": company});
        world.control("/sandbox/openai/next", &ending).await;
    }
    let (_, gone) = post(&world, &research("job-1")).await;
    let (_, kept) = post(&world, &research("job-2")).await;
    world.gateway.delivered(2).await;
    for (response, status) in [(gone, 404), (kept, 200)] {
        let path = format!("responses/{}", response["id"].as_str().unwrap());
        assert_eq!(get(&world, &path).await.0, status);
    }
}

#[tokio::test]
async fn a_cancelled_response_stays_cancelled() {
    let world =
        World::with(|config| config.research_time = std::time::Duration::from_secs(60)).await;
    let (_, queued) = post(&world, &research("job-1")).await;
    let id = queued["id"].as_str().unwrap();
    let url = format!("{}/responses/{id}/cancel", world.sandbox.openai_base_url());
    let (_, cancelled) = world.call(Method::POST, &url, KEY, None).await;
    assert_eq!(cancelled["status"], "cancelled");
    let webhook = world.gateway.delivered(1).await.remove(0);
    assert_eq!(webhook.json()["type"], "response.cancelled");
    assert_eq!(
        world.call(Method::POST, &url, KEY, None).await,
        (200, cancelled)
    );
}

#[tokio::test]
async fn a_reply_satisfies_its_schema_and_shows_what_arrived() {
    let world = World::start().await;
    let request = json!({
        "model": "gpt-5.4-mini", "store": false, "metadata": {"batch_id": "b-1"},
        "input": [
            {"role": "user", "content": "before"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "answer"}]},
            {"role": "user", "content": [{"type": "input_text", "text": "hello\nTuesday at ten?"}]},
        ],
        "text": {"format": {"type": "json_schema", "name": "reply", "strict": true, "schema": {
            "type": "object", "additionalProperties": false, "required": ["send", "text"],
            "properties": {"send": {"type": "boolean"}, "text": {"type": "string"}}}}},
    });
    let (status, response) = post(&world, &request).await;
    assert_eq!((status, &response["status"]), (200, &json!("completed")));
    let text = response["output"][1]["content"][0]["text"]
        .as_str()
        .unwrap();
    let reply: Value = serde_json::from_str(text).unwrap();
    assert_eq!(reply["send"], true);
    let text = reply["text"].as_str().unwrap();
    assert!(
        text.contains("2 messages") && text.contains("\"Tuesday at ten?\""),
        "{text}"
    );
    assert_eq!(
        world
            .sandbox
            .effect_count(EffectKind::RepliesGenerated, "b-1"),
        1
    );
    let id = response["id"].as_str().unwrap();
    assert_eq!(
        get(&world, &format!("responses/{id}")).await.0,
        404,
        "it was not to be stored"
    );
}

#[tokio::test]
async fn wrong_requests_are_refused_in_openais_shape() {
    let world = World::start().await;
    let with = |field: &str, value: Value| {
        let mut request = research("job-1");
        request[field] = value;
        request
    };
    let cases = [
        (
            with("model", json!("o3-deep-research")),
            404,
            "model_not_found",
        ),
        (
            with("model", json!("o4-mini-deep-research")),
            404,
            "model_not_found",
        ),
        (with("model", json!("gpt-9")), 404, "model_not_found"),
        (
            with("model", Value::Null),
            400,
            "missing_required_parameter",
        ),
        (with("store", json!(false)), 400, "invalid_value"),
        (with("store", Value::Null), 400, "invalid_value"),
        (with("metadata", json!({"job_id": 1})), 400, "invalid_type"),
        (
            with("metadata", json!({"job_id": "x".repeat(513)})),
            400,
            "string_above_max_length",
        ),
        (
            with("tools", json!([{"type": "browse"}])),
            400,
            "invalid_value",
        ),
        (with("job_id", json!("x")), 400, "unknown_parameter"),
    ];
    for (request, status, code) in cases {
        let (answered, body) = post(&world, &request).await;
        assert_eq!(
            (answered, body["error"]["code"].as_str()),
            (status, Some(code)),
            "{body}"
        );
        let keys: Vec<&str> = body["error"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(keys, ["code", "message", "param", "type"]);
    }
    assert_eq!(world.sandbox.effects().len(), 0);
}

#[tokio::test]
async fn an_unknown_key_or_response_is_refused() {
    let world = World::start().await;
    let url = format!("{}/responses/resp_unknown", world.sandbox.openai_base_url());
    assert_eq!(world.call(Method::GET, &url, KEY, None).await.0, 404);
    let (status, body) = world.call(Method::GET, &url, "sk-wrong", None).await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (401, &json!("invalid_api_key"))
    );
}

#[tokio::test]
async fn a_deleted_response_is_gone() {
    let world = World::start().await;
    let (_, response) = post(&world, &research("job-1")).await;
    world.gateway.delivered(1).await;
    let path = format!("responses/{}", response["id"].as_str().unwrap());
    let url = format!("{}/{path}", world.sandbox.openai_base_url());
    assert_eq!(
        world.call(Method::DELETE, &url, KEY, None).await.1["deleted"],
        true
    );
    assert_eq!(get(&world, &path).await.0, 404);
}

#[tokio::test]
async fn a_model_tells_when_it_ends() {
    let world = World::start().await;
    assert_eq!(
        get(&world, "models/gpt-5.5").await.1["shutdown_date"],
        Value::Null
    );
    assert_eq!(
        get(&world, "models/gpt-5-mini").await.1["shutdown_date"],
        "2026-12-11"
    );
    assert_eq!(get(&world, "models/gpt-9").await.0, 404);
}
