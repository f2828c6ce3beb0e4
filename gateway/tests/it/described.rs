//! Every answer that any test here gets is compared with the description of its route.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use ::gateway::contract::DOCUMENT;
use axum::http::HeaderName;
use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::gateway::Answer;

/// Validators by their schemas; making one takes a while.
static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// Headers that tell callers what to do next: they are described wherever they are sent.
const TOLD: [&str; 4] = [
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "www-authenticate",
];

/// All operations: method, path, description.
pub(crate) fn operations() -> impl Iterator<Item = (&'static str, &'static str, &'static Value)> {
    entries(&DOCUMENT["paths"]).flat_map(|(path, item)| {
        entries(item).map(move |(method, operation)| (method, path, operation))
    })
}

/// The members of an object; none for anything else.
pub(crate) fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let entries = value.as_object().into_iter().flat_map(Map::iter);
    entries.map(|(name, value)| (name.as_str(), value))
}

/// Why the value does not fit the schema, or nothing.
pub(crate) fn misfits(schema: &Value, value: &Value) -> Vec<String> {
    let validator = validator(schema);
    let errors = validator.iter_errors(value);
    errors
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

fn validator(schema: &Value) -> Arc<Validator> {
    let make = || {
        // References are found from the root of the schema.
        let schema = json!({"allOf": [schema], "components": DOCUMENT["components"]});
        let options = jsonschema::options().should_validate_formats(true);
        Arc::new(options.build(&schema).unwrap())
    };
    let mut validators = VALIDATORS.lock().unwrap();
    validators
        .entry(schema.to_string())
        .or_insert_with(make)
        .clone()
}

/// The description's path of a request's path.
pub(crate) fn template(path: &str) -> Option<&'static str> {
    let path = path.split('?').next().unwrap();
    let matches = |template: &&str| {
        let (mut known, mut given) = (template.split('/'), path.split('/'));
        loop {
            match (known.next(), given.next()) {
                (None, None) => return true,
                (Some(known), Some(given)) if known == given => {}
                (Some(known), Some(given)) if known.starts_with('{') && !given.is_empty() => {}
                _ => return false,
            }
        }
    };
    let mut templates: Vec<_> = entries(&DOCUMENT["paths"]).map(|(path, _)| path).collect();
    // A path without parameters goes first.
    templates.sort_by_key(|path| path.contains('{'));
    templates.into_iter().find(matches)
}

/// Checks an answer. Paths and methods that do not exist are described once, in words.
pub(crate) fn check(method: &str, path: &str, answer: &Answer) {
    let Some(path) = template(path) else { return };
    let Some((_, _, operation)) =
        operations().find(|(known, of, _)| *of == path && known.eq_ignore_ascii_case(method))
    else {
        return;
    };
    let status = answer.status.as_str();
    let about = format!("{method} {path} {status}");
    let response = &operation["responses"][status];
    assert!(response.is_object(), "{about} is not described");
    for (name, header) in entries(&response["headers"]) {
        let is_there = answer.headers.contains_key(name) || header["required"] != true;
        assert!(is_there, "{about}: no {name}");
    }
    for name in answer.headers.keys().map(HeaderName::as_str) {
        let is_described = response["headers"][name].is_object();
        assert!(is_described || !TOLD.contains(&name), "{about}: {name}");
    }
    let Some(media_type) = answer.headers.get("content-type") else {
        assert!(response["content"].is_null(), "{about} has no body");
        return;
    };
    let media_type = media_type.to_str().unwrap().split(';').next().unwrap();
    let content = &response["content"][media_type];
    assert!(
        content.is_object(),
        "{about} is not described as {media_type}"
    );
    let misfits = misfits(&content["schema"], &answer.body);
    assert!(misfits.is_empty(), "{about}: {misfits:?}: {}", answer.body);
}
