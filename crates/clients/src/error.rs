//! The one error of this crate: what went wrong, and what a caller may do about it.

use std::{fmt, time::Duration};

/// A call to an outside service that did not succeed.
///
/// [`kind`](Self::kind) is what callers decide on; the text is for people.
#[derive(Debug, thiserror::Error)]
#[error(
    "{provider} could not {operation}{}: {message}",
    circumstances(.status, .request_id)
)]
pub struct ClientError {
    provider: Provider,
    operation: &'static str,
    status: Option<u16>,
    request_id: Option<String>,
    message: String,
    retry_after: Option<Duration>,
    kind: ErrorKind,
}

/// What a failed call leaves behind, and so what its caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Certainly nothing happened there, and a repeat can help: no connection, a rate limit.
    NotDone {
        /// How long the service asks to wait; `None` when it names no time.
        retry_after: Option<Duration>,
    },
    /// The effect may have happened: a timeout, a reset, a 5xx, an answer that cannot be read.
    ///
    /// A read may simply be repeated. Before a write is repeated, ask the service.
    Unknown,
    /// Nothing happened, and the same call will fail again.
    Permanent {
        /// Why, where a caller has something to do about it.
        reason: Option<Reason>,
    },
    /// The object is not there (404), or not visible to our account.
    NotFound,
    /// The key is wrong, revoked or lacks a right (401, 403): the work should wait for a person.
    Unauthorized,
}

/// Permanent faults that a caller treats in a way of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// HighLevel: do-not-disturb is on for the contact (set by them or by the platform).
    DoNotDisturb,
    /// HighLevel: the contact has unsubscribed.
    Unsubscribed,
    /// HighLevel: the contact has no telephone number.
    MissingPhoneNumber,
    /// OpenAI: the model does not exist any more, or not for this project.
    ModelNotFound,
    /// OpenAI: the model refused to answer.
    Refused,
    /// OpenAI: the answer was cut short (`max_output_tokens`, `content_filter`).
    Incomplete,
    /// Google: the account that owns the file has no storage; see the message for the cure.
    StorageQuotaExceeded,
    /// The set-up is wrong (configuration, sharing, rights); the message says what to change.
    SetUp,
}

/// The service that was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// OpenAI's API.
    OpenAi,
    /// HubSpot's CRM API.
    HubSpot,
    /// HighLevel's API.
    HighLevel,
    /// Google Drive and Docs.
    Google,
    /// The endpoint that the operator configured for notifications.
    Notify,
}

impl ClientError {
    pub(crate) fn new(
        provider: Provider,
        operation: &'static str,
        kind: ErrorKind,
        message: impl Into<String>,
    ) -> Self {
        let retry_after = match kind {
            ErrorKind::NotDone { retry_after } => retry_after,
            ErrorKind::Unknown
            | ErrorKind::Permanent { .. }
            | ErrorKind::NotFound
            | ErrorKind::Unauthorized => None,
        };
        Self {
            provider,
            operation,
            status: None,
            request_id: None,
            message: shortened(message.into()),
            retry_after,
            kind,
        }
    }

    /// A fault of configuration, found before anything was sent.
    pub(crate) fn set_up(
        provider: Provider,
        operation: &'static str,
        message: impl Into<String>,
    ) -> Self {
        let reason = Some(Reason::SetUp);
        Self::new(
            provider,
            operation,
            ErrorKind::Permanent { reason },
            message,
        )
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    pub(crate) fn with_request_id(mut self, request_id: Option<String>) -> Self {
        self.request_id = request_id;
        self
    }

    pub(crate) fn with_retry_after(mut self, retry_after: Option<Duration>) -> Self {
        self.retry_after = self.retry_after.or(retry_after);
        self
    }

    /// Adds our own words to those of the service.
    pub(crate) fn with_advice(mut self, advice: &str) -> Self {
        self.message = format!("{} ({advice})", self.message);
        self
    }

    pub(crate) fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// What the caller may do.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// How long the service asked to wait, whatever the kind (a 503 may carry it too). Not capped.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The service that was called.
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// What was attempted, as a verb phrase (`submit the research`).
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// The HTTP status; `None` when there was no answer.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// The service's own id of the request, to quote in a support case.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// What the service said, at most 500 characters in one line, without what it repeats of the
    /// request and without keys, e-mail addresses and telephone numbers.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::OpenAi => "OpenAI",
            Self::HubSpot => "HubSpot",
            Self::HighLevel => "HighLevel",
            Self::Google => "Google",
            Self::Notify => "the notification endpoint",
        })
    }
}

fn circumstances(status: &Option<u16>, request_id: &Option<String>) -> String {
    match (status, request_id) {
        (Some(status), Some(id)) => format!(" (status {status}, request {id})"),
        (Some(status), None) => format!(" (status {status})"),
        (None, _) => String::new(),
    }
}

/// A service that answers with a whole page of HTML must not fill the log with it.
fn shortened(message: String) -> String {
    match message.char_indices().nth(500) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_service_operation_status_and_request() {
        let error = ClientError::new(
            Provider::HubSpot,
            "update the deal",
            ErrorKind::Permanent { reason: None },
            "Property does not exist",
        )
        .with_status(400)
        .with_request_id(Some("c-1".into()));
        assert_eq!(
            error.to_string(),
            "HubSpot could not update the deal (status 400, request c-1): Property does not exist"
        );
    }
}
