//! HubSpot's request signatures (contracts/hubspot.md §3): v3 for CRM webhooks, and v2, which has
//! no timestamp and so no protection against replay, for the workflow action only. v1 is accepted
//! nowhere.

use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use config::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::rejection::{Rejection, base64, header, timestamp, within_window};

/// How far a request's clock may be from ours. HubSpot asks for a check of age only; the window is
/// closed on both sides here.
const TOLERANCE_MS: i64 = 300_000;

/// The escapes that HubSpot decodes in the address before it signs, and no others.
const DECODED_ESCAPES: [(&str, char); 12] = [
    ("%3A", ':'),
    ("%2F", '/'),
    ("%3F", '?'),
    ("%40", '@'),
    ("%21", '!'),
    ("%24", '$'),
    ("%27", '\''),
    ("%28", '('),
    ("%29", ')'),
    ("%2A", '*'),
    ("%2C", ','),
    ("%3B", ';'),
];

/// The parts of a request that HubSpot signs.
#[derive(Debug, Clone, Copy)]
pub struct SignedRequest<'a> {
    /// The method, as received.
    pub method: &'a str,
    /// The public address that HubSpot called, with path and query exactly as received.
    pub uri: &'a str,
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// The raw body.
    pub body: &'a [u8],
}

/// Checks a v3 signature with any of the app's client secrets.
///
/// # Errors
/// The class of the first check that failed.
pub fn verify_v3(
    secrets: &[Secret],
    request: SignedRequest<'_>,
    now: DateTime<Utc>,
) -> Result<(), Rejection> {
    if secrets.is_empty() {
        return Err(Rejection::Closed);
    }
    let signature = header(request.headers, "x-hubspot-signature-v3")?;
    let signed_at = header(request.headers, "x-hubspot-request-timestamp")?;
    within_window(now.timestamp_millis(), timestamp(signed_at)?, TOLERANCE_MS)?;
    let signature = base64(signature)?;

    let uri = decode_uri(request.uri);
    let matches = secrets.iter().any(|secret| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
            .expect("HMAC takes a key of any length");
        for part in [
            request.method.as_bytes(),
            uri.as_bytes(),
            request.body,
            signed_at.as_bytes(),
        ] {
            mac.update(part);
        }
        mac.finalize()
            .into_bytes()
            .as_slice()
            .ct_eq(&signature)
            .into()
    });
    if matches {
        Ok(())
    } else {
        Err(Rejection::SignatureMismatch)
    }
}

/// Checks a v2 signature, a plain digest, with any of the app's client secrets. A request that
/// carries a v3 signature is judged by that alone.
///
/// # Errors
/// The class of the first check that failed.
pub fn verify_workflow(
    secrets: &[Secret],
    request: SignedRequest<'_>,
    now: DateTime<Utc>,
) -> Result<(), Rejection> {
    if request.headers.contains_key("x-hubspot-signature-v3") {
        return verify_v3(secrets, request, now);
    }
    if secrets.is_empty() {
        return Err(Rejection::Closed);
    }
    let signature = header(request.headers, "x-hubspot-signature")?;
    if header(request.headers, "x-hubspot-signature-version")? != "v2" {
        return Err(Rejection::MalformedSignature);
    }
    let signature = hex::decode(signature).map_err(|_| Rejection::MalformedSignature)?;
    let matches = secrets.iter().any(|secret| {
        let digest = Sha256::new()
            .chain_update(secret.expose())
            .chain_update(request.method)
            .chain_update(request.uri)
            .chain_update(request.body)
            .finalize();
        digest.as_slice().ct_eq(&signature).into()
    });
    if matches {
        Ok(())
    } else {
        Err(Rejection::SignatureMismatch)
    }
}

/// Decodes HubSpot's twelve escapes in one pass: `%253A` stays as it is.
fn decode_uri(uri: &str) -> String {
    let mut decoded = String::with_capacity(uri.len());
    let mut rest = uri;
    while let Some(position) = rest.find('%') {
        decoded.push_str(&rest[..position]);
        rest = &rest[position..];
        match DECODED_ESCAPES
            .iter()
            .find(|(escape, _)| rest.starts_with(escape))
        {
            Some((escape, character)) => {
                decoded.push(*character);
                rest = &rest[escape.len()..];
            }
            None => {
                decoded.push('%');
                rest = &rest[1..];
            }
        }
    }
    decoded.push_str(rest);
    decoded
}
