//! Errors as `application/problem+json` (RFC 9457).

pub mod kind;
mod schema;

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use entities::api_key::Scope;
use serde::Serialize;
use uuid::Uuid;

use kind::Kind;

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// The seconds after which a request should be sent again that failed because of the broker or the
/// database.
const RETRY_SECONDS: u64 = 10;

/// The seconds after which somebody may have opened a closed route.
const CLOSED_RETRY_SECONDS: u64 = 60;

/// An error as the caller sees it.
#[derive(Debug, Clone, Serialize)]
pub struct Problem {
    #[serde(flatten)]
    kind: &'static Kind,
    #[serde(serialize_with = "as_number")]
    status: StatusCode,
    detail: String,
    /// Names this one occurrence, where a log line does so too.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    /// The fields at fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// The answer's headers beside its content type.
    #[serde(skip)]
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the body.
    pub pointer: String,
    /// What the field must be.
    pub detail: String,
}

impl FieldError {
    /// The field at `pointer` is wrong.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            detail: detail.into(),
        }
    }
}

impl Problem {
    fn new(status: StatusCode, kind: &'static Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            status,
            detail: detail.into(),
            instance: None,
            errors: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    fn challenge(self, scheme: &'static str) -> Self {
        self.with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme))
    }

    fn retry_after(self, seconds: u64) -> Self {
        self.with_header(header::RETRY_AFTER, seconds.into())
    }

    /// 401 for a webhook. Says nothing about which check failed.
    #[must_use]
    pub fn invalid_signature() -> Self {
        let detail = "The request does not prove that it comes from its sender.";
        Self::new(StatusCode::UNAUTHORIZED, &kind::INVALID_SIGNATURE, detail).challenge("Signature")
    }

    /// 401 for a client or operator who shows no key.
    #[must_use]
    pub fn unauthorized() -> Self {
        let detail = "Send an API key as Authorization: Bearer <key> or X-API-Key: <key>.";
        Self::new(StatusCode::UNAUTHORIZED, &kind::UNAUTHORIZED, detail).challenge("Bearer")
    }

    /// 401 for a client or operator whose key opens nothing.
    #[must_use]
    pub fn invalid_key(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, &kind::UNAUTHORIZED, detail)
            .challenge(r#"Bearer error="invalid_token""#)
    }

    /// 403: the key opens other routes. The challenge names the scope that this one asks for
    /// (RFC 6750, section 3.1).
    #[must_use]
    pub fn missing_scope(scope: Scope) -> Self {
        let name = scope.name();
        let detail = format!("This API key lacks the scope {name}, which this route asks for.");
        Self::new(StatusCode::FORBIDDEN, &kind::MISSING_SCOPE, detail).challenge(match scope {
            Scope::Submit => r#"Bearer error="insufficient_scope", scope="submit""#,
            Scope::Read => r#"Bearer error="insufficient_scope", scope="read""#,
            Scope::Operate => r#"Bearer error="insufficient_scope", scope="operate""#,
        })
    }

    /// 400: the request or its body can't be read.
    #[must_use]
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, &kind::MALFORMED_REQUEST, detail)
    }

    /// 400: a value is outside of its range.
    #[must_use]
    pub fn out_of_range(pointer: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            errors: vec![FieldError::new(pointer, &detail)],
            ..Self::new(StatusCode::BAD_REQUEST, &kind::OUT_OF_RANGE, detail)
        }
    }

    /// 422: the body can be read, but a field is missing or has the wrong kind of value.
    #[must_use]
    pub fn invalid_field(pointer: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            errors: vec![FieldError::new(pointer, &detail)],
            ..Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                &kind::INVALID_FIELD,
                detail,
            )
        }
    }

    /// 400: what came is not a request of HTTP/1.1.
    #[must_use]
    pub fn unreadable_request() -> Self {
        Self::malformed("The request can't be read as HTTP/1.1.")
    }

    /// 404: there is no such thing.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, &kind::NOT_FOUND, detail)
    }

    /// 405: the route exists, the method does not.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        let detail = "The header Allow lists the methods of this route.";
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            &kind::METHOD_NOT_ALLOWED,
            detail,
        )
    }

    /// 408: the body did not come in time.
    #[must_use]
    pub fn too_slow() -> Self {
        let detail = "The body did not arrive in time.";
        Self::new(StatusCode::REQUEST_TIMEOUT, &kind::TOO_SLOW, detail)
    }

    /// 413: the body is larger than `limit` bytes.
    #[must_use]
    pub fn too_large(limit: usize) -> Self {
        let detail = format!("The body may have at most {limit} bytes.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, &kind::TOO_LARGE, detail)
    }

    /// 415: a route that reads JSON got another media type.
    #[must_use]
    pub fn unsupported_media_type() -> Self {
        let detail = "This route reads JSON: send it as Content-Type: application/json.";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Self::new(status, &kind::UNSUPPORTED_MEDIA_TYPE, detail)
    }

    /// 415: the body is compressed.
    #[must_use]
    pub fn compressed() -> Self {
        let detail = "The body must not be compressed: send it without Content-Encoding.";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Self::new(status, &kind::COMPRESSED, detail)
    }

    /// 503: too many large bodies arrive at once.
    #[must_use]
    pub fn overloaded() -> Self {
        let detail = "Too many large bodies arrive at once; please send this one again.";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, &kind::OVERLOADED, detail).retry_after(RETRY_SECONDS)
    }

    /// 429: called too often.
    #[must_use]
    pub fn too_many_requests(retry_after_seconds: u64) -> Self {
        let detail = format!("Too many requests; try again in {retry_after_seconds} s.");
        let status = StatusCode::TOO_MANY_REQUESTS;
        Self::new(status, &kind::TOO_MANY_REQUESTS, detail).retry_after(retry_after_seconds)
    }

    /// 431: the head of the request is too large.
    #[must_use]
    pub fn headers_too_large() -> Self {
        let detail = "The headers of the request are too large, or too many.";
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        Self::new(status, &kind::HEADERS_TOO_LARGE, detail)
    }

    /// 500: a mistake of ours, logged with the same `instance`.
    #[must_use]
    pub fn internal_error(instance: Uuid) -> Self {
        let detail = "The gateway made a mistake. Nothing is promised; please send it again.";
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self {
            instance: Some(instance.urn().to_string()),
            ..Self::new(status, &kind::INTERNAL_ERROR, detail)
        }
    }

    /// 503 for a webhook: nothing is configured to check its requests with.
    #[must_use]
    pub fn no_secret() -> Self {
        Self::closed("This route is closed: no secret is configured to check its requests with.")
    }

    /// 503 for a client or operator: there are no keys.
    #[must_use]
    pub fn no_keys() -> Self {
        Self::closed(
            "This route is closed: there is no API key yet. Make one with millrace-worker api-key \
             new, or set API_KEYS.",
        )
    }

    fn closed(detail: &str) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, &kind::ROUTE_CLOSED, detail).retry_after(CLOSED_RETRY_SECONDS)
    }

    /// The broker has not confirmed. `status` is the one on which the sender tries again.
    #[must_use]
    pub fn not_confirmed(status: StatusCode) -> Self {
        let detail = "The broker did not confirm the message in time. Nothing is promised; \
                      please send it again.";
        Self::new(status, &kind::NOT_CONFIRMED, detail).retry_after(RETRY_SECONDS)
    }

    /// 503: the database can't be asked.
    #[must_use]
    pub fn database_unavailable() -> Self {
        let detail = "The database can't be reached. Webhooks are still accepted.";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, &kind::DATABASE_UNAVAILABLE, detail).retry_after(RETRY_SECONDS)
    }

    /// The type.
    #[must_use]
    pub fn kind(&self) -> &'static Kind {
        self.kind
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The answer's headers beside its content type.
    #[must_use]
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let headers = std::mem::take(&mut self.headers);
        let mut response = (self.status, Json(self)).into_response();
        for (name, value) in headers {
            response.headers_mut().append(name, value);
        }
        let media_type = HeaderValue::from_static(MEDIA_TYPE);
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, media_type);
        response
    }
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::{Problem, kind};

    #[test]
    fn a_wrong_field_is_named_by_a_json_pointer() {
        let problem = Problem::invalid_field("/a~1b", "a/b must be a text.");
        assert_eq!(
            serde_json::to_value(problem).unwrap(),
            json!({
                "type": "/problems/invalid-field",
                "title": "Invalid field",
                "status": 422,
                "detail": "a/b must be a text.",
                "errors": [{"pointer": "/a~1b", "detail": "a/b must be a text."}],
            })
        );
    }

    #[test]
    fn each_type_has_a_name_and_a_uri_of_its_own() {
        let names: BTreeSet<_> = kind::ALL.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), kind::ALL.len());
        for kind in kind::ALL {
            assert_eq!(kind::Kind::named(kind.name), Some(kind));
        }
    }
}
