//! Comparing a secret that was sent with the ones we know.

use axum::http::{HeaderMap, header};
use config::Secret;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Which of the secrets `presented` is. Both sides are hashed first, so neither the position of the
/// first wrong character nor the length shows in the time that this takes.
pub(super) fn position(secrets: &[Secret], presented: &str) -> Option<usize> {
    let presented = Sha256::digest(presented);
    let mut found = None;
    for (position, secret) in secrets.iter().enumerate() {
        if Sha256::digest(secret.expose()).ct_eq(&presented).into() {
            found = Some(position);
        }
    }
    found
}

/// The token of `Authorization: Bearer …` (RFC 6750 §2.1).
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
        .filter(|token| !token.is_empty())
}

/// The text of a header that is there and not empty.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get(name)?
        .to_str()
        .ok()
        .map(str::trim)
        .filter(|text| !text.is_empty())
}
