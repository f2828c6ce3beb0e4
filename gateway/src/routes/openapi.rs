//! `GET /openapi.json`: the description of all routes.

use axum::http::header;
use axum::response::IntoResponse;

/// Kept by hand; a test compares it with the router.
pub(crate) const DESCRIPTION: &str = include_str!("../../openapi.json");

/// The description.
pub(crate) async fn description() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DESCRIPTION)
}
