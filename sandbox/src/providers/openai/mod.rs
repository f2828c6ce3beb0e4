//! OpenAI's stand-in: the Responses API and the models, with signed webhooks
//! (contracts/openai.md, contracts/standard-webhooks.md).

pub(crate) mod error;
mod models;
mod object;
mod reply;
mod request;
mod research;
pub(crate) mod store;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::Utc;
use serde_json::{Value, json};

use self::error::{ApiError, for_status, invalid, model_not_found, response_not_found};
use self::request::CreateResponse;
use self::research::Company;
use self::store::Ending;
pub(crate) use self::store::OpenAiStore;
use super::{Provider, bearer_token};
use crate::app::{App, lock, new_id};
use crate::effects::EffectKind;
use crate::keys;
use crate::webhooks::{self, Deliver, FirstAttempts, SignedRequest, Webhook};

type Answer = Result<Json<Value>, ApiError>;

/// The routes, relative to the host.
pub(crate) fn router(app: &Arc<App>) -> Router {
    Router::new()
        .route("/v1/responses", post(create))
        .route("/v1/responses/{id}", get(retrieve).delete(delete))
        .route("/v1/responses/{id}/cancel", post(cancel))
        .route("/v1/models/{id}", get(model))
        .fallback(|| async { for_status(StatusCode::NOT_FOUND, "Invalid URL") })
        .layer(from_fn(authorize))
        .with_state(app.clone())
}

async fn authorize(request: Request, next: Next) -> Response {
    let authorized = bearer_token(request.headers()) == Some(keys::OPENAI_API_KEY);
    let mut response = if authorized {
        next.run(request).await
    } else {
        for_status(StatusCode::UNAUTHORIZED, "Incorrect API key provided.").into_response()
    };
    if let Ok(id) = HeaderValue::from_str(&new_id("req_")) {
        response.headers_mut().insert("x-request-id", id);
    }
    response
}

async fn create(State(app): State<Arc<App>>, body: Bytes) -> Answer {
    let body = serde_json::from_slice(&body).map_err(|_| {
        for_status(
            StatusCode::BAD_REQUEST,
            "We could not parse the JSON body of your request.",
        )
    })?;
    let request = CreateResponse::parse(&body)?;
    let mut response = object::queued(&request);
    if request.background {
        return Ok(Json(start_research(&app, &request, response).await));
    }
    let scripted = lock(&app.openai).replies.pop_front();
    let text = reply::answer(&request, scripted);
    object::answer(&mut response, &request.whole_text(), &text);
    if request.store {
        store_response(&app, response.clone());
    }
    let batch_id = request.metadata.get("batch_id").and_then(Value::as_str);
    app.effect(
        EffectKind::RepliesGenerated,
        batch_id,
        json!({"text": text}),
    );
    Ok(Json(response))
}

/// Stores the response as queued and lets it run to its end.
async fn start_research(app: &Arc<App>, request: &CreateResponse, response: Value) -> Value {
    let company = Company::find(&request.whole_text());
    let id = response["id"].as_str().unwrap_or_default().to_owned();
    let ending = lock(&app.openai).next_ending(&company.name);
    store_response(app, response.clone());
    let job_id = request.metadata.get("job_id").and_then(Value::as_str);
    let detail = json!({
        "response_id": id, "company": company.name,
        "ending": ending.status.name(), "code": ending.code, "deleted": ending.deleted,
    });
    app.effect(EffectKind::ResearchSubmissions, job_id, detail);

    if app.webhooks.mode(Provider::OpenAi).deliver == Deliver::BeforeAnswer {
        if let Some(sent) = end(app, &id, &company, &ending) {
            sent.wait().await;
        }
    } else {
        let (app, stop) = (app.clone(), app.webhooks.current());
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            run(&app, &id, &company, &ending).await;
        }));
    }
    response
}

async fn run(app: &Arc<App>, id: &str, company: &Company, ending: &Ending) {
    let time = ending
        .after_ms
        .map_or(app.config.research_time, Duration::from_millis);
    tokio::time::sleep(time / 2).await;
    if let Some(response) = lock(&app.openai).responses.get_mut(id)
        && !object::is_final(response)
    {
        response["status"] = json!("in_progress");
    }
    tokio::time::sleep(time / 2).await;
    end(app, id, company, ending);
}

/// Brings a response to its end and sends the webhook, unless it was cancelled or deleted.
fn end(app: &Arc<App>, id: &str, company: &Company, ending: &Ending) -> Option<FirstAttempts> {
    {
        let mut store = lock(&app.openai);
        let response = store.responses.get_mut(id)?;
        if object::is_final(response) {
            return None;
        }
        object::finish(response, company, ending);
        if ending.deleted {
            store.responses.remove(id);
        }
    }
    Some(webhooks::send(app, webhook(id, ending.status.name()), None))
}

async fn retrieve(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    let store = lock(&app.openai);
    store
        .responses
        .get(&id)
        .cloned()
        .map(Json)
        .ok_or_else(|| response_not_found(&id))
}

async fn delete(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    lock(&app.openai)
        .responses
        .remove(&id)
        .ok_or_else(|| response_not_found(&id))?;
    Ok(Json(
        json!({"id": id, "object": "response", "deleted": true}),
    ))
}

async fn cancel(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    let response = {
        let mut store = lock(&app.openai);
        let response = store
            .responses
            .get_mut(&id)
            .ok_or_else(|| response_not_found(&id))?;
        if response["background"] != true {
            let message = "Cannot cancel a synchronous response.";
            return Err(invalid("response_id", "invalid_value", message));
        }
        if object::is_final(response) {
            return Ok(Json(response.clone()));
        }
        object::cancel(response);
        response.clone()
    };
    webhooks::send(&app, webhook(&id, "cancelled"), None);
    Ok(Json(response))
}

async fn model(Path(id): Path<String>) -> Answer {
    models::describe(&id)
        .map(Json)
        .ok_or_else(|| model_not_found(&id))
}

/// The event that tells of a response's end. Its body and id stay the same for every attempt, its
/// timestamp and signature do not.
pub(crate) fn webhook(response_id: &str, status: &str) -> Webhook {
    let event = format!("response.{status}");
    let body = json!({
        "object": "event", "id": new_id("evt_"), "type": event,
        "created_at": Utc::now().timestamp(), "data": {"id": response_id},
    })
    .to_string();
    let id = new_id("wh_");
    let webhook_id = id.clone();
    let build = move |_attempt| {
        let timestamp = Utc::now().timestamp();
        let signature = keys::sign_standard_webhook(&webhook_id, timestamp, body.as_bytes());
        let user_agent = "OpenAI/1.0 (+https://platform.openai.com/docs/webhooks)";
        SignedRequest {
            headers: vec![
                ("user-agent", user_agent.to_owned()),
                ("content-type", "application/json".to_owned()),
                ("webhook-id", webhook_id.clone()),
                ("webhook-timestamp", timestamp.to_string()),
                ("webhook-signature", signature),
            ],
            body: body.clone().into_bytes(),
        }
    };
    Webhook {
        provider: Provider::OpenAi,
        event,
        id,
        path: "/webhook/openai",
        build: Box::new(build),
    }
}

fn store_response(app: &App, response: Value) {
    let id = response["id"].as_str().unwrap_or_default().to_owned();
    lock(&app.openai).responses.insert(id, response);
}
