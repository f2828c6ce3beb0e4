//! HubSpot's error body (contracts/hubspot.md section 6).

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use uuid::Uuid;

/// An error answer.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    body: Value,
}

/// The usual error for a status. A 429 has fields of its own.
pub(crate) fn for_status(status: StatusCode, message: &str) -> ApiError {
    let correlation_id = Uuid::new_v4();
    let body = if status == StatusCode::TOO_MANY_REQUESTS {
        json!({"status": "error", "message": "You have reached your ten_secondly_rolling limit.",
               "errorType": "RATE_LIMIT", "correlationId": correlation_id,
               "policyName": "TEN_SECONDLY_ROLLING", "requestId": correlation_id})
    } else {
        let category = match status.as_u16() {
            401 => "INVALID_AUTHENTICATION",
            403 => "MISSING_SCOPES",
            404 => "OBJECT_NOT_FOUND",
            409 => "CONFLICT",
            400..500 => "VALIDATION_ERROR",
            _ => "INTERNAL_ERROR",
        };
        json!({"status": "error", "message": message, "correlationId": correlation_id,
               "category": category})
    };
    ApiError { status, body }
}

/// 400 with one detail.
pub(crate) fn validation(message: &str, code: &str, name: &str) -> ApiError {
    let mut error = for_status(StatusCode::BAD_REQUEST, message);
    error.body["errors"] =
        json!([{"message": message, "code": code, "context": {"propertyName": [name]}}]);
    error
}

/// 404 for an object.
pub(crate) fn not_found(kind: &str, id: &str) -> ApiError {
    let message = format!("Object not found. objectId: {id}, objectType: {kind}");
    for_status(StatusCode::NOT_FOUND, &message)
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}
