//! Documents in Google Drive.

use end_to_end::{World, on_sqlite};
use entities::job::State;
use sandbox::{EffectKind, FaultKind, Provider};
use serde_json::{Value, json};

use crate::faults::{once, refused};

on_sqlite!(
    the_template_is_copied_and_filled,
    without_a_template_the_document_is_made_from_markdown,
    a_copy_whose_answer_is_lost_is_found_again,
    filling_goes_on_after_it_was_interrupted,
);

async fn the_template_is_copied_and_filled(mut world: World) {
    world.use_google();
    let text = document(&world).await;
    assert!(!text.contains("{{"), "{text}");
    in_the_document(&text);
}

async fn without_a_template_the_document_is_made_from_markdown(mut world: World) {
    world.use_google();
    world.unset("GS_TEMPLATE_DOC_ID");
    let text = document(&world).await;
    in_the_document(&text);
}

async fn a_copy_whose_answer_is_lost_is_found_again(mut world: World) {
    world.use_google();
    let copy = (Provider::Google, "/copy");
    world.sandbox.add_fault(once(copy, FaultKind::DropAfter));
    let text = document(&world).await;
    in_the_document(&text);
}

async fn filling_goes_on_after_it_was_interrupted(mut world: World) {
    world.use_google();
    let fill = (Provider::Google, ":batchUpdate");
    world.sandbox.add_fault(refused(fill, 503));
    let text = document(&world).await;
    assert!(!text.contains("{{"), "{text}");
    in_the_document(&text);
}

/// The text of the one document that a job makes.
async fn document(world: &World) -> String {
    world.start().await;
    let company = json!({"name": "Bolt Works", "domain": "bolt-works.example"});
    let body = json!({"companyId": "c1", "company": company});
    let job = world.generate(&body, None).await;
    let done = world.until_job(&job, State::Notified).await;
    let created = world.effects(EffectKind::DocumentsCreated);
    assert_eq!(created.len(), 1);
    assert_eq!(created[0].subject, job);
    assert_ne!(done["document_url"], Value::Null);
    assert_eq!(done["document_url"], created[0].detail["link"]);
    world
        .google_document(created[0].detail["id"].as_str().unwrap())
        .await
}

fn in_the_document(text: &str) {
    for part in [
        "Bolt Works has three tiers from 49 €",
        "](https://bolt-works.example/pricing)",
        "Net retention 112 %",
        "Topic\tFinding\tNext step",
        "Motion\tProduct-led, sales-assisted\tAdd a partner channel",
    ] {
        assert!(text.contains(part), "{part:?} is missing: {text}");
    }
    assert!(!text.contains("| --- |") && !text.contains("**"), "{text}");
}
