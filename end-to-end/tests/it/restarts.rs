//! The programs are killed (SIGKILL) in the middle of each flow and started again.

use end_to_end::{World, on_both_databases};
use entities::batch;
use entities::job::State;
use futures_util::future::join_all;
use sandbox::{EffectKind, FaultKind};
use serde_json::json;

use crate::faults::{CREATE_RESPONSE, SEND_MESSAGE, once, slow};

on_both_databases!(
    a_gateway_killed_after_it_accepted_a_message_loses_nothing,
    a_worker_killed_before_the_batch_closes_loses_nothing,
    a_worker_killed_while_the_reply_is_made_sends_it_once,
    a_worker_killed_after_the_reply_was_sent_sends_nothing_more,
    a_worker_killed_during_the_submission_pays_once,
    a_worker_killed_while_openai_works_makes_one_document,
    a_gateway_that_is_away_when_openai_calls_is_called_again,
    of_two_workers_one_may_die_under_load,
    a_worker_that_is_asked_to_stop_finishes_the_reply,
);

async fn a_gateway_killed_after_it_accepted_a_message_loses_nothing(world: World) {
    let mut gateway = world.spawn_gateway().await;
    world.contact_writes("ada", "Hello!").await;
    gateway.kill();
    let _worker = world.spawn_worker("all").await;
    let _gateway = world.spawn_gateway().await;
    answered_once(&world, "ada").await;
}

async fn a_worker_killed_before_the_batch_closes_loses_nothing(world: World) {
    let _gateway = world.spawn_gateway().await;
    let mut worker = world.spawn_worker("all").await;
    world.contact_writes("ada", "Hello!").await;
    world.contact_writes("ada", "Anybody there?").await;
    world.until_open("ada", 2).await;
    worker.kill();
    let _worker = world.spawn_worker("all").await;
    answered_once(&world, "ada").await;
}

async fn a_worker_killed_while_the_reply_is_made_sends_it_once(world: World) {
    let _gateway = world.spawn_gateway().await;
    let mut worker = world.spawn_worker("all").await;
    world.sandbox.add_fault(slow(CREATE_RESPONSE, 3000));
    world.contact_writes("ada", "Hello!").await;
    world.close_batch("ada", 1).await;
    until_requested(&world, "POST /v1/responses").await;
    worker.kill();
    let _worker = world.spawn_worker("all").await;
    answered_once(&world, "ada").await;
}

async fn a_worker_killed_after_the_reply_was_sent_sends_nothing_more(world: World) {
    let _gateway = world.spawn_gateway().await;
    let mut worker = world.spawn_worker("all").await;
    // It does not learn that the message went out.
    let lost = once(SEND_MESSAGE, FaultKind::DropAfter);
    world.sandbox.add_fault(lost);
    world.contact_writes("ada", "Hello!").await;
    world.close_batch("ada", 1).await;
    world
        .until("the message", |world| !world.sent_to("ada").is_empty())
        .await;
    worker.kill();
    let _worker = world.spawn_worker("all").await;
    answered_once(&world, "ada").await;
}

async fn a_worker_killed_during_the_submission_pays_once(world: World) {
    let _gateway = world.spawn_gateway().await;
    let mut worker = world.spawn_worker("all").await;
    let lost = once(CREATE_RESPONSE, FaultKind::DropAfter);
    world.sandbox.add_fault(lost);
    let job = research(&world).await;
    world.until_submitted().await;
    worker.kill();
    let _worker = world.spawn_worker("all").await;
    documented_once(&world, &job).await;
}

async fn a_worker_killed_while_openai_works_makes_one_document(world: World) {
    let _gateway = world.spawn_gateway().await;
    let mut worker = world.spawn_worker("all").await;
    slow_research(&world).await;
    let job = research(&world).await;
    world.until_job(&job, State::Submitted).await;
    worker.kill();
    let _worker = world.spawn_worker("all").await;
    documented_once(&world, &job).await;
}

async fn a_gateway_that_is_away_when_openai_calls_is_called_again(world: World) {
    let mut gateway = world.spawn_gateway().await;
    let _worker = world.spawn_worker("all").await;
    slow_research(&world).await;
    let job = research(&world).await;
    world.until_job(&job, State::Submitted).await;
    gateway.kill();
    world
        .until("a call that nobody answers", |world| {
            let deliveries = world.sandbox.deliveries();
            deliveries.iter().any(|delivery| delivery.status.is_none())
        })
        .await;
    let _gateway = world.spawn_gateway().await;
    documented_once(&world, &job).await;
}

async fn of_two_workers_one_may_die_under_load(world: World) {
    let _gateway = world.spawn_gateway().await;
    let mut first = world.spawn_worker("all").await;
    let _second = world.spawn_worker("all").await;
    let contacts: Vec<String> = (0..50).map(|number| format!("contact-{number}")).collect();
    let messages = contacts.iter();
    join_all(messages.map(|contact| world.contact_writes(contact, "Hello!"))).await;
    world
        .until("the first replies", |world| {
            world.effects(EffectKind::MessagesSent).len() >= 5
        })
        .await;
    first.kill();
    for contact in &contacts {
        world.until_batch(contact, batch::State::Replied).await;
    }
    world.until_chat_is_handled().await;
    for contact in &contacts {
        assert_eq!(world.sent_to(contact).len(), 1, "{contact}");
    }
}

async fn a_worker_that_is_asked_to_stop_finishes_the_reply(world: World) {
    let _gateway = world.spawn_gateway().await;
    let mut worker = world.spawn_worker("all").await;
    world.sandbox.add_fault(slow(CREATE_RESPONSE, 2000));
    world.contact_writes("ada", "Hello!").await;
    world.close_batch("ada", 1).await;
    until_requested(&world, "POST /v1/responses").await;
    worker.terminate();
    assert!(worker.ended().await.success(), "{}", worker.output());
    let _worker = world.spawn_worker("all").await;
    answered_once(&world, "ada").await;
    assert_eq!(world.effects(EffectKind::RepliesGenerated).len(), 2);
}

async fn answered_once(world: &World, contact: &str) {
    world.until_batch(contact, batch::State::Replied).await;
    world.until_chat_is_handled().await;
    assert_eq!(world.sent_to(contact).len(), 1);
}

async fn documented_once(world: &World, job: &str) {
    world.until_job(job, State::Notified).await;
    world.until_research_is_handled().await;
    let count = |kind| world.sandbox.effect_count(kind, job);
    assert_eq!(count(EffectKind::ResearchSubmissions), 1);
    assert_eq!(count(EffectKind::Notifications), 1);
}

async fn research(world: &World) -> String {
    let body = json!({"companyId": "c1", "company": {"name": "Bolt Works"}});
    world.generate(&body, None).await
}

/// OpenAI works long enough on the next research for something to happen meanwhile.
async fn slow_research(world: &World) {
    let ending = json!({"status": "completed", "after_ms": 3000});
    world.next_research(&ending).await;
}

async fn until_requested(world: &World, route: &str) {
    world.until(route, |world| world.requests(route) > 0).await;
}
