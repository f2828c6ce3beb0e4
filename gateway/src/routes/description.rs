//! `GET /openapi.json`, `/docs` and `/problems/{name}`: what the interface promises, for programs
//! and for people.

use axum::Json;
use serde_json::Value;

use crate::contract::DOCUMENT;

/// This description
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "operation",
    responses((status = 200, description = "OpenAPI 3.1.", body = Object)),
)]
pub(crate) async fn openapi() -> Json<&'static Value> {
    Json(&DOCUMENT)
}
