//! One trace from the webhook to the last message, across the wait for OpenAI.

use end_to_end::{API_KEY, World, on_sqlite};
use entities::batch;
use entities::job::State;
use reqwest::Method;
use sandbox::environment::TRIGGER_STAGE;
use serde_json::{Value, json};

on_sqlite!(
    the_trace_of_a_deal_leads_to_its_news,
    the_trace_of_a_client_leads_to_the_news,
    a_trace_goes_on_where_only_errors_are_logged,
    the_trace_of_a_message_leads_to_its_reply,
);

async fn the_trace_of_a_deal_leads_to_its_news(world: World) {
    world.start_gateway().await;
    world.start_workers("research,completion").await;
    world.deal_reaches("9001", TRIGGER_STAGE, 1).await;
    let job = world.until_submitted().await;
    world.until_job(&job, State::Documented).await;
    let news = until_waiting(&world, "notification.delivery").await;
    let first = world.job(&job).await.traceparent.unwrap();
    assert_eq!(
        trace_id(news["traceparent"].as_str().unwrap()),
        trace_id(&first)
    );
}

async fn the_trace_of_a_client_leads_to_the_news(world: World) {
    world.start_gateway().await;
    world.start_workers("research,completion").await;
    news_belongs_to_the_trace_of_the_client(&world).await;
}

async fn a_trace_goes_on_where_only_errors_are_logged(mut world: World) {
    // Besides what the programs say once they have started, which is waited for.
    world.set(
        "RUST_LOG",
        "error,millrace_gateway=info,millrace_worker=info",
    );
    let _gateway = world.spawn_gateway().await;
    let _worker = world.spawn_worker("research,completion").await;
    news_belongs_to_the_trace_of_the_client(&world).await;
}

async fn news_belongs_to_the_trace_of_the_client(world: &World) {
    let body = json!({"companyId": "c1", "company": {"name": "Bolt Works"}});
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = world
        .request(Method::POST, "/generate")
        .bearer_auth(API_KEY)
        .header("traceparent", traceparent)
        .json(&body);
    let answer = world.ask(request).await;
    let job = answer.body["job_id"].as_str().unwrap();
    world.until_job(job, State::Documented).await;
    let news = until_waiting(world, "notification.delivery").await;
    let last = news["traceparent"].as_str().unwrap();
    assert_eq!(trace_id(last), "4bf92f3577b34da6a3ce929d0e0e4736");
}

async fn the_trace_of_a_message_leads_to_its_reply(world: World) {
    world.start_gateway().await;
    world.start_workers("batching").await;
    world.contact_writes("ada", "Hello!").await;
    let batch = world.until_batch("ada", batch::State::Closed).await;
    let wish = until_waiting(&world, "chat.reply").await;
    let first = batch.traceparent.unwrap();
    assert_eq!(
        trace_id(wish["traceparent"].as_str().unwrap()),
        trace_id(&first)
    );
}

/// The event of the one message that waits in a queue that nobody reads.
async fn until_waiting(world: &World, queue: &str) -> Value {
    world
        .until("a message", |world| world.broker.waiting(queue).len() == 1)
        .await;
    let message = world.broker.waiting(queue).remove(0);
    serde_json::from_str(message["payload"].as_str().unwrap()).unwrap()
}

/// The second part of a `traceparent` (W3C Trace Context).
pub(crate) fn trace_id(traceparent: &str) -> &str {
    let id = traceparent.split('-').nth(1).unwrap();
    assert!(
        id.len() == 32 && id.bytes().any(|digit| digit != b'0'),
        "{traceparent}"
    );
    id
}
