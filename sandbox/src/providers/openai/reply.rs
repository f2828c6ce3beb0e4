//! What a synchronous response says: enough about the request that a reader sees what arrived.

use serde_json::{Map, Value, json};

use super::request::{CreateResponse, Turn};

/// The text of the answer: JSON where the request asked for a schema. It says what was scripted, else
/// what arrived.
pub(crate) fn answer(request: &CreateResponse, scripted: Option<String>) -> String {
    let text = scripted.unwrap_or_else(|| describe(&request.turns));
    match &request.schema {
        None => text,
        Some(schema) => satisfy(schema, "text", &text).to_string(),
    }
}

/// Names how many messages the last turn of the user holds, and quotes the end of the last one.
/// Messages that follow each other without an answer, in one item or several, are one turn.
fn describe(turns: &[Turn]) -> String {
    let conversation: Vec<&Turn> = turns
        .iter()
        .filter(|turn| turn.role == "user" || turn.role == "assistant")
        .filter(|turn| !is_marked_off(&turn.text))
        .collect();
    let unanswered = conversation
        .rsplit(|turn| turn.role == "assistant")
        .next()
        .unwrap_or(&[]);
    let messages: Vec<&str> = unanswered
        .iter()
        .flat_map(|turn| turn.text.lines())
        .filter(|line| !line.trim().is_empty())
        .collect();
    let words: Vec<&str> = messages
        .last()
        .map_or("", |line| line)
        .split_whitespace()
        .collect();
    let last_words = words[words.len().saturating_sub(6)..].join(" ");
    let (count, noun) = (
        messages.len(),
        if messages.len() == 1 {
            "message"
        } else {
            "messages"
        },
    );
    format!("Thank you for your {count} {noun}, the last of which ends with \"{last_words}\".")
}

/// Whether an item is one element such as `<some_facts>…</some_facts>`: data that the caller marks
/// off, not a message. E-mails are elements too, but none of HTML's names has an underscore.
fn is_marked_off(text: &str) -> bool {
    let name = text
        .strip_prefix('<')
        .and_then(|rest| rest.split_once('>'))
        .map_or("", |(name, _)| name);
    name.contains('_') && text.ends_with(&format!("</{name}>"))
}

/// A value of the schema: `text` where it wants text, true, 1 and empty lists elsewhere.
fn satisfy(schema: &Value, name: &str, text: &str) -> Value {
    if let Some(choices) = schema["enum"].as_array() {
        return choices.first().cloned().unwrap_or_default();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.first().and_then(Value::as_str).unwrap_or_default(),
        kind => kind.as_str().unwrap_or_default(),
    };
    match kind {
        "object" => {
            let empty = Map::new();
            let properties = schema["properties"].as_object().unwrap_or(&empty);
            let fields = properties
                .iter()
                .map(|(name, property)| (name.clone(), satisfy(property, name, text)));
            Value::Object(fields.collect())
        }
        "string" if ["text", "reply", "message"].contains(&name) => json!(text),
        "string" => json!(""),
        "boolean" => json!(true),
        "integer" | "number" => json!(1),
        "array" => json!([]),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(role: &str, text: &str) -> Turn {
        Turn {
            role: role.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn only_what_the_assistant_has_not_answered_is_counted() {
        let turns = [
            turn("user", "old question"),
            turn("assistant", "old answer"),
            turn("user", "hello\nare you there"),
            turn("user", "can I come on Tuesday at ten please"),
        ];
        let text = describe(&turns);
        assert!(text.contains("3 messages"), "{text}");
        assert!(
            text.ends_with("\"come on Tuesday at ten please\"."),
            "{text}"
        );
    }

    #[test]
    fn facts_that_are_marked_off_are_no_message() {
        let turns = [
            turn("user", "<some_facts>{}</some_facts>"),
            turn("user", "<p>hello</p>"),
        ];
        assert!(describe(&turns).contains("1 message,"));
    }

    #[test]
    fn an_answer_satisfies_the_schema() {
        let schema = json!({"type": "object", "properties": {
            "send": {"type": "boolean"}, "text": {"type": "string"}}});
        assert_eq!(
            satisfy(&schema, "text", "hi"),
            json!({"send": true, "text": "hi"})
        );
    }
}
