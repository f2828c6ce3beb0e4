//! What a web page writes does nothing in the document, in the note on the deal or in the news.

use end_to_end::{World, on_both_databases, on_sqlite};
use entities::job::State;
use sandbox::EffectKind;
use sandbox::environment::TRIGGER_STAGE;
use serde_json::json;

on_both_databases!(hostile_research_does_nothing_in_a_file);

on_sqlite!(
    hostile_research_does_nothing_in_a_note,
    hostile_research_does_nothing_in_a_google_document,
);

/// What a page might have told the model to write, with U+0000, which PostgreSQL refuses.
fn hostile() -> String {
    json!({
        "DOC_TITLE": "Bolt <img src=x onerror=alert(1)> Works\0",
        "INTRO": "<script>alert(1)</script>\0 ![p](https://evil.example/p.png?a=1) {{{METRICS}}}",
        "METRICS": "[click](javascript:alert(1)) and [read](https://fine.example/page)",
        "SUMMARY_TABLE": "| a | b |\n| --- | --- |\n| <iframe src=x> | one<br>two |",
    })
    .to_string()
}

async fn research_on_a_deal(world: &World) -> serde_json::Value {
    world.start().await;
    let ending = json!({"status": "completed", "text": hostile()});
    world.next_research(&ending).await;
    world.deal_reaches("9001", TRIGGER_STAGE, 1).await;
    let job = world.until_submitted().await;
    world.until_job(&job, State::Notified).await
}

async fn hostile_research_does_nothing_in_a_file(world: World) {
    let job = research_on_a_deal(&world).await;
    let path = job["document_url"].as_str().unwrap();
    let path = path.strip_prefix("file://").unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    for kept in [
        "&lt;script>alert(1)&lt;/script>",
        "&#33;[p](https://evil.example/p.png?a=1)",
        "&#91;click](javascript:alert(1))",
        "[read](https://fine.example/page)",
        "one<br>two",
    ] {
        assert!(text.contains(kept), "{kept} is missing: {text}");
    }
    for gone in ["<script", "<img", "<iframe", "![", "[click]", "\0"] {
        assert!(!text.contains(gone), "{gone} is there: {text}");
    }
}

async fn hostile_research_does_nothing_in_a_note(world: World) {
    research_on_a_deal(&world).await;
    let notes = world.sandbox.received(None).into_iter();
    let note = notes
        .filter(|request| request.method == "POST" && request.path.contains("/objects/notes"))
        .map(|request| request.body["properties"]["hs_note_body"].to_string())
        .next()
        .unwrap();
    assert!(note.contains("Bolt &lt;img src=x"), "{note}");
    assert!(!note.contains("<img"), "{note}");
    let news = world.news("document.created").remove(0);
    let sentence = news["text"].as_str().unwrap();
    assert!(!sentence.contains('<'), "{sentence}");
}

async fn hostile_research_does_nothing_in_a_google_document(mut world: World) {
    world.use_google();
    research_on_a_deal(&world).await;
    let created = world.effects(EffectKind::DocumentsCreated);
    let id = created[0].detail["id"].as_str().unwrap();
    let text = world.google_document(id).await;
    // In a Google document HTML is text; the placeholder in the research was not expanded.
    for kept in [
        "<script>alert(1)</script>",
        "{ { {METRICS}}}",
        "](https://fine.example/page)",
    ] {
        assert!(text.contains(kept), "{kept} is missing: {text}");
    }
    assert_eq!(text.matches("fine.example").count(), 1, "{text}");
}
