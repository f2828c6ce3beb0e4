//! Comparing a secret that was sent with the ones we know.

use axum::http::HeaderMap;
use config::Secret;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use super::rejection::header;

/// Whether `presented` is one of the secrets. Both sides are hashed first, so neither the position of
/// the first wrong character nor the length shows in the time that this takes.
pub(super) fn is_one_of(secrets: &[Secret], presented: &str) -> bool {
    let presented = Sha256::digest(presented);
    secrets
        .iter()
        .map(|secret| Sha256::digest(secret.expose()).ct_eq(&presented))
        .fold(Choice::from(0), |found, equal| found | equal)
        .into()
}

/// The token of `Authorization: Bearer …` (RFC 6750 §2.1).
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = text(headers, "authorization")?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
        .filter(|token| !token.is_empty())
}

/// The text of a header that is there once and not empty.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    header(headers, name).ok()
}
