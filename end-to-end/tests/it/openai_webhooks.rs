//! OpenAI's webhook comes twice, late, early, or never; and what it tells may be bad news.

use end_to_end::{World, on_both_databases};
use entities::job::State;
use sandbox::{Deliver, EffectKind, Fault, Provider};
use serde_json::{Value, json};

use crate::faults::{FETCH_RESPONSE, delivery, refused};

on_both_databases!(
    a_webhook_that_comes_twice_makes_one_document,
    a_late_webhook_is_waited_for,
    a_webhook_before_our_own_answer_is_not_lost,
    a_webhook_that_never_comes_is_made_up_for_by_asking,
    a_response_that_failed_at_openai_is_submitted_again,
    after_three_failures_at_openai_people_are_told,
    a_failure_that_would_repeat_is_not_repeated,
    a_response_cut_short_makes_a_document_that_names_what_is_missing,
    a_response_without_any_text_fails_the_job,
    a_cancelled_response_cancels_the_job,
    a_response_that_openai_no_longer_has_fails_the_job,
);

async fn a_webhook_that_comes_twice_makes_one_document(world: World) {
    notified_once(&world, Deliver::Twice).await;
    assert_eq!(deliveries_of_openai(&world), 2);
}

async fn a_late_webhook_is_waited_for(world: World) {
    notified_once(&world, Deliver::Late).await;
    assert_eq!(deliveries_of_openai(&world), 1);
}

async fn a_webhook_before_our_own_answer_is_not_lost(world: World) {
    notified_once(&world, Deliver::BeforeAnswer).await;
    assert_eq!(deliveries_of_openai(&world), 1);
}

async fn a_webhook_that_never_comes_is_made_up_for_by_asking(mut world: World) {
    world.set("RESEARCH_WATCH_SECONDS", "1");
    notified_once(&world, Deliver::Never).await;
    assert_eq!(deliveries_of_openai(&world), 0);
}

async fn a_response_that_failed_at_openai_is_submitted_again(world: World) {
    world.start().await;
    let job = failing(&world, "server_error", 1).await;
    let done = world.until_job(&job, State::Notified).await;
    assert_eq!(submissions(&world, &job), 2);
    assert_eq!(done["error"], Value::Null);
    assert_eq!(world.news("research.failed").len(), 0);
}

async fn after_three_failures_at_openai_people_are_told(world: World) {
    world.start().await;
    let job = failing(&world, "server_error", 3).await;
    let failed = until_failed_and_told(&world, &job).await;
    assert_eq!(submissions(&world, &job), 3);
    assert!(failed.contains("server_error"), "{failed}");
}

async fn a_failure_that_would_repeat_is_not_repeated(world: World) {
    world.start().await;
    let job = failing(&world, "invalid_prompt", 1).await;
    let failed = until_failed_and_told(&world, &job).await;
    assert_eq!(submissions(&world, &job), 1);
    assert!(failed.contains("invalid_prompt"), "{failed}");
}

async fn a_response_cut_short_makes_a_document_that_names_what_is_missing(world: World) {
    world.start().await;
    let text = r#"Here it is: {"DOC_TITLE": "Bolt Works", "INTRO": "They make bolts.", "ICP": "Makers of mach"#;
    world
        .next_research(&json!({"status": "incomplete", "text": text}))
        .await;
    let job = research(&world).await;
    let done = world.until_job(&job, State::Notified).await;

    let path = done["document_url"].as_str().unwrap();
    let document = std::fs::read_to_string(path.strip_prefix("file://").unwrap()).unwrap();
    assert!(document.contains("They make bolts."), "{document}");
    assert!(document.contains("Makers of mach"), "{document}");
    assert_eq!(document.matches("did not deliver this section").count(), 9);
    let missing = world.news("document.created")[0]["missing_sections"].clone();
    assert_eq!(missing.as_array().unwrap().len(), 9);
    assert_eq!(missing[0], "PRICING_PACKAGING");
}

async fn a_response_without_any_text_fails_the_job(world: World) {
    world.start().await;
    world
        .next_research(&json!({"status": "incomplete", "text": ""}))
        .await;
    let job = research(&world).await;
    let failed = until_failed_and_told(&world, &job).await;
    assert!(failed.contains("max_output_tokens"), "{failed}");
}

async fn a_cancelled_response_cancels_the_job(world: World) {
    world.start().await;
    world.next_research(&json!({"status": "cancelled"})).await;
    let job = research(&world).await;
    world.until_job(&job, State::Cancelled).await;
    told(&world, &job).await;
}

async fn a_response_that_openai_no_longer_has_fails_the_job(world: World) {
    world.sandbox.add_fault(Fault {
        times: 10,
        ..refused(FETCH_RESPONSE, 404)
    });
    world.start().await;
    let job = research(&world).await;
    let failed = until_failed_and_told(&world, &job).await;
    assert!(failed.contains("no longer has the response"), "{failed}");
}

/// Research runs to its end with this kind of delivery, and everything happens once.
async fn notified_once(world: &World, deliver: Deliver) {
    world
        .sandbox
        .set_delivery(Provider::OpenAi, delivery(deliver));
    world.start().await;
    let job = research(world).await;
    world.until_job(&job, State::Notified).await;
    if deliver != Deliver::Never {
        world
            .until("all deliveries", |world| deliveries_of_openai(world) > 0)
            .await;
    }
    assert_eq!(submissions(world, &job), 1);
    let told = world.sandbox.effect_count(EffectKind::Notifications, &job);
    assert_eq!(told, 1);
}

async fn research(world: &World) -> String {
    let body = json!({"companyId": "c1", "company": {"name": "Bolt Works"}});
    world.generate(&body, None).await
}

async fn failing(world: &World, code: &str, times: u32) -> String {
    world
        .next_research(&json!({"status": "failed", "code": code, "times": times}))
        .await;
    research(world).await
}

/// The job's error, once the job has failed and people know.
async fn until_failed_and_told(world: &World, job: &str) -> String {
    let failed = world.until_job(job, State::Failed).await;
    told(world, job).await;
    failed["error"].as_str().unwrap().to_owned()
}

async fn told(world: &World, job: &str) {
    world
        .until("news", |world| !world.news("research.failed").is_empty())
        .await;
    let news = world.news("research.failed");
    assert_eq!(news.len(), 1);
    assert_eq!(news[0]["job_id"], job);
    assert_eq!(world.news("document.created").len(), 0);
}

fn submissions(world: &World, job: &str) -> usize {
    world
        .sandbox
        .effect_count(EffectKind::ResearchSubmissions, job)
}

fn deliveries_of_openai(world: &World) -> usize {
    let deliveries = world.sandbox.deliveries().into_iter();
    deliveries
        .filter(|delivery| delivery.provider == Provider::OpenAi)
        .filter(|delivery| delivery.status == Some(202))
        .count()
}
