//! HighLevel's webhook signatures (contracts/highlevel.md §2.5): Ed25519, and the RSA one of older
//! times where a key for it is configured.

use axum::http::HeaderMap;
use ring::signature::{
    ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};

use super::public_key::{Ed25519Key, RsaKey};
use super::rejection::{Rejection, base64};

/// The keys that HighLevel's signatures are checked with.
#[derive(Debug, Clone, Default)]
pub struct HighLevelKeys {
    /// For `X-GHL-Signature`.
    pub ed25519: Vec<Ed25519Key>,
    /// For `X-WH-Signature`; empty switches it off.
    pub rsa: Vec<RsaKey>,
}

/// The signature by which a request is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature<'a> {
    /// `X-GHL-Signature`
    Ed25519(&'a [u8]),
    /// `X-WH-Signature`
    Rsa(&'a [u8]),
}

impl<'a> Signature<'a> {
    /// The signature in the headers, if there is one. The current one is final: nothing else is
    /// looked at when it is there, right or wrong. HighLevel writes `N/A` where it has none.
    #[must_use]
    pub fn of(headers: &'a HeaderMap, keys: &HighLevelKeys) -> Option<Self> {
        let present = |name| {
            let value = headers.get(name)?.as_bytes();
            (value != b"N/A").then_some(value)
        };
        if let Some(value) = present("x-ghl-signature") {
            return Some(Self::Ed25519(value));
        }
        let legacy = !keys.rsa.is_empty();
        legacy
            .then(|| present("x-wh-signature"))
            .flatten()
            .map(Self::Rsa)
    }

    /// Checks the signature over the raw body with any of the keys.
    ///
    /// # Errors
    /// [`Rejection::Closed`], [`Rejection::MalformedSignature`] or
    /// [`Rejection::SignatureMismatch`].
    pub fn verify(self, keys: &HighLevelKeys, body: &[u8]) -> Result<(), Rejection> {
        match self {
            Self::Ed25519(value) => {
                check(&ED25519, keys.ed25519.iter().map(|key| &key.0), value, body)
            }
            Self::Rsa(value) => {
                let keys = keys.rsa.iter().map(|key| &key.0);
                check(&RSA_PKCS1_2048_8192_SHA256, keys, value, body)
            }
        }
    }
}

/// Checks a request that must carry a signature.
///
/// # Errors
/// [`Rejection::MissingHeader`] without one, else as [`Signature::verify`].
pub fn verify(keys: &HighLevelKeys, headers: &HeaderMap, body: &[u8]) -> Result<(), Rejection> {
    Signature::of(headers, keys)
        .ok_or(Rejection::MissingHeader)?
        .verify(keys, body)
}

fn check<'a>(
    algorithm: &'static dyn VerificationAlgorithm,
    keys: impl ExactSizeIterator<Item = &'a Vec<u8>>,
    value: &[u8],
    body: &[u8],
) -> Result<(), Rejection> {
    if keys.len() == 0 {
        return Err(Rejection::Closed);
    }
    let text = std::str::from_utf8(value).map_err(|_| Rejection::MalformedSignature)?;
    let signature = base64(text)?;
    let mut keys = keys;
    if keys.any(|key| {
        UnparsedPublicKey::new(algorithm, key)
            .verify(body, &signature)
            .is_ok()
    }) {
        Ok(())
    } else {
        Err(Rejection::SignatureMismatch)
    }
}
