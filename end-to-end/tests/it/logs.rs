//! What the programs write at the default level: enough to follow the work, and no secret and no
//! message.

use end_to_end::{API_KEY, World, on_sqlite};
use entities::batch;
use entities::job::State;
use reqwest::Method;
use sandbox::environment::TRIGGER_STAGE;
use sandbox::keys;
use serde_json::json;

use crate::faults::{CREATE_RESPONSE, SEND_MESSAGE, refused};

on_sqlite!(logs_hold_neither_secrets_nor_messages);

async fn logs_hold_neither_secrets_nor_messages(world: World) {
    let gateway = world.spawn_gateway().await;
    let worker = world.spawn_worker("all").await;
    world.deal_reaches("9001", TRIGGER_STAGE, 1).await;
    let job = world.until_submitted().await;
    world.until_job(&job, State::Notified).await;

    // Both calls fail once before they succeed, so that errors are logged too.
    world.sandbox.add_fault(refused(CREATE_RESPONSE, 500));
    world.sandbox.add_fault(refused(SEND_MESSAGE, 400));
    world
        .contact_writes("ada", "My secret garden has a flat tyre.")
        .await;
    world.close_batch("ada", 1).await;
    world.until_batch("ada", batch::State::Failed).await;
    let secret = keys::WORKFLOW_WEBHOOK_SECRET;
    let forged = json!({"type": "InboundMessage", "contactId": "eve", "body": "forged garden"});
    let forged = world.request(Method::POST, "/webhook").json(&forged);
    assert_eq!(
        world.ask(forged.bearer_auth("guessed-secret")).await.status,
        401
    );
    let path = format!("/webhook/t/{secret}");
    let unreadable = world.request(Method::POST, &path);
    let unreadable = unreadable.body(r#"{"contact_id": "ada", "message": "broken "garden""}"#);
    assert_eq!(world.ask(unreadable).await.status, 400);
    world.contact_exists("grace").await;
    let message = json!({"contact_id": "grace", "message": {"body": "Another garden"}});
    let accepted = world.request(Method::POST, &path).json(&message);
    assert_eq!(world.ask(accepted).await.status, 200);
    world.until_batch("grace", batch::State::Replied).await;

    let output = format!("{}\n{}", gateway.output(), worker.output());
    for told in [job.as_str(), "highlevel_refused", "openai_unavailable"] {
        assert!(
            output.contains(told),
            "{told:?} is not in the log: {output}"
        );
    }
    let webhook_key = keys::OPENAI_WEBHOOK_SECRET.trim_start_matches("whsec_");
    for hidden in [
        API_KEY,
        keys::OPENAI_API_KEY,
        webhook_key,
        keys::HUBSPOT_ACCESS_TOKEN,
        keys::HUBSPOT_CLIENT_SECRET,
        keys::HIGHLEVEL_API_KEY,
        secret,
        "guessed-secret",
        "amqp://",
        "postgres://",
        "garden",
        "Thank you for your",
        "sells to makers in Europe",
    ] {
        assert!(
            !output.contains(hidden),
            "{hidden:?} is in the log: {output}"
        );
    }
}
