//! OpenAI's error body (contracts/openai.md section 6): all four keys present.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// An error answer.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    message: String,
    kind: &'static str,
    param: Option<String>,
    code: Option<&'static str>,
}

/// 400 for a field that is missing, unknown or wrong.
pub(crate) fn invalid(param: &str, code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError {
        param: Some(param.to_owned()),
        code: Some(code),
        ..for_status(StatusCode::BAD_REQUEST, &message.into())
    }
}

/// 404 for a model that does not exist, or no longer.
pub(crate) fn model_not_found(model: &str) -> ApiError {
    let message = format!("The model `{model}` does not exist or you do not have access to it.");
    ApiError {
        code: Some("model_not_found"),
        ..for_status(StatusCode::NOT_FOUND, &message)
    }
}

/// 404 for a response that does not exist, or no longer.
pub(crate) fn response_not_found(id: &str) -> ApiError {
    for_status(
        StatusCode::NOT_FOUND,
        &format!("Response with id '{id}' not found."),
    )
}

/// The usual error for a status.
pub(crate) fn for_status(status: StatusCode, message: &str) -> ApiError {
    let (kind, code) = match status.as_u16() {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        429 => ("requests", Some("rate_limit_exceeded")),
        500.. => ("server_error", None),
        _ => ("invalid_request_error", None),
    };
    ApiError {
        status,
        message: message.to_owned(),
        kind,
        param: None,
        code,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({"error": {
            "message": self.message, "type": self.kind, "param": self.param, "code": self.code,
        }});
        (self.status, Json(body)).into_response()
    }
}
