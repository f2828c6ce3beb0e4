//! The `fields` parameter: only what is asked for is answered, such as
//! `files(id,name),nextPageToken`.

use serde_json::{Map, Value};

use super::error::{ApiError, invalid};

/// Keeps of a value what `fields` names; `*` keeps everything.
pub(crate) fn select(value: Value, fields: &str) -> Result<Value, ApiError> {
    let selection =
        parse(fields).ok_or_else(|| invalid(format!("Invalid field selection {fields}")))?;
    Ok(keep(value, &selection))
}

/// A name with what is asked for inside it; an empty list means everything.
#[derive(Debug)]
struct Field<'a> {
    name: &'a str,
    inside: Vec<Field<'a>>,
}

fn keep(value: Value, selection: &[Field]) -> Value {
    match value {
        Value::Array(items) => items
            .into_iter()
            .map(|item| keep(item, selection))
            .collect(),
        Value::Object(mut object) => {
            if selection.is_empty() || selection.iter().any(|field| field.name == "*") {
                return Value::Object(object);
            }
            let kept: Map<String, Value> = selection
                .iter()
                .filter_map(|field| {
                    let value = object.remove(field.name)?;
                    Some((field.name.to_owned(), keep(value, &field.inside)))
                })
                .collect();
            Value::Object(kept)
        }
        other => other,
    }
}

fn parse(text: &str) -> Option<Vec<Field<'_>>> {
    split(text)?.into_iter().map(parse_one).collect()
}

fn parse_one(text: &str) -> Option<Field<'_>> {
    let text = text.trim();
    let end = text.find(['(', '/']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '*') {
        return None;
    }
    let inside = match rest.chars().next() {
        None => Vec::new(),
        Some('/') => vec![parse_one(&rest[1..])?],
        Some(_) => parse(rest.strip_prefix('(')?.strip_suffix(')')?)?,
    };
    Some(Field { name, inside })
}

/// Splits at the commas outside brackets.
fn split(text: &str) -> Option<Vec<&str>> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (index, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            ',' if depth == 0 => {
                parts.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    (depth == 0).then_some(parts)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_named_is_kept() {
        let value = json!({"kind": "x", "files": [{"id": "1", "name": "a", "size": 3}]});
        let kept = select(value.clone(), "files(id,name),nextPageToken").unwrap();
        assert_eq!(kept, json!({"files": [{"id": "1", "name": "a"}]}));
        assert_eq!(
            select(value.clone(), "files/id").unwrap(),
            json!({"files": [{"id": "1"}]})
        );
        assert_eq!(select(value.clone(), "*").unwrap(), value);
        assert!(select(value, "files(id").is_err());
    }
}
