//! Google's error body (contracts/google.md section 6).

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// An error answer.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    domain: &'static str,
    reason: &'static str,
    message: String,
}

/// The usual error for a status.
pub(crate) fn for_status(status: StatusCode, message: &str) -> ApiError {
    let (domain, reason) = match status.as_u16() {
        400 => ("global", "invalid"),
        401 => ("global", "authError"),
        403 => ("global", "forbidden"),
        404 => ("global", "notFound"),
        409 => ("global", "conflict"),
        429 => ("usageLimits", "rateLimitExceeded"),
        503 => ("global", "transientError"),
        _ => ("global", "backendError"),
    };
    ApiError {
        status,
        domain,
        reason,
        message: message.to_owned(),
    }
}

/// 400 for a wrong value.
pub(crate) fn invalid(message: impl Into<String>) -> ApiError {
    for_status(StatusCode::BAD_REQUEST, &message.into())
}

/// 404, also for a file on a shared drive when `supportsAllDrives` is missing.
pub(crate) fn file_not_found(id: &str) -> ApiError {
    for_status(StatusCode::NOT_FOUND, &format!("File not found: {id}."))
}

/// 403 with a reason.
pub(crate) fn forbidden(reason: &'static str, message: &str) -> ApiError {
    ApiError {
        reason,
        ..for_status(StatusCode::FORBIDDEN, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = match self.status.as_u16() {
            400 => "INVALID_ARGUMENT",
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            409 => "ABORTED",
            429 => "RESOURCE_EXHAUSTED",
            503 => "UNAVAILABLE",
            _ => "INTERNAL",
        };
        let detail = json!({"domain": self.domain, "reason": self.reason, "message": self.message});
        let body = json!({"error": {
            "code": self.status.as_u16(), "message": self.message, "status": status,
            "errors": [detail],
        }});
        (self.status, Json(body)).into_response()
    }
}
