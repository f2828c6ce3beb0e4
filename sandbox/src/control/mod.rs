//! The control interface under `/sandbox`: what the stand-ins received, scripted faults, and the
//! people and services on the other side.

mod highlevel;
mod hubspot;
mod page;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::app::{App, lock};
use crate::effects::EffectKind;
use crate::faults::Fault;
use crate::providers::Provider;
use crate::providers::google;
use crate::providers::openai::store::Ending;
use crate::webhooks::DeliveryMode;

/// What a control call answers; the error is a plain text with its status.
type Answer = Result<Json<Value>, (StatusCode, String)>;

/// All routes but `/sandbox/notify`.
pub(crate) fn router(app: &Arc<App>) -> Router {
    Router::new()
        .route("/", get(page::show))
        .route("/sandbox", get(page::show))
        .route("/sandbox/received", get(received))
        .route("/sandbox/effects", get(effects))
        .route("/sandbox/deliveries", get(deliveries))
        .route("/sandbox/faults", get(pending_faults).post(add_fault))
        .route("/sandbox/delivery", post(set_delivery))
        .route("/sandbox/gateway", post(set_gateway))
        .route("/sandbox/reset", post(reset))
        .route("/sandbox/openai/next", post(script_ending))
        .route("/sandbox/openai/next-reply", post(script_reply))
        .route("/sandbox/google", post(set_google))
        .route("/sandbox/google/documents/{id}", get(google::read))
        .route("/sandbox/hubspot/deals", post(hubspot::put_deal))
        .route(
            "/sandbox/hubspot/deals/{id}/stage",
            post(hubspot::change_stage),
        )
        .route("/sandbox/highlevel", post(highlevel::set))
        .route("/sandbox/highlevel/events", post(highlevel::send_event))
        .route(
            "/sandbox/highlevel/contacts",
            post(highlevel::create_contact),
        )
        .route(
            "/sandbox/highlevel/contacts/{id}/messages",
            post(highlevel::write),
        )
        .route(
            "/sandbox/highlevel/contacts/{id}/human-reply",
            post(highlevel::human_reply),
        )
        .route(
            "/sandbox/highlevel/contacts/{id}/dnd",
            post(highlevel::set_dnd),
        )
        .with_state(app.clone())
}

/// The receiver of notifications; faults can be scripted for it as for the providers.
pub(crate) fn notify_router(app: &Arc<App>) -> Router {
    Router::new()
        .route("/", post(notify))
        .with_state(app.clone())
}

#[derive(Deserialize)]
struct ReceivedQuery {
    provider: Option<Provider>,
}

async fn received(State(app): State<Arc<App>>, Query(query): Query<ReceivedQuery>) -> Response {
    Json(app.received.list(query.provider)).into_response()
}

#[derive(Deserialize)]
struct EffectsQuery {
    /// Only what happened after this number.
    #[serde(default)]
    since: u64,
}

async fn effects(State(app): State<Arc<App>>, Query(query): Query<EffectsQuery>) -> Json<Value> {
    let mut answer = json!(app.effects.counts(query.since));
    answer["log"] = json!(app.effects.list(query.since));
    Json(answer)
}

async fn deliveries(State(app): State<Arc<App>>) -> Response {
    Json(app.webhooks.attempts()).into_response()
}

async fn pending_faults(State(app): State<Arc<App>>) -> Response {
    Json(app.faults.pending()).into_response()
}

async fn add_fault(State(app): State<Arc<App>>, body: Bytes) -> Answer {
    app.faults.add(parse::<Fault>(&body)?);
    Ok(Json(json!({"pending": app.faults.pending()})))
}

#[derive(Deserialize)]
struct SetDelivery {
    provider: Provider,
    #[serde(flatten)]
    mode: DeliveryMode,
}

async fn set_delivery(State(app): State<Arc<App>>, body: Bytes) -> Answer {
    let SetDelivery { provider, mode } = parse(&body)?;
    app.webhooks.set_mode(provider, mode);
    Ok(Json(json!({"provider": provider, "mode": mode})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetGateway {
    url: String,
}

async fn set_gateway(State(app): State<Arc<App>>, body: Bytes) -> Answer {
    app.webhooks.set_gateway(&parse::<SetGateway>(&body)?.url);
    Ok(Json(json!({"gateway": app.webhooks.gateway()})))
}

async fn reset(State(app): State<Arc<App>>) -> Json<Value> {
    app.reset();
    Json(json!({"reset": true}))
}

async fn script_ending(State(app): State<Arc<App>>, body: Bytes) -> Answer {
    let mut store = lock(&app.openai);
    store.endings.push_back(parse::<Ending>(&body)?);
    Ok(Json(json!({"scripted": store.endings.len()})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScriptedReply {
    text: String,
}

async fn script_reply(State(app): State<Arc<App>>, body: Bytes) -> Answer {
    let mut store = lock(&app.openai);
    store.replies.push_back(parse::<ScriptedReply>(&body)?.text);
    Ok(Json(json!({"scripted": store.replies.len()})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetGoogle {
    shared_drive: bool,
}

async fn set_google(State(app): State<Arc<App>>, body: Bytes) -> Answer {
    let SetGoogle { shared_drive } = parse(&body)?;
    lock(&app.google).set_shared_drive(shared_drive);
    Ok(Json(json!({"shared_drive": shared_drive})))
}

async fn notify(State(app): State<Arc<App>>, body: Bytes) -> Json<Value> {
    let notification: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let job_id = [&notification["job_id"], &notification["data"]["job_id"]]
        .into_iter()
        .find_map(Value::as_str);
    app.effect(EffectKind::Notifications, job_id, notification.clone());
    Json(json!({"ok": true}))
}

/// The JSON of a control call; an empty body counts as `{}`.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, (StatusCode, String)> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| (StatusCode::BAD_REQUEST, format!("{error}\n")))
}
