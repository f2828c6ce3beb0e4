//! Why a request was not believed.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The class of a failed check. It is logged and counted, and never told to the caller, who could
/// use it to find out how far a forgery got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Nothing is configured to check this sender with, so its route is closed.
    #[error("the route is closed: no secret is configured")]
    Closed,
    /// A header that carries the proof is missing or empty.
    #[error("a signature header is missing")]
    MissingHeader,
    /// The timestamp is not a number.
    #[error("the timestamp is not a number")]
    MalformedTimestamp,
    /// The request was signed too long ago.
    #[error("the timestamp is too old")]
    TimestampTooOld,
    /// The request was signed too far in the future.
    #[error("the timestamp is too far ahead")]
    TimestampTooNew,
    /// The signature is not in the form that its sender writes.
    #[error("the signature is malformed")]
    MalformedSignature,
    /// None of the listed signatures belongs to these bytes and one of our secrets.
    #[error("no signature matches")]
    NoMatchingSignature,
    /// The signature or secret is not the right one.
    #[error("the signature does not match")]
    SignatureMismatch,
    /// There is no such API key.
    #[error("the API key is not known")]
    UnknownKey,
    /// The API key was taken back.
    #[error("the API key was revoked")]
    RevokedKey,
    /// The API key's time is over.
    #[error("the API key has expired")]
    ExpiredKey,
    /// The API key opens other routes.
    #[error("the API key lacks the scope")]
    OutOfScope,
}

impl Rejection {
    /// The name for logs and metrics, as the signature vectors spell it.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::MissingHeader => "missing_header",
            Self::MalformedTimestamp => "malformed_timestamp",
            Self::TimestampTooOld => "timestamp_too_old",
            Self::TimestampTooNew => "timestamp_too_new",
            Self::MalformedSignature => "malformed_signature",
            Self::NoMatchingSignature => "no_matching_signature",
            Self::SignatureMismatch => "signature_mismatch",
            Self::UnknownKey => "unknown_key",
            Self::RevokedKey => "revoked_key",
            Self::ExpiredKey => "expired_key",
            Self::OutOfScope => "out_of_scope",
        }
    }
}

/// The header's text. An empty header counts as missing. One that is there twice is refused: which
/// of them counts must not depend on who reads it.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Rejection> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(Rejection::MissingHeader)?;
    if values.next().is_some() {
        return Err(Rejection::MalformedSignature);
    }
    match value.to_str().map(str::trim) {
        Ok("") => Err(Rejection::MissingHeader),
        Ok(text) => Ok(text),
        Err(_) => Err(Rejection::MalformedSignature),
    }
}

/// A whole number of digits only: no sign, no fraction, nothing after it.
pub(super) fn timestamp(text: &str) -> Result<i64, Rejection> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Rejection::MalformedTimestamp);
    }
    text.parse().map_err(|_| Rejection::MalformedTimestamp)
}

/// Checks that a request is not older than `tolerance` and not further ahead; all three numbers in
/// one unit. Equality is still accepted.
pub(super) fn within_window(now: i64, timestamp: i64, tolerance: i64) -> Result<(), Rejection> {
    match now.saturating_sub(timestamp) {
        age if age > tolerance => Err(Rejection::TimestampTooOld),
        age if age < -tolerance => Err(Rejection::TimestampTooNew),
        _ => Ok(()),
    }
}

/// Strict base64: standard alphabet, padding required.
pub(super) fn base64(text: &str) -> Result<Vec<u8>, Rejection> {
    STANDARD
        .decode(text)
        .map_err(|_| Rejection::MalformedSignature)
}
