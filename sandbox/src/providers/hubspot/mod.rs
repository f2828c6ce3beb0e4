//! HubSpot's stand-in: deals, companies and notes, with signed webhooks (contracts/hubspot.md).

pub(crate) mod error;
mod notes;
mod objects;
pub(crate) mod store;
pub(crate) mod webhook;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use self::error::for_status;
pub(crate) use self::store::HubSpotStore;
use super::bearer_token;
use crate::app::App;
use crate::keys;

/// The routes, relative to the host.
pub(crate) fn router(app: &Arc<App>) -> Router {
    Router::new()
        .route(
            "/crm/v3/objects/deals/{id}",
            get(objects::read_deal).patch(objects::update_deal),
        )
        .route("/crm/v3/objects/companies/{id}", get(objects::read_company))
        .route(
            "/crm/v3/objects/{kind}/batch/read",
            post(objects::batch_read),
        )
        .route("/crm/v3/objects/notes", post(notes::create))
        .route("/crm/v3/objects/notes/{id}", get(notes::read))
        .route(
            "/crm/v4/objects/deals/{id}/associations/notes",
            get(notes::of_deal),
        )
        .route(
            "/crm/v3/properties/deals",
            post(objects::create_deal_property),
        )
        .fallback(|| async { for_status(StatusCode::NOT_FOUND, "resource not found") })
        .layer(from_fn(authorize))
        .with_state(app.clone())
}

async fn authorize(request: Request, next: Next) -> Response {
    if bearer_token(request.headers()) == Some(keys::HUBSPOT_ACCESS_TOKEN) {
        return next.run(request).await;
    }
    let message = "Authentication credentials not found. This API supports OAuth 2.0 \
                   authentication and you can find more details at \
                   https://developers.hubspot.com/docs/methods/auth/oauth-overview";
    for_status(StatusCode::UNAUTHORIZED, message).into_response()
}
