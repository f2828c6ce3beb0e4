//! From a deal or a request to the document, when nothing goes wrong.

use end_to_end::{World, on_both_databases};
use entities::job::State;
use sandbox::EffectKind;
use sandbox::environment::TRIGGER_STAGE;
use serde_json::{Value, json};

/// The sections of a document below its title.
const HEADINGS: [&str; 11] = [
    "Introduction",
    "Pricing and packaging",
    "Go-to-market motion",
    "Touch model",
    "Ideal customer profiles",
    "Metrics",
    "Financials",
    "Financing",
    "Market maturity",
    "Stakeholders",
    "Summary",
];

on_both_databases!(
    a_deal_that_reaches_the_stage_gets_one_document,
    another_stage_starts_nothing,
    a_repeated_request_is_the_same_job,
    a_fresh_document_is_used_again_unless_new_research_is_asked_for,
    over_the_budget_a_job_waits_and_people_are_told_once,
);

async fn a_deal_that_reaches_the_stage_gets_one_document(world: World) {
    world.start().await;
    world.deal_reaches("9001", TRIGGER_STAGE, 3).await;
    let job_id = world.until_submitted().await;
    let job = world.until_job(&job_id, State::Notified).await;

    assert_eq!(job["status"], "notified");
    assert_eq!(job["company_name"], "Acme Robotics");
    assert_eq!(job["usage"]["total_tokens"], 69_555);
    assert_eq!(job["usage"]["reasoning_tokens"], 12_000);
    assert!(job["cost_usd"].as_f64().is_some_and(|cost| cost > 0.5));
    assert_eq!(job["completion"]["doc_url"], job["document_url"]);
    assert_eq!(job["error"], Value::Null);
    let response_id = job["response_id"].as_str().unwrap();
    let by_response = world.get(&format!("/job-status/{response_id}")).await;
    assert_eq!(by_response.body, job);

    let path = job["document_url"].as_str().unwrap();
    let path = path.strip_prefix("file://").unwrap();
    let document = std::fs::read_to_string(path).unwrap();
    assert!(document.starts_with("# Acme Robotics: go-to-market strategy\n"));
    for heading in HEADINGS {
        assert!(document.contains(&format!("\n## {heading}\n")), "{heading}");
    }
    assert!(!document.contains("did not deliver"), "{document}");
    assert!(document.contains("(https://acme-robotics.example/pricing)"));
    let facts = std::fs::read_to_string(path.replace(".md", ".json")).unwrap();
    let facts: Value = serde_json::from_str(&facts).unwrap();
    assert_eq!(facts["sections"].as_object().unwrap().len(), 12);

    // The two other copies of the webhook were handled before this one.
    world.until_research_is_handled().await;
    let count = |kind, subject: &str| world.sandbox.effect_count(kind, subject);
    assert_eq!(count(EffectKind::ResearchSubmissions, &job_id), 1);
    assert_eq!(count(EffectKind::DealUpdates, "9001"), 1);
    assert_eq!(count(EffectKind::NotesCreated, "9001"), 1);
    assert_eq!(count(EffectKind::Notifications, &job_id), 1);
    let update = &world.effects(EffectKind::DealUpdates)[0].detail;
    assert!(
        update
            .to_string()
            .contains(job["document_url"].as_str().unwrap())
    );
    let news = &world.news("document.created")[0];
    assert_eq!(news["document_url"], job["document_url"]);
}

async fn another_stage_starts_nothing(world: World) {
    world.start().await;
    world.deal_reaches("9001", "closedlost", 1).await;
    world.until_research_is_handled().await;
    assert_eq!(world.effects(EffectKind::ResearchSubmissions).len(), 1);
    assert_eq!(world.requests("GET /crm"), 0);
}

async fn a_repeated_request_is_the_same_job(world: World) {
    world.start().await;
    let body = json!({"companyId": 42, "company": {"name": "Bolt Works"}});
    let first = world.generate(&body, Some("order-1")).await;
    let again = world.generate(&body, Some("order-1")).await;
    assert_eq!(first, again);
    world.until_job(&first, State::Notified).await;
    assert_eq!(world.generate(&body, Some("order-1")).await, first);
    world.until_research_is_handled().await;
    let submissions = |job| {
        world
            .sandbox
            .effect_count(EffectKind::ResearchSubmissions, job)
    };
    assert_eq!(submissions(&first), 1);
    assert_eq!(
        world
            .sandbox
            .effect_count(EffectKind::Notifications, &first),
        1
    );
}

async fn a_fresh_document_is_used_again_unless_new_research_is_asked_for(world: World) {
    world.start().await;
    let mut body = json!({"companyId": "c1", "company": {"name": "Bolt Works"}});
    let first = world.generate(&body, None).await;
    let first = world.until_job(&first, State::Notified).await;

    let second = world.generate(&body, None).await;
    let second = world.until_job(&second, State::Notified).await;
    assert_ne!(second["job_id"], first["job_id"]);
    assert_eq!(second["document_url"], first["document_url"]);
    assert_eq!(world.effects(EffectKind::ResearchSubmissions).len(), 1);
    assert_eq!(world.news("document.created").len(), 2);

    let other_input = json!({"companyId": "c1", "company": {"name": "Bolt Works & Sons"}});
    let third = world.generate(&other_input, None).await;
    world.until_job(&third, State::Notified).await;
    assert_eq!(world.effects(EffectKind::ResearchSubmissions).len(), 2);

    body["refresh"] = json!(true);
    let fourth = world.generate(&body, None).await;
    let fourth = world.until_job(&fourth, State::Notified).await;
    assert_ne!(fourth["document_url"], first["document_url"]);
    assert_eq!(world.effects(EffectKind::ResearchSubmissions).len(), 3);
}

async fn over_the_budget_a_job_waits_and_people_are_told_once(mut world: World) {
    world.set("DAILY_BUDGET_USD", "0.01");
    world.start().await;
    let body = json!({"companyId": "c1", "company": {"name": "Bolt Works"}});
    let job = world.generate(&body, Some("order-1")).await;
    world.until_job(&job, State::AwaitingBudget).await;
    world
        .until("news", |world| !world.news("budget.exceeded").is_empty())
        .await;

    // Looking again finds no more money; a later job's news comes after this one's.
    world.generate(&body, Some("order-1")).await;
    let later = world.generate(&body, Some("order-2")).await;
    world.until_job(&later, State::AwaitingBudget).await;
    world
        .until("news of the later job", |world| {
            let news = world.news("budget.exceeded");
            news.iter().any(|news| news["job_id"] == later.as_str())
        })
        .await;
    assert_eq!(world.news("budget.exceeded").len(), 2);
    assert_eq!(world.effects(EffectKind::ResearchSubmissions).len(), 0);
}
