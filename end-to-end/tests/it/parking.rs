//! What cannot be done is parked with its reason, and done when a person has mended the cause.

use std::process::Output;

use end_to_end::{World, on_both_databases};
use entities::batch;
use entities::job::State;
use sandbox::EffectKind;
use serde_json::{Value, json};

use crate::faults::{FETCH_RESPONSE, NOTIFY, SEND_MESSAGE, refused};

on_both_databases!(
    research_without_a_key_is_parked_and_done_after_the_key_is_there,
    a_reply_that_highlevel_refuses_is_parked_and_sent_after_all,
    research_that_cannot_be_fetched_is_completed_after_a_move,
    news_that_its_receiver_refuses_is_told_after_a_move,
    what_cannot_be_read_is_parked_as_it_came,
);

async fn research_without_a_key_is_parked_and_done_after_the_key_is_there(mut world: World) {
    let _gateway = world.spawn_gateway().await;
    let key = world.setting("OPENAI_API_KEY").to_owned();
    world.unset("OPENAI_API_KEY");
    let mut worker = world.spawn_worker("all").await;
    let body = json!({"companyId": "c1", "company": {"name": "Bolt Works"}});
    let job = world.generate(&body, Some("order-1")).await;
    let failed = world.until_job(&job, State::Failed).await;
    assert!(failed["error"].as_str().unwrap().contains("OPENAI_API_KEY"));
    let parked = until_parked(&world, "research.submission").await;
    world
        .until("news", |world| world.news("research.failed").len() == 1)
        .await;

    let list = said(&world.worker_command(&["dead-letters", "list"]).await);
    assert!(list.contains("1  research.submission"), "{list}");
    let list = ["dead-letters", "list", "research.submission"];
    let list = said(&world.worker_command(&list).await);
    assert!(list.contains("openai_not_configured"), "{list}");
    let event: Value = serde_json::from_str(parked["payload"].as_str().unwrap()).unwrap();
    let id = event["id"].as_str().unwrap();
    let show = ["dead-letters", "show", "research.submission", id];
    let show = said(&world.worker_command(&show).await);
    assert!(show.contains("OPENAI_API_KEY is not set"), "{show}");
    assert!(show.contains("Bolt Works"), "{show}");

    worker.kill();
    world.set("OPENAI_API_KEY", key);
    let _worker = world.spawn_worker("all").await;
    let all = ["dead-letters", "replay", "research.submission"];
    let dry = [all.as_slice(), &["--dry-run"]].concat();
    let dry = said(&world.worker_command(&dry).await);
    assert!(dry.contains("1 message(s) would be replayed"), "{dry}");
    let other = [all.as_slice(), &["--reason", "openai_refused"]].concat();
    let other = said(&world.worker_command(&other).await);
    assert!(other.contains("0 message(s) replayed"), "{other}");
    let this = [all.as_slice(), &["--id", id]].concat();
    let replayed = said(&world.worker_command(&this).await);
    assert!(replayed.contains("1 message(s) replayed"), "{replayed}");
    let done = world.until_job(&job, State::Notified).await;
    assert_eq!(done["error"], Value::Null);

    replay_again(&world, "research.submission", &parked).await;
    world.until_research_is_handled().await;
    let submissions = EffectKind::ResearchSubmissions;
    assert_eq!(world.sandbox.effect_count(submissions, &job), 1);
    let news = world.news("document.created");
    let about_this = news.iter().filter(|news| news["job_id"] == job.as_str());
    assert_eq!(about_this.count(), 1);
}

async fn a_reply_that_highlevel_refuses_is_parked_and_sent_after_all(world: World) {
    let _gateway = world.spawn_gateway().await;
    let _worker = world.spawn_worker("all").await;
    world.sandbox.add_fault(refused(SEND_MESSAGE, 400));
    world.contact_writes("ada", "Hello!").await;
    world.close_batch("ada", 1).await;
    let failed = world.until_batch("ada", batch::State::Failed).await;
    assert_eq!(failed.reason.as_deref(), Some("highlevel_refused"));
    let parked = until_parked(&world, "chat.reply").await;
    let headers = &parked["properties"]["headers"];
    assert_eq!(headers["x-failure-reason"], "highlevel_refused");
    world
        .until("news", |world| world.news("chat.reply_failed").len() == 1)
        .await;
    assert_eq!(world.sent_to("ada").len(), 0);

    let replay = ["dead-letters", "replay", "chat.reply"];
    let replayed = said(&world.worker_command(&replay).await);
    assert!(replayed.contains("1 message(s) replayed"), "{replayed}");
    world.until_batch("ada", batch::State::Replied).await;

    replay_again(&world, "chat.reply", &parked).await;
    world.until_chat_is_handled().await;
    assert_eq!(world.sent_to("ada").len(), 1);
}

async fn research_that_cannot_be_fetched_is_completed_after_a_move(world: World) {
    let _gateway = world.spawn_gateway().await;
    let _worker = world.spawn_worker("all").await;
    world.sandbox.add_fault(refused(FETCH_RESPONSE, 400));
    let body = json!({"companyId": "c1", "company": {"name": "Bolt Works"}});
    let job = world.generate(&body, Some("order-1")).await;
    world.until_job(&job, State::Failed).await;
    let parked = until_parked(&world, "research.completion").await;
    assert_eq!(parked["properties"]["headers"]["x-attempts"], "1");

    move_all(&world, "research.completion").await;
    let done = world.until_job(&job, State::Notified).await;
    assert_eq!(done["error"], Value::Null);

    replay_again(&world, "research.completion", &parked).await;
    world.until_research_is_handled().await;
    let submissions = EffectKind::ResearchSubmissions;
    assert_eq!(world.sandbox.effect_count(submissions, &job), 1);
    assert_eq!(world.broker.waiting("research.completion.dead").len(), 0);
}

async fn news_that_its_receiver_refuses_is_told_after_a_move(world: World) {
    let _gateway = world.spawn_gateway().await;
    let _worker = world.spawn_worker("all").await;
    world.sandbox.add_fault(refused(NOTIFY, 400));
    let body = json!({"companyId": "c1", "company": {"name": "Bolt Works"}});
    let job = world.generate(&body, Some("order-1")).await;
    let parked = until_parked(&world, "notification.delivery").await;
    let headers = &parked["properties"]["headers"];
    assert_eq!(headers["x-failure-reason"], "notify_refused");
    let documented = world.until_job(&job, State::Documented).await;
    assert!(
        documented["error"]
            .as_str()
            .unwrap()
            .contains("notify_refused")
    );

    move_all(&world, "notification.delivery").await;
    let done = world.until_job(&job, State::Notified).await;
    assert_eq!(done["error"], Value::Null);

    replay_again(&world, "notification.delivery", &parked).await;
    world.until_research_is_handled().await;
    let news = world.news("document.created");
    let about_this = news.iter().filter(|news| news["job_id"] == job.as_str());
    assert_eq!(about_this.count(), 1);
}

async fn what_cannot_be_read_is_parked_as_it_came(world: World) {
    let _gateway = world.spawn_gateway().await;
    let _worker = world.spawn_worker("all").await;
    let poison = json!({"properties": {}, "payload": "not an event", "payload_encoding": "string"});
    world.broker.put("chat.intake", &poison);
    let parked = until_parked(&world, "chat.intake").await;
    assert_eq!(parked["payload"], "not an event");
    assert_eq!(
        parked["properties"]["headers"]["x-failure-reason"],
        "unreadable"
    );
    // Its neighbours are not held up.
    world.until_chat_is_handled().await;
}

/// The one message in the queue's parking lot.
async fn until_parked(world: &World, queue: &str) -> Value {
    let lot = format!("{queue}.dead");
    world
        .until("a parked message", |world| {
            world.broker.waiting(&lot).len() == 1
        })
        .await;
    world.broker.waiting(&lot).remove(0)
}

/// The parked message comes back once more, with all its headers, by the management UI's hand.
async fn replay_again(world: &World, queue: &str, parked: &Value) {
    let lot = format!("{queue}.dead");
    assert_eq!(world.broker.waiting(&lot).len(), 0);
    world.broker.put(&lot, parked);
    move_all(world, queue).await;
}

/// Moves what is parked as the management UI does.
async fn move_all(world: &World, queue: &str) {
    let lot = format!("{queue}.dead");
    // A shovel moves what it sees at its start; while we look at the message, it sees none.
    world
        .until("a parking lot emptied by a shovel", |world| {
            if world.broker.is_shovelling() {
                return false;
            }
            let empty = world.broker.waiting(&lot).is_empty();
            if !empty {
                world.broker.shovel(&lot, queue);
            }
            empty
        })
        .await;
}

/// What a command that succeeded has printed.
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{error}");
    text
}
