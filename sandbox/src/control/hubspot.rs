//! Plays the salesperson: makes deals and moves them to other stages.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::{Answer, parse};
use crate::app::{App, lock};
use crate::providers::hubspot::store::Record;
use crate::providers::hubspot::webhook;

/// A deal to create or overwrite.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutDeal {
    id: String,
    #[serde(default)]
    properties: BTreeMap<String, String>,
    #[serde(default)]
    companies: Vec<PutCompany>,
}

/// A company of the deal.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutCompany {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    properties: BTreeMap<String, String>,
}

/// `POST /sandbox/hubspot/deals`.
pub(crate) async fn put_deal(State(app): State<Arc<App>>, body: Bytes) -> Answer {
    let deal: PutDeal = parse(&body)?;
    if deal.id.parse::<u64>().is_err() {
        return Err((
            StatusCode::BAD_REQUEST,
            "a deal's id is a number in text\n".to_owned(),
        ));
    }
    let mut store = lock(&app.hubspot);
    let mut company_ids = Vec::new();
    for company in deal.companies {
        let id = company.id.unwrap_or_else(|| store.new_id());
        let record = Record::new(&id, pairs(&company.properties), Vec::new());
        store.companies.insert(id.clone(), record);
        company_ids.push(id);
    }
    let record = Record::new(&deal.id, pairs(&deal.properties), company_ids.clone());
    store.deals.insert(deal.id.clone(), record);
    Ok(Json(json!({"id": deal.id, "companies": company_ids})))
}

/// Where a deal goes, and how often the same event is sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeStage {
    stage: String,
    #[serde(default = "once")]
    times: u32,
}

/// `POST /sandbox/hubspot/deals/{id}/stage`: answers when the gateway has answered.
pub(crate) async fn change_stage(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Answer {
    let ChangeStage { stage, times } = parse(&body)?;
    match lock(&app.hubspot).deals.get_mut(&id) {
        Some(deal) => deal.set("dealstage", Some(stage.clone())),
        None => return Err((StatusCode::NOT_FOUND, format!("there is no deal {id}\n"))),
    }
    let sent = webhook::stage_changed(&app, &id, &stage, "CRM_UI", times);
    let mut deliveries = Vec::new();
    for attempts in sent {
        deliveries.extend(attempts.wait().await);
    }
    Ok(Json(
        json!({"deal": id, "stage": stage, "deliveries": deliveries}),
    ))
}

fn pairs(properties: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    properties
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
}

fn once() -> u32 {
    1
}
