//! Creating a response at OpenAI goes wrong. Creation is not idempotent, and costs dollars.

use std::time::Duration;

use chrono::DateTime;
use end_to_end::{World, on_both_databases, on_sqlite};
use entities::job::State;
use sandbox::{EffectKind, Fault, FaultKind, Provider};
use serde_json::json;

use crate::faults::{CREATE_RESPONSE, once, refused};

on_both_databases!(
    a_submission_whose_answer_is_lost_is_adopted_and_not_repeated,
    a_submission_that_answers_500_after_its_work_is_adopted,
    an_answer_that_cannot_be_read_is_an_unknown_outcome,
    a_submission_that_was_not_done_is_repeated_after_the_wait,
    a_rate_limit_is_waited_for_and_costs_nothing,
);
on_sqlite!(the_wait_that_openai_asks_for_is_honoured);

async fn a_submission_whose_answer_is_lost_is_adopted_and_not_repeated(world: World) {
    adopted_after(world, FaultKind::DropAfter).await;
}

async fn a_submission_that_answers_500_after_its_work_is_adopted(world: World) {
    adopted_after(world, FaultKind::StatusAfter).await;
}

async fn an_answer_that_cannot_be_read_is_an_unknown_outcome(world: World) {
    adopted_after(world, FaultKind::Garbage).await;
}

async fn a_submission_that_was_not_done_is_repeated_after_the_wait(mut world: World) {
    world.set("RESEARCH_RESUBMIT_SECONDS", "2");
    world.sandbox.add_fault(refused(CREATE_RESPONSE, 500));
    world.start().await;
    let job = research(&world).await;
    world.until_job(&job, State::Notified).await;
    assert_eq!(submissions(&world, &job), 1);
    assert_eq!(world.requests("POST /v1/responses"), 2);
    let waited = between_submissions(&world);
    assert!(waited >= Duration::from_secs(2), "{waited:?}");
}

async fn a_rate_limit_is_waited_for_and_costs_nothing(world: World) {
    world.sandbox.add_fault(Fault {
        retry_after: Some("1".to_owned()),
        ..refused(CREATE_RESPONSE, 429)
    });
    world.start().await;
    let job = research(&world).await;
    world.until_job(&job, State::Notified).await;
    assert_eq!(submissions(&world, &job), 1);
    let waited = between_submissions(&world);
    assert!(waited < Duration::from_secs(60), "{waited:?}");
}

async fn the_wait_that_openai_asks_for_is_honoured(world: World) {
    world.sandbox.add_fault(Fault {
        retry_after: Some("8".to_owned()),
        ..refused(CREATE_RESPONSE, 429)
    });
    world.start().await;
    let job = research(&world).await;
    world.until_job(&job, State::Notified).await;
    assert_eq!(submissions(&world, &job), 1);
    let waited = between_submissions(&world);
    assert!(waited >= Duration::from_secs(8), "{waited:?}");
}

/// The response exists at OpenAI, but our request for it went wrong.
async fn adopted_after(world: World, fault: FaultKind) {
    world.sandbox.add_fault(once(CREATE_RESPONSE, fault));
    world.start().await;
    let job = research(&world).await;
    let done = world.until_job(&job, State::Notified).await;
    assert_eq!(submissions(&world, &job), 1);
    assert_eq!(world.requests("POST /v1/responses"), 1);
    let submitted = &world.effects(EffectKind::ResearchSubmissions)[0];
    assert_eq!(done["response_id"], submitted.detail["response_id"]);
    assert_eq!(world.news("document.created").len(), 1);
}

async fn research(world: &World) -> String {
    let body = json!({"companyId": "c1", "company": {"name": "Bolt Works"}});
    world.generate(&body, None).await
}

fn submissions(world: &World, job: &str) -> usize {
    world
        .sandbox
        .effect_count(EffectKind::ResearchSubmissions, job)
}

/// The time between the first two requests to create a response.
fn between_submissions(world: &World) -> Duration {
    let received = world.sandbox.received(Some(Provider::OpenAi)).into_iter();
    let times: Vec<_> = received
        .filter(|request| request.method == "POST")
        .map(|request| DateTime::parse_from_rfc3339(&request.at).unwrap())
        .collect();
    (times[1] - times[0]).to_std().unwrap()
}
