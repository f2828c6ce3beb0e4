//! Errors as `application/problem+json` (RFC 9457).

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// An error as the caller sees it.
#[derive(Debug, Clone, Serialize)]
pub struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    #[serde(serialize_with = "as_number")]
    status: StatusCode,
    detail: String,
    /// JSON pointer (RFC 6901) to the field at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    #[serde(skip)]
    retry_after_seconds: Option<u64>,
    #[serde(skip)]
    challenge: Option<&'static str>,
}

impl Problem {
    fn new(
        status: StatusCode,
        kind: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            title,
            status,
            detail: detail.into(),
            pointer: None,
            retry_after_seconds: None,
            challenge: None,
        }
    }

    /// 401 for a webhook. Says nothing about which check failed.
    #[must_use]
    pub fn invalid_signature() -> Self {
        let detail = "The request does not prove that it comes from its sender.";
        let problem = Self::new(
            StatusCode::UNAUTHORIZED,
            "/problems/invalid-signature",
            "Invalid signature",
            detail,
        );
        Self {
            challenge: Some("Signature"),
            ..problem
        }
    }

    /// 401 for a client or operator.
    #[must_use]
    pub fn unauthorized(detail: &str) -> Self {
        let problem = Self::new(
            StatusCode::UNAUTHORIZED,
            "/problems/unauthorized",
            "Unauthorized",
            detail,
        );
        Self {
            challenge: Some("Bearer"),
            ..problem
        }
    }

    /// 400: the body can't be read.
    #[must_use]
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "/problems/malformed-request",
            "Malformed request",
            detail,
        )
    }

    /// 400: a value is outside of its range.
    #[must_use]
    pub fn out_of_range(pointer: &str, detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "/problems/out-of-range",
            "Value out of range",
            detail,
        )
        .at(pointer)
    }

    /// 422: the body can be read, but a field is missing or has the wrong kind of value.
    #[must_use]
    pub fn invalid_field(pointer: &str, detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "/problems/invalid-field",
            "Invalid field",
            detail,
        )
        .at(pointer)
    }

    /// 404: there is no such thing.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "/problems/not-found",
            "Not found",
            detail,
        )
    }

    /// 405: the route exists, the method does not.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        let detail = "The header Allow lists the methods of this route.";
        let status = StatusCode::METHOD_NOT_ALLOWED;
        Self::new(
            status,
            "/problems/method-not-allowed",
            "Method not allowed",
            detail,
        )
    }

    /// 408: the body did not come in time.
    #[must_use]
    pub fn too_slow() -> Self {
        let detail = "The body did not arrive in time.";
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "/problems/too-slow",
            "Request timeout",
            detail,
        )
    }

    /// 413: the body is larger than `limit` bytes.
    #[must_use]
    pub fn too_large(limit: usize) -> Self {
        let detail = format!("The body may have at most {limit} bytes.");
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "/problems/too-large",
            "Body too large",
            detail,
        )
    }

    /// 429: called too often.
    #[must_use]
    pub fn too_many_requests(retry_after_seconds: u64) -> Self {
        let detail = format!("Too many requests; try again in {retry_after_seconds} s.");
        let status = StatusCode::TOO_MANY_REQUESTS;
        let problem = Self::new(
            status,
            "/problems/too-many-requests",
            "Too many requests",
            detail,
        );
        Self {
            retry_after_seconds: Some(retry_after_seconds),
            ..problem
        }
    }

    /// The broker has not confirmed. `status` is the one on which the sender tries again.
    #[must_use]
    pub fn not_confirmed(status: StatusCode) -> Self {
        let detail = "The broker did not confirm the message in time. Nothing is promised; \
                      please send it again.";
        let problem = Self::new(status, "/problems/not-confirmed", "Not confirmed", detail);
        Self {
            retry_after_seconds: Some(10),
            ..problem
        }
    }

    /// 503: the database can't be asked.
    #[must_use]
    pub fn database_unavailable() -> Self {
        let detail = "The database can't be reached. Webhooks are still accepted.";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let problem = Self::new(
            status,
            "/problems/database-unavailable",
            "Database unavailable",
            detail,
        );
        Self {
            retry_after_seconds: Some(10),
            ..problem
        }
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    fn at(mut self, pointer: &str) -> Self {
        self.pointer = Some(pointer.to_owned());
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, retry_after, challenge) =
            (self.status, self.retry_after_seconds, self.challenge);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(challenge) = challenge {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(challenge),
            );
        }
        response
    }
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}
