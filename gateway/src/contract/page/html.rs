//! HTML as text: escaped, and with a policy under which a browser runs and loads nothing.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::http::header;
use axum::response::{Html, IntoResponse};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("page.css");

/// Nothing but our own style is allowed, and nobody may show the page inside of another.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
});

/// A page as an answer.
pub(crate) fn answer(page: String) -> impl IntoResponse {
    (
        [(header::CONTENT_SECURITY_POLICY, POLICY.as_str())],
        Html(page),
    )
}

/// A whole page.
pub(super) fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n{body}</body></html>\n"
    )
}

/// A table. Cells are HTML.
pub(super) fn table(heads: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let cells = |tag: &str, cells: Vec<String>| {
        cells.into_iter().fold(String::new(), |mut row, cell| {
            let _ = write!(row, "<{tag}>{cell}</{tag}>");
            row
        })
    };
    let heads = cells("th", heads.iter().map(|head| escape(head)).collect());
    let rows = rows.into_iter().fold(String::new(), |mut table, row| {
        let _ = writeln!(table, "<tr>{}</tr>", cells("td", row));
        table
    });
    format!("<table><tr>{heads}</tr>\n{rows}</table>\n")
}

/// Text without a meaning in HTML.
pub(super) fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, character| {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
        escaped
    })
}
