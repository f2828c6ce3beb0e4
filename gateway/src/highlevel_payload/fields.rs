//! Looking for a field in all the places where senders put it.

use chrono::{DateTime, TimeZone as _, Utc};
use serde_json::{Map, Value};

/// The first of these JSON pointers that leads to a text which is not blank, or to a number.
pub(super) fn text(payload: &Value, pointers: &[&str]) -> Option<String> {
    pointers
        .iter()
        .filter_map(|pointer| payload.pointer(pointer))
        .find_map(|value| match value {
            Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
}

/// The first of these JSON pointers that leads to a text which is not blank, exactly as written.
pub(super) fn words(payload: &Value, pointers: &[&str]) -> Option<String> {
    pointers
        .iter()
        .filter_map(|pointer| payload.pointer(pointer)?.as_str())
        .find(|text| !text.trim().is_empty())
        .map(str::to_owned)
}

/// The first of these JSON pointers that leads to a yes or no. Forms write it as text.
pub(super) fn flag(payload: &Value, pointers: &[&str]) -> Option<bool> {
    pointers
        .iter()
        .filter_map(|pointer| payload.pointer(pointer))
        .find_map(|value| match value {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) => text.trim().to_ascii_lowercase().parse().ok(),
            _ => None,
        })
}

/// The first of these JSON pointers that leads to a time: RFC 3339 text, or a number of seconds or
/// milliseconds since 1970.
pub(super) fn time(payload: &Value, pointers: &[&str]) -> Option<DateTime<Utc>> {
    text_or_number(payload, pointers).find_map(|text| {
        if let Ok(time) = DateTime::parse_from_rfc3339(&text) {
            return Some(time.to_utc());
        }
        match text.parse::<i64>().ok()? {
            // Seconds have ten digits from 2001 to 2286, milliseconds thirteen.
            number @ 1_000_000_000..=9_999_999_999 => Utc.timestamp_opt(number, 0).single(),
            number @ 1_000_000_000_000..=9_999_999_999_999 => {
                Utc.timestamp_millis_opt(number).single()
            }
            _ => None,
        }
    })
}

/// All fields as they came.
pub(super) fn whole(payload: &Value) -> Map<String, Value> {
    payload.as_object().cloned().unwrap_or_default()
}

fn text_or_number<'a>(
    payload: &'a Value,
    pointers: &'a [&'a str],
) -> impl Iterator<Item = String> + 'a {
    pointers
        .iter()
        .filter_map(|pointer| text(payload, &[pointer]))
}
