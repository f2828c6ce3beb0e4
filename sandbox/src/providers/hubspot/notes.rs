//! Notes on deals (contracts/hubspot.md section 5.4).

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use chrono::DateTime;
use serde_json::{Value, json};

use super::error::{ApiError, for_status, not_found, validation};
use super::objects::{Answer, ReadQuery, parse};
use super::store::Record;
use crate::app::{App, lock};
use crate::effects::EffectKind;

/// Properties shown when none are asked for.
pub(crate) const USUAL: [&str; 0] = [];
const LONGEST_BODY: usize = 65_536;
const NOTE_TO_DEAL: u64 = 214;
const DEAL_TO_NOTE: u64 = 213;

pub(crate) async fn create(
    State(app): State<Arc<App>>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let body = parse(&body)?;
    let timestamp = required(&body, "hs_timestamp")?;
    if !is_timestamp(&timestamp) {
        let message = format!("{timestamp} was not a valid long.");
        return Err(validation(&message, "INVALID_LONG", "hs_timestamp"));
    }
    let text = required(&body, "hs_note_body")?;
    if text.chars().count() > LONGEST_BODY {
        let message = "Property hs_note_body is longer than 65536 characters.";
        return Err(validation(
            message,
            "PROPERTY_VALUE_TOO_LONG",
            "hs_note_body",
        ));
    }
    let mut store = lock(&app.hubspot);
    let deals = associated_deals(&body)?;
    if let Some(unknown) = deals.iter().find(|id| !store.deals.contains_key(*id)) {
        return Err(not_found("DEAL", unknown));
    }
    let id = store.new_id();
    let properties = [
        ("hs_timestamp", timestamp.as_str()),
        ("hs_note_body", text.as_str()),
    ];
    let note = Record::new(&id, properties, deals);
    let shown = note.show(Some("hs_timestamp,hs_note_body"), &USUAL);
    let deal = note.associated.first().cloned();
    store.notes.insert(id.clone(), note);
    drop(store);
    app.effect(
        EffectKind::NotesCreated,
        deal.as_deref(),
        json!({"note_id": id, "body": text}),
    );
    Ok((StatusCode::CREATED, Json(shown)))
}

pub(crate) async fn read(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(query): Query<ReadQuery>,
) -> Answer {
    let store = lock(&app.hubspot);
    let note = store.notes.get(&id).ok_or_else(|| not_found("NOTE", &id))?;
    Ok(Json(note.show(query.properties.as_deref(), &USUAL)))
}

/// The notes of a deal, in the v4 form of association lists.
pub(crate) async fn of_deal(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    let store = lock(&app.hubspot);
    if !store.deals.contains_key(&id) {
        return Err(not_found("DEAL", &id));
    }
    let kind = json!([{"category": "HUBSPOT_DEFINED", "typeId": DEAL_TO_NOTE, "label": null}]);
    let results: Vec<Value> = store
        .notes
        .values()
        .filter(|note| note.associated.contains(&id))
        .filter_map(|note| note.id.parse::<u64>().ok())
        .map(|note_id| json!({"toObjectId": note_id, "associationTypes": kind}))
        .collect();
    Ok(Json(json!({"results": results})))
}

fn required(body: &Value, name: &str) -> Result<String, ApiError> {
    match &body["properties"][name] {
        Value::String(text) if !text.is_empty() => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => {
            let message =
                format!("Error creating NOTE. Some required properties were not set: {name}.");
            Err(validation(&message, "MISSING_REQUIRED_PROPERTY", name))
        }
    }
}

/// ISO 8601, or Unix milliseconds.
fn is_timestamp(text: &str) -> bool {
    text.parse::<i64>().is_ok() || DateTime::parse_from_rfc3339(text).is_ok()
}

fn associated_deals(body: &Value) -> Result<Vec<String>, ApiError> {
    let associations = body["associations"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    associations.iter().map(associated_deal).collect()
}

fn associated_deal(association: &Value) -> Result<String, ApiError> {
    let kind = &association["types"][0];
    if kind["associationCategory"] != "HUBSPOT_DEFINED" || kind["associationTypeId"] != NOTE_TO_DEAL
    {
        let message = format!("Invalid association type {kind}: a note is tied to a deal by 214.");
        return Err(for_status(StatusCode::BAD_REQUEST, &message));
    }
    match &association["to"]["id"] {
        Value::String(id) => Ok(id.clone()),
        Value::Number(id) => Ok(id.to_string()),
        _ => Err(for_status(
            StatusCode::BAD_REQUEST,
            "Invalid input JSON: 'to.id' is missing",
        )),
    }
}
