//! HighLevel's error body (contracts/highlevel.md section 4.1).

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use uuid::Uuid;

/// An error answer.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    message: Value,
}

/// The error for a status.
pub(crate) fn for_status(status: StatusCode, message: &str) -> ApiError {
    ApiError {
        status,
        message: json!(message),
    }
}

/// 400 with a message.
pub(crate) fn bad_request(message: &str) -> ApiError {
    for_status(StatusCode::BAD_REQUEST, message)
}

/// 422: what is wrong with the fields, as a list.
pub(crate) fn unprocessable(problems: &[&str]) -> ApiError {
    ApiError {
        status: StatusCode::UNPROCESSABLE_ENTITY,
        message: json!(problems),
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({
            "statusCode": self.status.as_u16(), "message": self.message,
            "error": self.status.canonical_reason().unwrap_or_default(),
            "traceId": Uuid::new_v4(),
        });
        (self.status, Json(body)).into_response()
    }
}
