//! Docs v1: `documents.get` and `documents:batchUpdate` (contracts/google.md section 4).

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::document::{Document, Edit, Span};
use super::error::{ApiError, for_status, invalid};
use super::fields;
use super::files::File;
use crate::app::{App, lock};
use crate::effects::EffectKind;

type Answer = Result<Json<Value>, ApiError>;

/// `GET /v1/documents/{id}`.
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let store = lock(&app.google);
    let (file, document) = store
        .files
        .iter()
        .find_map(|file| is_document(file, &id))
        .ok_or_else(not_found)?;
    let mut shown = json!({"documentId": id, "title": file.name, "revisionId": revision(file),
                           "suggestionsViewMode": "SUGGESTIONS_INLINE"});
    if query
        .get("includeTabsContent")
        .is_some_and(|value| value == "true")
    {
        shown["tabs"] = json!([{"tabProperties": {"tabId": "t.0", "title": "Tab 1", "index": 0},
                                "documentTab": {"body": document.body()}}]);
    } else {
        shown["body"] = document.body();
    }
    match query.get("fields") {
        Some(fields) => fields::select(shown, fields).map(Json),
        None => Ok(Json(shown)),
    }
}

/// `POST /v1/documents/{id}:batchUpdate`: all requests or none.
pub(crate) async fn batch_update(
    State(app): State<Arc<App>>,
    Path(target): Path<String>,
    body: Bytes,
) -> Answer {
    let Some((id, "batchUpdate")) = target.rsplit_once(':') else {
        return Err(for_status(StatusCode::NOT_FOUND, "Unknown method."));
    };
    let body: Value = serde_json::from_slice(&body)
        .map_err(|error| invalid(format!("Invalid JSON payload received. {error}")))?;
    let requests = body["requests"]
        .as_array()
        .filter(|requests| !requests.is_empty());
    let requests = requests.ok_or_else(|| invalid("Must specify at least one request."))?;

    let answer = {
        let mut store = lock(&app.google);
        let file = store
            .files
            .iter_mut()
            .find(|file| file.id == id && file.document.is_some());
        let file = file.ok_or_else(not_found)?;
        let required = &body["writeControl"]["requiredRevisionId"];
        if !required.is_null() && *required != revision(file) {
            let message = "The required revision ID does not match the latest revision.";
            return Err(invalid(message));
        }
        let mut document = file.document.clone().unwrap_or_else(Document::empty);
        let replies = apply_all(&mut document, requests)?;
        file.document = Some(document);
        file.revision += 1;
        json!({"documentId": id, "replies": replies,
               "writeControl": {"requiredRevisionId": revision(file)}})
    };
    let detail = json!({"requests": requests.len()});
    app.effect(EffectKind::DocumentUpdates, Some(id), detail);
    Ok(Json(answer))
}

fn apply_all(document: &mut Document, requests: &[Value]) -> Result<Vec<Value>, ApiError> {
    let mut replies = Vec::new();
    for (number, request) in requests.iter().enumerate() {
        let mut fields = request.as_object().into_iter().flatten();
        let (Some((kind, body)), None) = (fields.next(), fields.next()) else {
            let message = format!("Invalid requests[{number}]: exactly one kind must be set.");
            return Err(invalid(message));
        };
        let reply = apply(document, kind, body)
            .map_err(|problem| invalid(format!("Invalid requests[{number}].{kind}: {problem}")))?;
        replies.push(reply);
    }
    Ok(replies)
}

fn apply(document: &mut Document, kind: &str, body: &Value) -> Edit<Value> {
    match kind {
        "replaceAllText" => {
            let find = text(&body["containsText"], "text")?;
            let match_case = body["containsText"]["matchCase"] == true;
            let with = body["replaceText"].as_str().unwrap_or_default();
            return Ok(match document.replace_all(find, match_case, with)? {
                0 => json!({"replaceAllText": {}}),
                count => json!({"replaceAllText": {"occurrencesChanged": count}}),
            });
        }
        "insertText" => document.insert_text(place(document, body)?, text(body, "text")?)?,
        "insertTable" => {
            let (rows, columns) = (number(body, "rows")?, number(body, "columns")?);
            document.insert_table(place(document, body)?, rows, columns)?;
        }
        "deleteContentRange" => document.delete(span(body)?)?,
        "updateTextStyle" => document.style_text(span(body)?, &style(body, "textStyle")?)?,
        "updateParagraphStyle" => {
            document.style_paragraphs(span(body)?, &style(body, "paragraphStyle")?)?;
        }
        "createParagraphBullets" => {
            text(body, "bulletPreset")?;
            document.bullet_paragraphs(span(body)?)?;
        }
        _ => return Err("Unknown name: cannot find field.".to_owned()),
    }
    Ok(json!({}))
}

/// `location.index`, or the end of the body.
fn place(document: &Document, body: &Value) -> Edit<usize> {
    if body["endOfSegmentLocation"].is_object() {
        return Ok(document.end());
    }
    number(&body["location"], "index")
}

fn span(body: &Value) -> Edit<Span> {
    let range = &body["range"];
    Ok(Span {
        start: number(range, "startIndex")?,
        end: number(range, "endIndex")?,
    })
}

/// The part of a style that `fields` names; what it names and the style lacks is reset.
fn style(body: &Value, name: &str) -> Edit<Map<String, Value>> {
    let fields = text(body, "fields")?;
    if fields == "*" {
        return Ok(body[name].as_object().cloned().unwrap_or_default());
    }
    let top_level = fields
        .split(',')
        .map(|field| field.split('.').next().unwrap_or(field).trim());
    Ok(top_level
        .map(|field| (field.to_owned(), body[name][field].clone()))
        .collect())
}

fn text<'a>(body: &'a Value, name: &str) -> Edit<&'a str> {
    let text = body[name].as_str().filter(|text| !text.is_empty());
    text.ok_or_else(|| format!("{name} must be set."))
}

fn number(body: &Value, name: &str) -> Edit<usize> {
    let number = body[name]
        .as_u64()
        .and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| format!("{name} must be set to a number."))
}

fn is_document<'a>(file: &'a File, id: &str) -> Option<(&'a File, &'a Document)> {
    (file.id == id).then_some(file).zip(file.document.as_ref())
}

fn revision(file: &File) -> String {
    format!("{}-{}", file.id, file.revision)
}

fn not_found() -> ApiError {
    for_status(StatusCode::NOT_FOUND, "Requested entity was not found.")
}
