//! Deals and companies (contracts/hubspot.md sections 5.1 to 5.3).

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::{ApiError, for_status, not_found, validation};
use super::store::{HubSpotStore, Properties, Record};
use super::{notes, webhook};
use crate::app::{App, lock, now_text};
use crate::effects::EffectKind;

pub(crate) type Answer = Result<Json<Value>, ApiError>;

/// What can be asked for when an object is read.
#[derive(Debug, Deserialize)]
pub(crate) struct ReadQuery {
    pub(crate) properties: Option<String>,
    associations: Option<String>,
}

const USUAL_OF_DEAL: [&str; 5] = ["amount", "closedate", "dealname", "dealstage", "pipeline"];
const USUAL_OF_COMPANY: [&str; 2] = ["domain", "name"];
const LARGEST_BATCH: usize = 100;

pub(crate) async fn read_deal(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(query): Query<ReadQuery>,
) -> Answer {
    let store = lock(&app.hubspot);
    let deal = store.deals.get(&id).ok_or_else(|| not_found("DEAL", &id))?;
    let mut shown = deal.show(query.properties.as_deref(), &USUAL_OF_DEAL);
    for kind in query.associations.as_deref().unwrap_or_default().split(',') {
        match kind.trim() {
            "" => {}
            "company" | "companies" | "0-2" => show_companies(&mut shown, deal),
            "note" | "notes" | "contact" | "contacts" => {}
            other => {
                let message = format!("Unable to infer object type from: {other}");
                return Err(for_status(StatusCode::BAD_REQUEST, &message));
            }
        }
    }
    Ok(Json(shown))
}

/// Each company stands there twice, once for each association type.
fn show_companies(shown: &mut Value, deal: &Record) {
    let results: Vec<Value> = deal
        .associated
        .iter()
        .flat_map(|id| {
            ["deal_to_company", "deal_to_company_unlabeled"]
                .map(|kind| json!({"id": id, "type": kind}))
        })
        .collect();
    if !results.is_empty() {
        shown["associations"]["companies"] = json!({"results": results});
    }
}

pub(crate) async fn read_company(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(query): Query<ReadQuery>,
) -> Answer {
    let store = lock(&app.hubspot);
    let company = store
        .companies
        .get(&id)
        .ok_or_else(|| not_found("COMPANY", &id))?;
    Ok(Json(
        company.show(query.properties.as_deref(), &USUAL_OF_COMPANY),
    ))
}

pub(crate) async fn update_deal(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Answer {
    let changes = properties(&parse(&body)?)?;
    let (shown, stage) = {
        let mut store = lock(&app.hubspot);
        if let Some(name) = changes
            .keys()
            .find(|name| !store.deal_properties.contains(*name))
        {
            let message = format!("Property \"{name}\" does not exist");
            return Err(validation(&message, "PROPERTY_DOESNT_EXIST", name));
        }
        let deal = store
            .deals
            .get_mut(&id)
            .ok_or_else(|| not_found("DEAL", &id))?;
        let stage_before = deal.properties.get("dealstage").cloned().flatten();
        for (name, value) in &changes {
            deal.set(name, value.clone());
        }
        let stage = changes.get("dealstage").cloned().flatten();
        let names: Vec<&str> = changes.keys().map(String::as_str).collect();
        let shown = deal.show(Some(&names.join(",")), &USUAL_OF_DEAL);
        (
            shown,
            stage.filter(|stage| Some(stage) != stage_before.as_ref()),
        )
    };
    app.effect(EffectKind::DealUpdates, Some(&id), json!(changes));
    if let Some(stage) = stage {
        webhook::stage_changed(&app, &id, &stage, "INTEGRATION", 1);
    }
    Ok(Json(shown))
}

pub(crate) async fn create_deal_property(
    State(app): State<Arc<App>>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let body = parse(&body)?;
    let Some(name) = body["name"].as_str() else {
        return Err(validation(
            "Property name is required.",
            "MISSING_NAME",
            "name",
        ));
    };
    if !lock(&app.hubspot).deal_properties.insert(name.to_owned()) {
        let message = format!("Property {name} already exists");
        return Err(for_status(StatusCode::CONFLICT, &message));
    }
    Ok((StatusCode::CREATED, Json(body)))
}

/// Reads several companies or notes at once; 207 when some are missing.
pub(crate) async fn batch_read(
    State(app): State<Arc<App>>,
    Path(kind): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let body = parse(&body)?;
    let Some(inputs) = body["inputs"].as_array() else {
        return Err(for_status(
            StatusCode::BAD_REQUEST,
            "Invalid input JSON: inputs is missing",
        ));
    };
    if inputs.len() > LARGEST_BATCH {
        let message = "The maximum number of inputs is 100.";
        return Err(for_status(StatusCode::BAD_REQUEST, message));
    }
    let names: Option<Vec<&str>> = body["properties"]
        .as_array()
        .map(|names| names.iter().filter_map(Value::as_str).collect());
    let asked = names.map(|names| names.join(","));
    let store = lock(&app.hubspot);
    let (records, usual) = records(&store, &kind)?;
    let ids: Vec<&str> = inputs
        .iter()
        .filter_map(|input| input["id"].as_str())
        .collect();
    let (found, missing): (Vec<&str>, Vec<&str>) =
        ids.into_iter().partition(|id| records.contains_key(*id));
    let results: Vec<Value> = found
        .iter()
        .map(|id| records[*id].show(asked.as_deref(), usual))
        .collect();
    let mut answer = json!({"status": "COMPLETE", "results": results,
                            "startedAt": now_text(), "completedAt": now_text()});
    if missing.is_empty() {
        return Ok((StatusCode::OK, Json(answer)));
    }
    answer["numErrors"] = json!(1);
    answer["errors"] = json!([{"status": "error", "category": "OBJECT_NOT_FOUND",
        "message": "Could not get some objects, they may be deleted or not exist.",
        "context": {"ids": missing}}]);
    Ok((StatusCode::MULTI_STATUS, Json(answer)))
}

/// The JSON of a request's body.
pub(crate) fn parse(body: &Bytes) -> Result<Value, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        for_status(
            StatusCode::BAD_REQUEST,
            &format!("Invalid input JSON: {error}"),
        )
    })
}

/// The text or null values of a body's `properties`.
pub(crate) fn properties(body: &Value) -> Result<Properties, ApiError> {
    let fields = body["properties"].as_object().ok_or_else(|| {
        for_status(
            StatusCode::BAD_REQUEST,
            "Invalid input JSON: properties is missing",
        )
    })?;
    let value = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    Ok(fields
        .iter()
        .map(|(name, field)| (name.clone(), value(field)))
        .collect())
}

type Records<'a> = (
    &'a std::collections::BTreeMap<String, Record>,
    &'static [&'static str],
);

fn records<'a>(store: &'a HubSpotStore, kind: &str) -> Result<Records<'a>, ApiError> {
    match kind {
        "companies" => Ok((&store.companies, &USUAL_OF_COMPANY)),
        "notes" => Ok((&store.notes, &notes::USUAL)),
        "deals" => Ok((&store.deals, &USUAL_OF_DEAL)),
        other => {
            let message = format!("Unable to infer object type from: {other}");
            Err(for_status(StatusCode::BAD_REQUEST, &message))
        }
    }
}
