//! What operators see and change while batches are open.

use std::time::Duration;

use chrono::{DateTime, Utc};
use end_to_end::{World, on_both_databases};
use entities::batch::{ClosedBy, State};
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases!(
    a_lower_wait_holds_for_batches_that_are_open,
    a_higher_wait_holds_from_the_next_message,
    a_wait_that_was_changed_again_since_arms_no_timers,
    a_wait_outside_its_range_is_refused_and_changes_nothing,
    a_forced_batch_closes_at_once,
    the_queue_shows_each_open_batch,
    the_status_of_a_contact_shows_the_latest_batch,
    operators_need_a_key,
);

async fn a_lower_wait_holds_for_batches_that_are_open(world: World) {
    world.start().await;
    set_wait(&world, 300).await;
    for contact in ["ada", "grace"] {
        world.contact_writes(contact, "Hello!").await;
        world.until_open(contact, 1).await;
    }
    let lowered = Utc::now();
    set_wait(&world, 5).await;
    for contact in ["ada", "grace"] {
        let batch = world.until_batch(contact, State::Replied).await;
        assert_eq!(batch.closed_by, Some(ClosedBy::Quiet));
        let waited = (batch.closed_at.unwrap() - lowered).to_std().unwrap();
        assert!(waited <= Duration::from_secs(6), "{waited:?}");
        assert_eq!(world.sent_to(contact).len(), 1);
    }
}

async fn a_higher_wait_holds_from_the_next_message(world: World) {
    world.start().await;
    set_wait(&world, 300).await;
    world.contact_writes("ada", "Hello!").await;
    world.until_open("ada", 1).await;
    // Another contact's batch, five seconds later, shows that the first one's is still open.
    set_wait(&world, 5).await;
    world.contact_writes("grace", "Hello!").await;
    world.until_open("grace", 1).await;
    set_wait(&world, 300).await;
    world.contact_writes("ada", "Anybody there?").await;
    world.until_open("ada", 2).await;
    world.until_batch("grace", State::Replied).await;
    world.until_open("ada", 2).await;
    assert_eq!(world.sent_to("ada").len(), 0);
}

async fn a_wait_that_was_changed_again_since_arms_no_timers(world: World) {
    world.start().await;
    set_wait(&world, 300).await;
    world.contact_writes("ada", "Hello!").await;
    world.until_open("ada", 1).await;
    // An earlier change comes late: from a deep queue, or replayed.
    let late = json!({
        "specversion": "1.0", "id": "late", "source": "/batch-config", "time": "2026-11-22T12:00:00Z",
        "type": "chat.wait_changed", "data": {"wait_seconds": 5},
    });
    let late = json!({"properties": {}, "payload": late.to_string(), "payload_encoding": "string"});
    world.broker.put("chat.flush", &late);
    world.until_chat_is_handled().await;
    assert_eq!(world.broker.waiting("delay.5s"), [] as [Value; 0]);
    world.until_open("ada", 1).await;
}

async fn a_wait_outside_its_range_is_refused_and_changes_nothing(world: World) {
    world.start().await;
    set_wait(&world, 42).await;
    for (refused, status) in [
        (json!(4), 400),
        (json!(301), 400),
        (json!(0), 400),
        (json!(-5), 400),
        (json!("30"), 422),
        (json!(7.5), 422),
    ] {
        let body = json!({"batch_wait_time": refused});
        let answer = world.post("/batch-config", &body).await;
        assert_eq!(answer.status, status, "{refused}: {}", answer.body);
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.contains("from 5 to 300"), "{detail}");
        let wait = world.get("/batch-config").await.body;
        assert_eq!(wait["batch_wait_time"], 42);
    }
    assert_eq!(world.post("/batch-config", &json!({})).await.status, 422);
}

async fn a_forced_batch_closes_at_once(world: World) {
    world.start().await;
    set_wait(&world, 300).await;
    world.contact_writes("ada", "Hello!").await;
    let opened = world.until_open("ada", 1).await;
    let answer = world.post("/force-process-batch/ada", &json!({})).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["status"], "success");
    assert_eq!(answer.body["contact_id"], "ada");
    let batch = world.until_batch("ada", State::Replied).await;
    assert_eq!(
        (batch.id, batch.closed_by),
        (opened.id, Some(ClosedBy::Operator))
    );
    assert_eq!(world.sent_to("ada").len(), 1);

    let nothing_open = world.post("/force-process-batch/ada", &json!({})).await;
    assert_eq!(nothing_open.status, 404);
}

async fn the_queue_shows_each_open_batch(world: World) {
    world.start().await;
    set_wait(&world, 300).await;
    let empty = world.get("/queue-status").await.body;
    assert_eq!(empty["active_batches"], 0);
    assert_eq!(empty["batch_details"], json!({}));
    world.contact_writes("ada", "Hello!").await;
    world.contact_writes("ada", "Do you fix bikes?").await;
    world.contact_writes("grace", "Good morning").await;
    world.until_open("ada", 2).await;
    world.until_open("grace", 1).await;

    let queue = world.get("/queue-status").await;
    assert_eq!(queue.status, 200);
    let queue = queue.body;
    assert_eq!(queue["status"], "success");
    assert_eq!(queue["active_batches"], 2);
    assert_eq!(queue["batch_wait_time"], 300);
    time(&queue["timestamp"]);
    assert_eq!(queue["batch_details"].as_object().unwrap().len(), 2);
    let ada = &queue["batch_details"]["ada"];
    assert_eq!(ada["state"], "open");
    assert_eq!(ada["message_count"], 2);
    assert_eq!(ada["messages"], json!(["Hello!", "Do you fix bikes?"]));
    assert_eq!(ada["timer_active"], true);
    assert!(time(&ada["start_time"]) <= time(&ada["last_message_time"]));
    let elapsed = ada["time_elapsed"].as_f64().unwrap();
    let remaining = ada["time_remaining"].as_f64().unwrap();
    assert!((0.0..60.0).contains(&elapsed), "{elapsed}");
    assert!((240.0..=300.0).contains(&remaining), "{remaining}");
    assert_eq!(queue["batch_details"]["grace"]["message_count"], 1);
}

async fn the_status_of_a_contact_shows_the_latest_batch(world: World) {
    world.start().await;
    let unknown = world.get("/batch-status/ada").await;
    assert_eq!(unknown.status, 200);
    assert_eq!(unknown.body["has_active_batch"], false);
    assert_eq!(unknown.body["batch"], Value::Null);

    world.contact_writes("ada", "Hello!").await;
    let batch = world.until_open("ada", 1).await;
    let open = world.get("/batch-status/ada").await.body;
    assert_eq!(open["status"], "success");
    assert_eq!(open["contact_id"], "ada");
    assert_eq!(open["has_active_batch"], true);
    assert_eq!(open["batch_wait_time"], 5);
    assert_eq!(open["batch"]["batch_id"], batch.id.to_string());
    assert_eq!(open["batch"]["messages"], json!(["Hello!"]));
    assert_eq!(open["batch"]["timer_active"], true);

    world.until_batch("ada", State::Replied).await;
    let ended = world.get("/batch-status/ada").await.body;
    assert_eq!(ended["has_active_batch"], false);
    assert_eq!(ended["batch"]["state"], "replied");
    assert_eq!(ended["batch"]["time_remaining"], 0.0);
    assert_eq!(ended["batch"]["timer_active"], false);
}

async fn operators_need_a_key(world: World) {
    world.start_gateway().await;
    for path in ["/queue-status", "/batch-config", "/batch-status/ada"] {
        let unproven = world.ask(world.request(Method::GET, path)).await;
        assert_eq!(unproven.status, 401, "{path}");
    }
    let change = world.request(Method::POST, "/batch-config");
    let change = change.json(&json!({"batch_wait_time": 60}));
    assert_eq!(world.ask(change).await.status, 401);
    let wait = world.get("/batch-config").await.body;
    assert_eq!(wait["batch_wait_time"], 5);
}

async fn set_wait(world: &World, seconds: u32) {
    let body = json!({"batch_wait_time": seconds});
    let answer = world.post("/batch-config", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body["batch_wait_time"], seconds);
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}
