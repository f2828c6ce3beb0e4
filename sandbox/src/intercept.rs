//! What every request to a stand-in passes: it is written down, and it meets the fault that was
//! scripted for it.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{OriginalUri, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::app::{App, now_text};
use crate::faults::{Fault, FaultKind};
use crate::providers::Provider;
use crate::received::Received;

const LARGEST_BODY: usize = 64 * 1024 * 1024;

/// Writes the request down, applies its fault, and lets it through.
pub(crate) async fn intercept(
    State((app, provider)): State<(Arc<App>, Provider)>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        return provider.error(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large.");
    };
    let path = parts
        .uri
        .path_and_query()
        .map_or_else(String::new, ToString::to_string);
    let full_path = parts
        .extensions
        .get::<OriginalUri>()
        .map_or("", |uri| uri.path());
    let routes = [
        format!("{} {path}", parts.method),
        format!("{} {full_path}", parts.method),
    ];
    let fault = app.faults.take(provider, &routes);

    let number = app.next_number();
    app.received.push(Received {
        number,
        at: now_text(),
        provider,
        method: parts.method.to_string(),
        body: recordable(&path, &body),
        path,
        status: None,
        fault: fault.as_ref().map(|fault| fault.kind),
    });

    let wrong_type =
        (!body.is_empty() && !content_type_fits(provider, &parts.headers)).then(|| {
            provider.error(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Unsupported content type.",
            )
        });
    let work = async move {
        match wrong_type {
            Some(refusal) => refusal,
            None => next.run(Request::from_parts(parts, Body::from(body))).await,
        }
    };
    let response = match fault {
        None => work.await,
        Some(fault) => misbehave(provider, &fault, work).await,
    };
    app.received.answered(number, response.status().as_u16());
    tracing::debug!(provider = ?provider, http.status = response.status().as_u16(), "answered");
    response
}

async fn misbehave(
    provider: Provider,
    fault: &Fault,
    work: impl Future<Output = Response>,
) -> Response {
    match fault.kind {
        FaultKind::Status => scripted_error(provider, fault),
        FaultKind::StatusAfter => {
            work.await;
            scripted_error(provider, fault)
        }
        FaultKind::DropBefore => drop_connection(),
        FaultKind::DropAfter => {
            work.await;
            drop_connection()
        }
        FaultKind::Delay => {
            tokio::time::sleep(Duration::from_millis(fault.delay_ms)).await;
            work.await
        }
        FaultKind::Garbage => garbled(work.await).await,
    }
}

fn scripted_error(provider: Provider, fault: &Fault) -> Response {
    let status = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let message = fault.message.as_deref();
    let message = message.unwrap_or("A scripted fault of the sandbox.");
    let mut response = provider.error(status, message);
    let retry_after = fault
        .retry_after
        .as_deref()
        .and_then(|text| HeaderValue::from_str(text).ok());
    if let Some(retry_after) = retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, retry_after);
    }
    response
}

/// Ends the connection's task, and with it the connection, before a byte of the answer is sent.
/// axum has no other way to say "no answer". `resume_unwind` prints nothing.
fn drop_connection() -> ! {
    resume_unwind(Box::new("connection dropped by a scripted fault"))
}

async fn garbled(response: Response) -> Response {
    let status = response.status();
    let body = to_bytes(response.into_body(), LARGEST_BODY)
        .await
        .unwrap_or_default();
    let half = body.slice(..body.len() / 2);
    (status, [(header::CONTENT_TYPE, "text/html")], half).into_response()
}

fn recordable(path: &str, body: &Bytes) -> Value {
    if body.is_empty() || path.starts_with("/token") {
        return Value::Null;
    }
    serde_json::from_slice(body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).into_owned()))
}

/// All these APIs take JSON; Google's uploads and token requests have forms of their own.
fn content_type_fits(provider: Provider, headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    match provider {
        Provider::Google | Provider::Notify => true,
        _ => content_type.is_some_and(|value| value.starts_with("application/json")),
    }
}
