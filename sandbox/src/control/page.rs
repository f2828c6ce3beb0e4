//! The page that shows what the sandbox received.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Html;

use crate::app::App;

const NEWEST: usize = 100;

/// `GET /sandbox`.
pub(crate) async fn show(State(app): State<Arc<App>>) -> Html<String> {
    let mut effects = String::new();
    for effect in app.effects.list(0).iter().rev().take(NEWEST) {
        let kind = serde_json::to_value(effect.kind).unwrap_or_default();
        row(
            &mut effects,
            &[
                effect.number.to_string(),
                kind.as_str().unwrap_or_default().to_owned(),
                effect.subject.clone(),
                effect.detail.to_string(),
            ],
        );
    }
    let mut received = String::new();
    for entry in app.received.list(None).iter().rev().take(NEWEST) {
        let status = entry
            .status
            .map_or_else(|| "-".to_owned(), |status| status.to_string());
        let what = format!("{} {}", entry.method, entry.path);
        let provider = format!("{:?}", entry.provider);
        row(
            &mut received,
            &[
                entry.number.to_string(),
                entry.at.clone(),
                provider,
                what,
                status,
            ],
        );
    }
    let mut deliveries = String::new();
    for attempt in app.webhooks.attempts().iter().rev().take(NEWEST) {
        let outcome = attempt
            .status
            .map(|status| status.to_string())
            .or(attempt.error.clone());
        let provider = format!("{:?}", attempt.provider);
        row(
            &mut deliveries,
            &[
                attempt.number.to_string(),
                attempt.at.clone(),
                provider,
                attempt.event.clone(),
                attempt.attempt.to_string(),
                outcome.unwrap_or_default(),
            ],
        );
    }
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Millrace sandbox</title>\
         <style>body{{font:14px/1.4 sans-serif;margin:2em}}td,th{{padding:.2em .8em .2em 0;\
         text-align:left;vertical-align:top;overflow-wrap:anywhere}}</style>\
         <h1>Millrace sandbox</h1><p>Webhooks go to {gateway}. Newest first. The same as JSON: \
         <a href=\"/sandbox/effects\">effects</a>, <a href=\"/sandbox/received\">received</a>, \
         <a href=\"/sandbox/deliveries\">deliveries</a>.</p>\
         <h2>Effects</h2><table><tr><th>No.<th>What<th>To<th>Detail</tr>{effects}</table>\
         <h2>Received</h2><table><tr><th>No.<th>At<th>Provider<th>Request<th>Answer</tr>{received}</table>\
         <h2>Webhooks sent</h2><table><tr><th>No.<th>At<th>Provider<th>Event<th>Attempt<th>Answer</tr>\
         {deliveries}</table></html>",
        gateway = escape(&app.webhooks.gateway()),
    ))
}

fn row(table: &mut String, cells: &[String]) {
    table.push_str("<tr>");
    for cell in cells {
        // Writing to a String cannot fail.
        let _ = write!(table, "<td>{}</td>", escape(cell));
    }
    table.push_str("</tr>");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
