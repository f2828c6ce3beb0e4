//! What the programs write at the default level, and the traces they send: enough to follow the
//! work, and no secret, no message and nothing about a person but ids.

use end_to_end::{API_KEY, Process, World, on_sqlite};
use entities::batch;
use entities::job::State;
use reqwest::Method;
use sandbox::environment::TRIGGER_STAGE;
use sandbox::{Provider, keys};
use serde_json::json;

use crate::collector::Collector;
use crate::faults::{CREATE_RESPONSE, FETCH_RESPONSE, SEND_MESSAGE, refused, refused_saying};

on_sqlite!(
    neither_logs_nor_traces_hold_secrets_messages_or_personal_data,
    a_line_of_env_that_can_not_be_read_is_told_without_its_secret,
);

/// Everything about a contact that a log must not hold. Her id is `grace`.
const PERSON: [&str; 4] = [
    "Gracia",
    "Hopperova",
    "gracia.hopperova@mail.example",
    "+1 555 010 9999",
];

/// Words of messages, replies and research; each stands in a text somewhere below.
const WORDS: [&str; 7] = [
    "garden",
    "pumpkin",
    "shed",
    "turnip",
    "Thank you for your",
    "sells to makers in Europe",
    "guessed-secret",
];

async fn neither_logs_nor_traces_hold_secrets_messages_or_personal_data(mut world: World) {
    let collector = Collector::start().await;
    world.set("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url);
    world.set("OTEL_BSP_SCHEDULE_DELAY", "200");
    // News goes to an address that holds a password and a token.
    let notify = world.setting("NOTIFY_WEBHOOK_URL");
    let notify = notify.replace("http://", "http://hook:hook-password@");
    world.set("NOTIFY_WEBHOOK_URL", format!("{notify}?token=hook-token"));
    let mut gateway = world.spawn_gateway().await;
    let mut worker = world.spawn_worker("all").await;

    research_with_failures(&world).await;
    chat_with_failures(&world).await;
    refused_requests(&world).await;
    unreadable_messages(&world).await;
    a_key_that_is_refused(&world, &mut worker).await;

    // What waits to be sent is sent at the end.
    for process in [&gateway, &worker] {
        process.terminate();
    }
    gateway.ended().await;
    worker.ended().await;
    let logs = format!("{}\n{}", gateway.output(), worker.output());
    let traces = collector.received();
    for told in [
        "highlevel_refused",
        "openai_unavailable",
        "unreadable",
        "Refused a request",
    ] {
        assert!(logs.contains(told), "{told:?} is not in the log: {logs}");
    }
    for told in [
        "process chat.reply",
        "generate the reply",
        "POST /webhook/t/{secret}",
    ] {
        assert!(traces.contains(told), "{told:?} is not in the traces");
    }
    let webhook_key = keys::OPENAI_WEBHOOK_SECRET.trim_start_matches("whsec_");
    let secrets = [
        API_KEY,
        keys::OPENAI_API_KEY,
        webhook_key,
        keys::HUBSPOT_ACCESS_TOKEN,
        keys::HUBSPOT_CLIENT_SECRET,
        keys::HIGHLEVEL_API_KEY,
        keys::WORKFLOW_WEBHOOK_SECRET,
        "hook-password",
        "hook-token",
        "amqp://",
        "postgres://",
    ];
    for hidden in secrets.into_iter().chain(PERSON).chain(WORDS) {
        assert!(!logs.contains(hidden), "{hidden:?} is in the log: {logs}");
        assert!(!traces.contains(hidden), "{hidden:?} is in the traces");
    }
}

/// Each call fails once, with an error that repeats what was sent.
async fn research_with_failures(world: &World) {
    let echo = format!(
        "No: Bearer {} and pumpkin@mail.example",
        keys::OPENAI_API_KEY
    );
    world
        .sandbox
        .add_fault(refused_saying(FETCH_RESPONSE, 500, &echo));
    let update = (Provider::HubSpot, "PATCH ");
    let echo = format!("No: {}", keys::HUBSPOT_ACCESS_TOKEN);
    world.sandbox.add_fault(refused_saying(update, 500, &echo));
    world
        .sandbox
        .add_fault(refused((Provider::Notify, ""), 500));
    world.deal_reaches("9001", TRIGGER_STAGE, 1).await;
    let job = world.until_submitted().await;
    world.until_job(&job, State::Notified).await;
}

async fn chat_with_failures(world: &World) {
    world.next_reply("Assistant: the pumpkin is hidden").await;
    world
        .next_reply("The shed is open at noon, see you there.")
        .await;
    let [first_name, last_name, email, phone] = PERSON;
    let text = "Meet me in the garden at the old gate.";
    let echo = format!("No: {text} ({})", keys::OPENAI_API_KEY);
    world
        .sandbox
        .add_fault(refused_saying(CREATE_RESPONSE, 500, &echo));
    let echo = format!(
        "Invalid number {phone} of {email}: The shed is open at noon, see you there. ({})",
        keys::HIGHLEVEL_API_KEY
    );
    world
        .sandbox
        .add_fault(refused_saying(SEND_MESSAGE, 400, &echo));
    world.contact_exists("grace").await;
    let message = json!({
        "contact_id": "grace", "first_name": first_name, "last_name": last_name,
        "full_name": format!("{first_name} {last_name}"), "email": email, "phone": phone,
        "message": {"body": text},
    });
    let path = format!("/webhook/t/{}", keys::WORKFLOW_WEBHOOK_SECRET);
    let accepted = world.request(Method::POST, &path).json(&message);
    assert_eq!(world.ask(accepted).await.status, 200);
    world.close_batch("grace", 1).await;
    world.until_batch("grace", batch::State::Failed).await;
    let news = "chat.reply_failed";
    world
        .until("news", |world| !world.news(news).is_empty())
        .await;
    let news = world.news(news).remove(0).to_string();
    for hidden in PERSON.into_iter().chain(WORDS) {
        assert!(!news.contains(hidden), "{hidden:?} is in the news: {news}");
    }
    // A reply that goes out.
    world
        .contact_writes("ada", "My garden has a flat tyre.")
        .await;
    world.close_batch("ada", 1).await;
    world.until_batch("ada", batch::State::Replied).await;
}

async fn refused_requests(world: &World) {
    let forged = json!({"type": "InboundMessage", "contactId": "eve", "body": "forged garden"});
    let forged = world.request(Method::POST, "/webhook").json(&forged);
    assert_eq!(
        world.ask(forged.bearer_auth("guessed-secret")).await.status,
        401
    );
    let path = format!("/webhook/t/{}", keys::WORKFLOW_WEBHOOK_SECRET);
    let unreadable = world.request(Method::POST, &path);
    let unreadable = unreadable.body(r#"{"contact_id": "ada", "message": "broken "garden""}"#);
    assert_eq!(world.ask(unreadable).await.status, 400);
}

/// Messages that a person, or an older build, has put into a queue.
async fn unreadable_messages(world: &World) {
    let wrong_data = json!({
        "specversion": "1.0", "id": "e1", "source": "/test", "time": "2026-11-22T12:00:00Z",
        "type": "highlevel.message.received", "data": "a turnip of a message",
    });
    for payload in [wrong_data.to_string(), "\"a turnip\"".to_owned()] {
        let message = json!({"properties": {}, "payload": payload, "payload_encoding": "string"});
        world.broker.put("chat.intake", &message);
    }
    world
        .until("parked messages", |world| {
            world.broker.waiting("chat.intake.dead").len() == 2
        })
        .await;
    for parked in world.broker.waiting("chat.intake.dead") {
        let headers = parked["properties"]["headers"].to_string();
        assert!(!headers.contains("turnip"), "{headers}");
    }
}

async fn a_key_that_is_refused(world: &World, worker: &mut Process) {
    let echo = format!("Incorrect API key provided: {}.", keys::OPENAI_API_KEY);
    world
        .sandbox
        .add_fault(refused_saying(CREATE_RESPONSE, 401, &echo));
    world.contact_writes("eve", "Is the garden open?").await;
    world.close_batch("eve", 1).await;
    worker.says("The key was refused").await;
}

async fn a_line_of_env_that_can_not_be_read_is_told_without_its_secret(world: World) {
    let line = "OPENAI_API_KEY='sk-secret-with a quote that never ends";
    std::fs::write(world.folder().join(".env"), line).unwrap();
    let refused = world.worker_command(&["run", "--roles", "reply"]).await;
    assert!(!refused.status.success());
    let told = String::from_utf8_lossy(&refused.stderr).into_owned()
        + &String::from_utf8_lossy(&refused.stdout);
    assert!(told.contains(".env: OPENAI_API_KEY"), "{told}");
    assert!(!told.contains("sk-secret"), "{told}");
}
