//! Form-encoded bodies as JSON: `message[body]=Hi&contact[id]=c` becomes
//! `{"message": {"body": "Hi"}, "contact": {"id": "c"}}`.

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};
use url::form_urlencoded;

/// Fields whose text may be JSON, because the sender could not nest. Other fields never are: a
/// contact may write braces.
const CONTAINERS: [&str; 6] = [
    "attachments",
    "contact",
    "customData",
    "dndSettings",
    "location",
    "workflow",
];

/// Keys of which a `message` that is JSON has at least one. Anything else is what somebody wrote.
const MESSAGE_KEYS: [&str; 4] = ["body", "content", "text", "direction"];

/// Deeper keys than any sender uses are kept as they are.
const DEEPEST: usize = 5;

/// Reads a form. Every form is a valid one.
pub(super) fn read(body: &[u8]) -> Box<RawValue> {
    let mut root = Value::Object(Map::new());
    for (key, value) in form_urlencoded::parse(body) {
        let value = embedded(&key, &value).unwrap_or_else(|| value.clone().into_owned().into());
        insert(&mut root, &segments(&key), value);
    }
    to_raw_value(&root).expect("a JSON value is always valid JSON")
}

/// `message[body]` as `message`, `body`.
fn segments(key: &str) -> Vec<&str> {
    let nested = || {
        let (first, rest) = key.strip_suffix(']')?.split_once('[')?;
        let segments: Vec<&str> = std::iter::once(first).chain(rest.split("][")).collect();
        (!first.is_empty() && segments.len() <= DEEPEST).then_some(segments)
    };
    nested().unwrap_or_else(|| vec![key])
}

fn insert(target: &mut Value, segments: &[&str], value: Value) {
    let Some((first, rest)) = segments.split_first() else {
        *target = value;
        return;
    };
    let is_position = first.bytes().all(|byte| byte.is_ascii_digit());
    if is_position && !target.is_object() {
        if !target.is_array() {
            *target = Value::Array(Vec::new());
        }
        let Value::Array(items) = target else { return };
        match first
            .parse::<usize>()
            .ok()
            .filter(|&position| position < items.len())
        {
            Some(position) => insert(&mut items[position], rest, value),
            None => {
                items.push(Value::Null);
                let last = items.len() - 1;
                insert(&mut items[last], rest, value);
            }
        }
        return;
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else {
        return;
    };
    insert(fields.entry(*first).or_insert(Value::Null), rest, value);
}

/// JSON in a form field.
fn embedded(key: &str, text: &str) -> Option<Value> {
    if key != "message" && !CONTAINERS.contains(&key) {
        return None;
    }
    let value: Value = serde_json::from_str(text).ok()?;
    match &value {
        Value::Object(fields) if key == "message" => MESSAGE_KEYS
            .iter()
            .any(|known| fields.contains_key(*known))
            .then_some(value),
        Value::Object(_) => Some(value),
        Value::Array(_) if key == "attachments" => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::read;

    fn form(body: &str) -> Value {
        serde_json::from_str(read(body.as_bytes()).get()).unwrap()
    }

    #[test]
    fn nested_keys_become_objects_and_arrays() {
        assert_eq!(
            form(
                "contact%5Bid%5D=c&message[body]=a+b&message[type]=2&attachments[]=x&attachments[1]=y"
            ),
            json!({
                "contact": {"id": "c"},
                "message": {"body": "a b", "type": "2"},
                "attachments": ["x", "y"],
            })
        );
    }

    #[test]
    fn json_text_is_unpacked_where_senders_put_it_and_nowhere_else() {
        assert_eq!(
            form("contact={\"id\":\"c\"}&message={\"body\":\"hi\"}&body={\"id\":1}"),
            json!({"contact": {"id": "c"}, "message": {"body": "hi"}, "body": "{\"id\":1}"})
        );
        assert_eq!(
            form("message={\"smile\":1}"),
            json!({"message": "{\"smile\":1}"})
        );
    }

    #[test]
    fn odd_keys_are_kept() {
        assert_eq!(
            form("a[b=1&[c]=2&d[]"),
            json!({"a[b": "1", "[c]": "2", "d": [""]})
        );
    }
}
