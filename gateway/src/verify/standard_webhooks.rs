//! Standard Webhooks, symmetric (`v1`): the scheme of OpenAI's webhooks
//! (contracts/standard-webhooks.md §2 and §3).

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::rejection::{Rejection, base64, header, timestamp, within_window};

/// How far a request's clock may be from ours, both ways.
const TOLERANCE_SECONDS: i64 = 300;

/// A signing secret: `whsec_` and base64 of, by the specification, 24 to 64 bytes. The provider makes
/// it, so its length is the provider's word; only an empty key is refused. Kept as the state of HMAC
/// after the key.
#[derive(Clone)]
pub struct SigningSecret(Hmac<Sha256>);

/// Why a text is not a signing secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The scheme's prefix is missing.
    #[error("must start with whsec_")]
    Prefix,
    /// What follows the prefix is not strict base64.
    #[error("must be whsec_ and standard base64 with its padding")]
    Base64,
    /// The key is empty, which would let anybody sign.
    #[error("must hold a key after whsec_")]
    Empty,
}

impl SigningSecret {
    /// Reads the secret as the provider shows it.
    ///
    /// # Errors
    /// [`SecretError`]
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let encoded = text.strip_prefix("whsec_").ok_or(SecretError::Prefix)?;
        let key = STANDARD.decode(encoded).map_err(|_| SecretError::Base64)?;
        if key.is_empty() {
            return Err(SecretError::Empty);
        }
        let mac = Hmac::new_from_slice(&key).expect("HMAC takes a key of any length");
        Ok(Self(mac))
    }
}

impl std::fmt::Debug for SigningSecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("***")
    }
}

/// Checks a delivery and returns its `webhook-id`, which is the same for every attempt.
///
/// Any of the secrets may match any of the `v1` signatures, so both sides can rotate.
///
/// # Errors
/// The class of the first check that failed.
pub fn verify(
    secrets: &[SigningSecret],
    headers: &HeaderMap,
    body: &[u8],
    now: DateTime<Utc>,
) -> Result<String, Rejection> {
    if secrets.is_empty() {
        return Err(Rejection::Closed);
    }
    let id = header(headers, "webhook-id")?;
    let signed_at = header(headers, "webhook-timestamp")?;
    let signatures = header(headers, "webhook-signature")?;
    within_window(now.timestamp(), timestamp(signed_at)?, TOLERANCE_SECONDS)?;

    for SigningSecret(mac) in secrets {
        let mut mac = mac.clone();
        for part in [id.as_bytes(), b".", signed_at.as_bytes(), b".", body] {
            mac.update(part);
        }
        let expected = mac.finalize().into_bytes();
        let matches = signatures
            .split(' ')
            .filter_map(|entry| entry.strip_prefix("v1,"))
            .filter_map(|encoded| base64(encoded).ok())
            .any(|signature| signature.ct_eq(expected.as_slice()).into());
        if matches {
            return Ok(id.to_owned());
        }
    }
    Err(Rejection::NoMatchingSignature)
}

#[cfg(test)]
mod tests {
    use super::{SecretError, SigningSecret};

    #[test]
    fn a_secret_that_lets_anybody_sign_is_refused() {
        let refused = |text| SigningSecret::parse(text).unwrap_err();
        assert_eq!(refused("whsec_"), SecretError::Empty);
        assert_eq!(
            refused("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            SecretError::Prefix
        );
        assert_eq!(
            refused("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAA"),
            SecretError::Base64
        );
        assert!(SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_ok());
    }
}
