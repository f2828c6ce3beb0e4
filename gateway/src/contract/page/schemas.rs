//! Schemas for people.

use std::fmt::Write as _;

use serde_json::Value;

use super::html::{escape, table};
use super::{code, entries, list, text};

/// A named schema with its properties.
pub(super) fn section(name: &str, described: &Value) -> String {
    let mut section = format!(
        "<h3 id=\"body-{name}\">{name}</h3>\n<p>{}</p>\n",
        escape(text(described, "description")),
        name = escape(name),
    );
    if described["properties"].is_object() {
        let required: Vec<&str> = list(&described["required"])
            .filter_map(Value::as_str)
            .collect();
        let properties = entries(&described["properties"]).map(|(name, property)| {
            let is_required = if required.contains(&name) {
                "required"
            } else {
                ""
            };
            vec![
                code(name),
                schema(property),
                is_required.to_owned(),
                escape(text(property, "description")),
            ]
        });
        section.push_str(&table(&["Field", "Value", "", ""], properties));
    } else {
        let _ = writeln!(section, "<p>{}</p>", schema(described));
    }
    section
}

/// What a value is, in a few words.
pub(super) fn schema(described: &Value) -> String {
    if let Some(name) = described["$ref"]
        .as_str()
        .and_then(|path| path.rsplit('/').next())
    {
        let name = escape(name);
        return format!("<a href=\"#body-{name}\">{name}</a>");
    }
    for combination in ["oneOf", "anyOf"] {
        if described[combination].is_array() {
            let parts: Vec<String> = list(&described[combination]).map(schema).collect();
            return parts.join(" or ");
        }
    }
    if described["enum"].is_array() {
        let values: Vec<String> = list(&described["enum"])
            .filter_map(Value::as_str)
            .map(code)
            .collect();
        return values.join(", ");
    }
    let mut words = match &described["type"] {
        Value::String(name) => escape(name),
        Value::Array(names) => {
            let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
            escape(&names.join(" or "))
        }
        _ => "any".to_owned(),
    };
    if described["items"].is_object() {
        let _ = write!(words, " of {}", schema(&described["items"]));
    }
    if described["additionalProperties"].is_object() {
        let _ = write!(words, " of {}", schema(&described["additionalProperties"]));
    }
    for (name, word) in [
        ("format", ""),
        ("minimum", "from "),
        ("maximum", "to "),
        ("maxItems", "at most "),
        ("maxLength", "at most "),
    ] {
        match &described[name] {
            Value::String(value) => {
                let _ = write!(words, ", {word}{}", escape(value));
            }
            Value::Number(value) => {
                let _ = write!(words, ", {word}{value}");
            }
            _ => {}
        }
    }
    words
}
