//! The thin layer over reqwest that all clients share: one call, its deadline, its span, and the
//! sorting of transport failures by what they leave behind.

use std::time::{Duration, SystemTime};

use reqwest::{Method, RequestBuilder, StatusCode, Url, header::HeaderMap, redirect::Policy};
use serde::de::DeserializeOwned;
use tracing::Instrument;

use crate::{
    echo::{Sent, without_personal_data},
    error::{ClientError, ErrorKind, Provider},
    retry_after::retry_after,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Shorter than servers and balancers keep idle connections: a request that meets a closing one
/// would end with an unknown outcome.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// Where services write their own id of a request.
const REQUEST_ID_HEADERS: [&str; 3] = ["x-request-id", "x-hubspot-correlation-id", "x-trace-id"];

/// Makes ring the cryptography provider of the process. The constructors of the clients call it;
/// calling it again, or after somebody else has chosen a provider, changes nothing.
pub fn install_crypto_provider() {
    // An error means only that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A connection pool that speaks for one provider.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    client: reqwest::Client,
    provider: Provider,
}

/// The address before the paths of an API. `Debug` prints its host only: it can hold a password.
#[derive(Clone)]
pub(crate) struct BaseUrl(Url);

/// What came back, whatever its status.
#[derive(Debug)]
pub(crate) struct Answer {
    provider: Provider,
    operation: &'static str,
    status: StatusCode,
    headers: HeaderMap,
    body: String,
    sent: Sent,
}

impl Http {
    /// Fails where the system has no certificate authorities to trust.
    pub(crate) fn new(provider: Provider) -> Result<Self, ClientError> {
        install_crypto_provider();
        let client = reqwest::Client::builder()
            .user_agent(concat!("millrace/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            // A followed redirect would turn a POST into a GET and send the token elsewhere.
            .redirect(Policy::none())
            .build()
            .map_err(|error| {
                ClientError::set_up(provider, "set up its HTTP client", describe(error))
            })?;
        Ok(Self { client, provider })
    }

    pub(crate) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// Sends the request and reads the whole answer within `timeout`. Every status is `Ok`.
    pub(crate) async fn send(
        &self,
        operation: &'static str,
        timeout: Duration,
        request: RequestBuilder,
    ) -> Result<Answer, ClientError> {
        let span = tracing::info_span!(
            "outgoing call",
            otel.name = %format_args!("{}: {operation}", self.provider),
            otel.kind = "client",
            provider = %self.provider,
            operation,
            http.response.status_code = tracing::field::Empty,
        );
        self.exchange(operation, request.timeout(timeout))
            .instrument(span)
            .await
    }

    async fn exchange(
        &self,
        operation: &'static str,
        request: RequestBuilder,
    ) -> Result<Answer, ClientError> {
        let failed = |error| self.transport_error(operation, error);
        let request = request.build().map_err(failed)?;
        let sent = Sent::of(&request);
        let response = self.client.execute(request).await.map_err(failed)?;
        let status = response.status();
        tracing::Span::current().record("http.response.status_code", status.as_u16());
        let headers = response.headers().clone();
        let body = match response.text().await {
            // PostgreSQL takes U+0000 in no text.
            Ok(body) => body.replace("\\u0000", "\\ufffd"),
            // Of a refusal the status says enough; of a success the content is missing.
            Err(_) if !status.is_success() => String::new(),
            Err(error) => {
                return Err(self
                    .transport_error(operation, error)
                    .with_status(status.as_u16()));
            }
        };
        tracing::debug!(
            provider = %self.provider,
            operation,
            http.status = status.as_u16(),
            http.body_bytes = body.len(),
            "call answered",
        );
        Ok(Answer {
            provider: self.provider,
            operation,
            status,
            headers,
            body,
            sent,
        })
    }

    fn transport_error(&self, operation: &'static str, error: reqwest::Error) -> ClientError {
        let kind = if error.is_connect() {
            ErrorKind::NotDone { retry_after: None }
        } else if error.is_builder() {
            ErrorKind::Permanent { reason: None }
        } else {
            ErrorKind::Unknown
        };
        ClientError::new(self.provider, operation, kind, describe(error))
    }
}

impl BaseUrl {
    pub(crate) fn parse(provider: Provider, base: &str) -> Result<Self, ClientError> {
        let operation = "use its base address";
        match Url::parse(base) {
            Ok(url) if !url.cannot_be_a_base() => Ok(Self(url)),
            Ok(_) => Err(ClientError::set_up(provider, operation, "it has no host")),
            // Without the address, which can hold a password.
            Err(error) => Err(ClientError::set_up(provider, operation, error.to_string())),
        }
    }

    /// The address of a resource; each segment is escaped, so an id can't leave its place.
    pub(crate) fn join<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.0.clone();
        url.path_segments_mut()
            .expect("`parse` admits only addresses that can be a base")
            .pop_if_empty()
            .extend(segments);
        url
    }
}

impl std::fmt::Debug for BaseUrl {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.0.host_str().unwrap_or_default())
    }
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.status.as_u16()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub(crate) fn into_body(self) -> String {
        self.body
    }

    /// The answer itself when the status is 2xx, else the provider's reading of the refusal.
    pub(crate) fn success_or(
        self,
        failure: impl FnOnce(&Self) -> ClientError,
    ) -> Result<Self, ClientError> {
        if self.status.is_success() {
            Ok(self)
        } else {
            Err(failure(&self))
        }
    }

    /// Reads a successful answer. What can't be read leaves the outcome unknown.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_str(&self.body).map_err(|error| {
            // Only the place: the text of the error can quote the content.
            let place = format!("line {}, column {}", error.line(), error.column());
            self.unreadable(format!("the answer is not in the expected form ({place})"))
        })
    }

    /// Reads an error body as far as it has the expected form.
    pub(crate) fn parse_leniently<T: DeserializeOwned + Default>(&self) -> T {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// A success whose content is of no use: the effect may have happened.
    pub(crate) fn unreadable(&self, message: impl Into<String>) -> ClientError {
        self.failure(ErrorKind::Unknown, message)
    }

    /// An error with this answer's status and request id.
    pub(crate) fn failure(&self, kind: ErrorKind, message: impl Into<String>) -> ClientError {
        let request_id = REQUEST_ID_HEADERS
            .iter()
            .find_map(|name| Some(self.headers.get(*name)?.to_str().ok()?.to_owned()));
        let message = without_personal_data(&self.sent.masked(&message.into()));
        ClientError::new(self.provider, self.operation, kind, message)
            .with_status(self.status())
            .with_request_id(request_id)
            .with_retry_after(self.retry_after())
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        retry_after(&self.headers, SystemTime::now())
    }

    /// The kind that a status has with every provider, where its contract says nothing else.
    pub(crate) fn usual_kind(&self) -> ErrorKind {
        match self.status() {
            401 | 403 => ErrorKind::Unauthorized,
            404 => ErrorKind::NotFound,
            429 => ErrorKind::NotDone {
                retry_after: self.retry_after(),
            },
            408 | 500.. => ErrorKind::Unknown,
            _ => ErrorKind::Permanent { reason: None },
        }
    }

    /// What to tell people when the error body has no message.
    pub(crate) fn usual_message(&self) -> String {
        match self.status.canonical_reason() {
            Some(reason) => reason.to_owned(),
            None => "no reason given".to_owned(),
        }
    }
}

/// The error with its causes, without the address (a notification address can be a secret).
fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests;
