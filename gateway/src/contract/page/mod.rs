//! The description as pages that a person reads: written on the server, without a script.

mod html;
mod schemas;

use std::fmt::Write as _;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::DOCUMENT;
use crate::problem::kind::{self, Kind};
use html::{escape, page, table};
use schemas::schema;

pub(crate) use html::answer;

/// The page about everything.
pub(crate) static PAGE: LazyLock<String> = LazyLock::new(|| everything(&DOCUMENT));

/// The page about one type of problem.
pub(crate) fn problem_type(kind: &Kind) -> String {
    let statuses: Vec<String> = kind.statuses.iter().map(u16::to_string).collect();
    let body = format!(
        "<p>{}</p>\n<p>Type <code>{}</code>, status {}.</p>\n<p><a href=\"/docs#problems\">All \
         types</a></p>\n",
        escape(kind.meaning),
        kind.uri(),
        statuses.join(" or "),
    );
    page(kind.title, &body)
}

fn everything(document: &Value) -> String {
    let mut body = format!(
        "<p>{}</p>\n<p>The same for programs: <a href=\"/openapi.json\">/openapi.json</a></p>\n",
        escape(text(&document["info"], "description")),
    );
    for tag in list(&document["tags"]) {
        let name = text(tag, "name");
        let about = text(tag, "description");
        let _ = writeln!(body, "<h2>{}</h2>\n<p>{}</p>", escape(name), escape(about));
        for (path, method, operation) in operations(document) {
            if list(&operation["tags"]).any(|tag| tag == name) {
                body.push_str(&route(path, method, operation));
            }
        }
    }
    body.push_str("<h2 id=\"proofs\">Proofs</h2>\n<p>How a caller shows who it is.</p>\n");
    let schemes = entries(&document["components"]["securitySchemes"]);
    let proofs = schemes.map(|(name, scheme)| {
        let header = scheme["name"].as_str().unwrap_or("Authorization: Bearer");
        let about = text(scheme, "description");
        vec![code(name), code(header), escape(about)]
    });
    body.push_str(&table(&["Name", "Header", ""], proofs));
    body.push_str("<h2 id=\"problems\">Problems</h2>\n");
    let problems = kind::ALL.map(|kind| {
        let statuses: Vec<String> = kind.statuses.iter().map(u16::to_string).collect();
        let link = format!("<a href=\"{uri}\">{uri}</a>", uri = kind.uri());
        vec![link, statuses.join(", "), escape(kind.meaning)]
    });
    body.push_str(&table(&["Type", "Status", ""], problems));
    body.push_str("<h2 id=\"bodies\">Bodies</h2>\n");
    for (name, described) in entries(&document["components"]["schemas"]) {
        body.push_str(&schemas::section(name, described));
    }
    page(text(&document["info"], "title"), &body)
}

/// One route.
fn route(path: &str, method: &str, operation: &Value) -> String {
    let mut section = format!(
        "<h3 id=\"{}\">{} <code>{}</code></h3>\n<p>{}.</p>\n<p>{}</p>\n",
        escape(text(operation, "operationId")),
        method.to_uppercase(),
        escape(path),
        escape(text(operation, "summary")),
        escape(text(operation, "description")),
    );
    let proofs: Vec<String> = list(&operation["security"])
        .flat_map(|requirement| entries(requirement).map(|(name, _)| code(name)))
        .collect();
    if !proofs.is_empty() {
        let _ = writeln!(
            section,
            "<p><a href=\"#proofs\">Proof</a>: {}</p>",
            proofs.join(" or ")
        );
    }
    let parameters: Vec<Vec<String>> = list(&operation["parameters"]).map(parameter).collect();
    if !parameters.is_empty() {
        section.push_str("<h4>Parameters</h4>\n");
        section.push_str(&table(&["Name", "In", "", ""], parameters));
    }
    if operation["requestBody"].is_object() {
        section.push_str("<h4>Body</h4>\n");
        section.push_str(&content(&operation["requestBody"]["content"]));
    }
    section.push_str("<h4>Answers</h4>\n");
    for (status, response) in entries(&operation["responses"]) {
        let headers: Vec<String> = entries(&response["headers"])
            .map(|(name, _)| code(name))
            .collect();
        let headers = if headers.is_empty() {
            String::new()
        } else {
            format!(" With {}.", headers.join(", "))
        };
        let _ = writeln!(
            section,
            "<details><summary>{status} {}{headers}</summary>\n{}</details>",
            escape(text(response, "description")),
            content(&response["content"]),
        );
    }
    section
}

fn parameter(parameter: &Value) -> Vec<String> {
    let required = match parameter["required"].as_bool() {
        Some(true) => "required",
        _ => "optional",
    };
    vec![
        code(text(parameter, "name")),
        escape(text(parameter, "in")),
        required.to_owned(),
        escape(text(parameter, "description")),
    ]
}

/// Media types, each with its schema and examples.
fn content(content: &Value) -> String {
    entries(content).fold(String::new(), |mut section, (media_type, body)| {
        let _ = writeln!(
            section,
            "<p>{}: {}</p>",
            code(media_type),
            schema(&body["schema"])
        );
        for example in examples(body) {
            let pretty = serde_json::to_string_pretty(example).unwrap_or_default();
            let _ = writeln!(section, "<pre>{}</pre>", escape(&pretty));
        }
        section
    })
}

fn examples(body: &Value) -> impl Iterator<Item = &Value> {
    let several = entries(&body["examples"]).map(|(_, example)| &example["value"]);
    body.get("example").into_iter().chain(several)
}

/// All operations: path, method, description.
fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    entries(&document["paths"]).flat_map(|(path, item)| {
        entries(item).map(move |(method, operation)| (path, method, operation))
    })
}

fn code(text: &str) -> String {
    format!("<code>{}</code>", escape(text))
}

fn text<'value>(value: &'value Value, name: &str) -> &'value str {
    value[name].as_str().unwrap_or_default()
}

fn list(value: &Value) -> std::slice::Iter<'_, Value> {
    value
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let entries = value.as_object().into_iter().flat_map(Map::iter);
    entries.map(|(name, value)| (name.as_str(), value))
}
