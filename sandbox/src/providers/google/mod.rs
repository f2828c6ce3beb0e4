//! Google's stand-in: the token service, Drive and Docs (contracts/google.md), and a page on which
//! a document can be read.

mod convert;
mod docs;
mod document;
mod drive;
pub(crate) mod error;
mod fields;
pub(crate) mod files;
mod query;
mod token;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::Utc;

use self::error::{for_status, forbidden};
pub(crate) use self::files::GoogleStore;
use super::bearer_token;
use crate::app::{App, lock};

/// The routes, relative to the base address.
pub(crate) fn router(app: &Arc<App>) -> Router {
    Router::new()
        .route("/drive/v3/files", get(drive::list).post(drive::create))
        .route("/drive/v3/files/{id}", get(drive::get))
        .route("/drive/v3/files/{id}/copy", post(drive::copy))
        .route("/upload/drive/v3/files", post(drive::upload))
        .route(
            "/v1/documents/{id}",
            get(docs::get).post(docs::batch_update),
        )
        .layer(from_fn_with_state(app.clone(), authorize))
        .route("/token", post(token::issue))
        .route("/document/d/{id}/edit", get(read))
        .fallback(|| async { for_status(StatusCode::NOT_FOUND, "The URL was not found.") })
        .with_state(app.clone())
}

/// The text of a document, for people and tests.
pub(crate) async fn read(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    let store = lock(&app.google);
    let document = store
        .files
        .iter()
        .find(|file| file.id == id)
        .and_then(|file| file.document.as_ref());
    match document {
        Some(document) => document.text().into_response(),
        None => (StatusCode::NOT_FOUND, "no such document\n").into_response(),
    }
}

/// Checks the access token and its scopes, and hands it on.
async fn authorize(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let token = bearer_token(request.headers())
        .and_then(|token| lock(&app.google).tokens.get(token).cloned())
        .filter(|token| token.expires_at > Utc::now().timestamp());
    let Some(token) = token else {
        let message = "Request had invalid authentication credentials. Expected OAuth 2 access \
                       token, login cookie or other valid authentication credential.";
        return for_status(StatusCode::UNAUTHORIZED, message).into_response();
    };
    let allowed: &[&str] = if request.uri().path().starts_with("/v1/documents") {
        &["drive", "drive.file", "documents"]
    } else {
        &["drive", "drive.file"]
    };
    let has_scope = token.scopes.iter().any(|scope| {
        let name = scope.rsplit('/').next().unwrap_or_default();
        allowed.contains(&name)
    });
    if !has_scope {
        let message = "Request had insufficient authentication scopes.";
        return forbidden("insufficientPermissions", message).into_response();
    }
    request.extensions_mut().insert(token);
    next.run(request).await
}
