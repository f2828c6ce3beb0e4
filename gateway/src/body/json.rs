//! From the bytes of a JSON body to its fields, with a problem that says where it went wrong and
//! does not repeat what was sent.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use serde_path_to_error::{Path, Segment};

use crate::problem::Problem;

/// Reads a body as a JSON object.
///
/// # Errors
/// 400 when it is none, 422 when a field has the wrong kind of value.
pub(crate) fn object<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    if text.trim_start().starts_with('{')
        && let Ok(object) = serde_json::from_str(text)
    {
        return Ok(object);
    }
    // Once more, to say what is wrong with it. The whole text first: a body that is cut short is
    // malformed, whatever its first fields are.
    let whole: &RawValue = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
    if !whole.get().starts_with('{') {
        return Err(Problem::malformed("The body must be a JSON object."));
    }
    with_path(&mut serde_json::Deserializer::from_str(whole.get()))
}

/// Reads fields that were read without their types before.
///
/// # Errors
/// 422 when a field has the wrong kind of value.
pub(crate) fn typed<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, Problem> {
    with_path(Value::Object(fields))
}

fn with_path<'de, T, D>(deserializer: D) -> Result<T, Problem>
where
    T: Deserialize<'de>,
    D: Deserializer<'de, Error = serde_json::Error>,
{
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        if error.inner().is_data() {
            wrong_field(&error)
        } else {
            malformed(error.inner())
        }
    })
}

/// The problem of a body that is not JSON, with the place and without the text.
pub(crate) fn malformed(error: &serde_json::Error) -> Problem {
    let (line, column) = (error.line(), error.column());
    Problem::malformed(format!(
        "The body can't be read as JSON (line {line}, column {column})."
    ))
}

fn wrong_field(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let pointer = pointer(error.path());
    let name = pointer.rsplit('/').next().unwrap_or_default();
    let message = error.inner().to_string();
    // `invalid type: string "…", expected a boolean at line 1 column 9`
    let message = message
        .rsplit_once(" at line ")
        .map_or(message.as_str(), |(message, _)| message);
    let detail = match message.rsplit_once(", expected ") {
        Some((_, "a map")) => format!("{name} must be an object."),
        Some((_, expected)) => format!("{name} must be {expected}."),
        None => format!("The body can't be read: {message}."),
    };
    Problem::invalid_field(&pointer, detail)
}

/// The path as a JSON pointer (RFC 6901).
fn pointer(path: &Path) -> String {
    path.iter().fold(String::new(), |pointer, segment| {
        let step = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.replace('~', "~0").replace('/', "~1"),
            Segment::Enum { variant } => variant.clone(),
            Segment::Unknown => return pointer,
        };
        pointer + "/" + &step
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::object;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only the errors count here")]
    struct Body {
        refresh: Option<bool>,
        names: Option<BTreeMap<String, Vec<String>>>,
        #[serde(flatten)]
        extra: BTreeMap<String, Value>,
    }

    fn problem(body: &[u8]) -> Value {
        serde_json::to_value(object::<Body>(body).unwrap_err()).unwrap()
    }

    #[test]
    fn what_is_not_json_is_malformed_and_the_place_is_told() {
        for (body, place) in [
            (&b"{\"refresh\": 7"[..], "line 1, column 13"),
            (b"{\n  \"a\": nothing}", "line 2, column 9"),
            (b"{\"a\": \"\xff\"}", "line 1, column"),
            (b"{\"a\": \"\\ud800\"}", "line 1, column"),
            (b"", "line 1, column 0"),
        ] {
            let problem = problem(body);
            assert_eq!(problem["type"], "/problems/malformed-request");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains(place), "{detail}");
        }
        assert_eq!(
            problem(b"[true]")["detail"],
            "The body must be a JSON object."
        );
    }

    #[test]
    fn a_field_with_the_wrong_kind_of_value_is_named_and_its_value_is_not_repeated() {
        for (body, pointer, detail) in [
            (
                json!({"refresh": "yes, expected or not"}),
                "/refresh",
                "refresh must be a boolean.",
            ),
            (
                json!({"names": {"a/b": ["x", 7]}}),
                "/names/a~1b/1",
                "1 must be a string.",
            ),
            (json!({"names": 1}), "/names", "names must be an object."),
        ] {
            let problem = problem(body.to_string().as_bytes());
            assert_eq!(problem["type"], "/problems/invalid-field");
            assert_eq!(
                problem["errors"],
                json!([{"pointer": pointer, "detail": detail}])
            );
        }
    }

    #[test]
    fn deep_nesting_is_refused_and_does_not_exhaust_the_stack() {
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        let problem = problem(deep.as_bytes());
        assert_eq!(problem["type"], "/problems/malformed-request");
    }
}
