//! The shared secret of HighLevel's workflow actions, which HighLevel does not sign
//! (contracts/highlevel.md §3).

use axum::http::HeaderMap;
use config::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::rejection::Rejection;
use super::shared_secret::{bearer, is_one_of, text};

/// Checks that the caller knows one of the secrets. It may be shown as `Authorization: Bearer …`,
/// as `X-Webhook-Token`, as `path_token` (the action that can't set headers), or be used as the key
/// of `X-Webhook-Signature: sha256=<hex HMAC-SHA256 of the body>`.
///
/// # Errors
/// The class of the failure.
pub fn verify(
    secrets: &[Secret],
    headers: &HeaderMap,
    body: &[u8],
    path_token: Option<&str>,
) -> Result<(), Rejection> {
    let signature = text(headers, "x-webhook-signature");
    let tokens = [
        bearer(headers),
        text(headers, "x-webhook-token"),
        path_token,
    ];
    if signature.is_none() && tokens.iter().all(Option::is_none) {
        return Err(Rejection::MissingHeader);
    }
    if secrets.is_empty() {
        return Err(Rejection::Closed);
    }
    if tokens
        .into_iter()
        .flatten()
        .any(|token| is_one_of(secrets, token))
    {
        return Ok(());
    }
    match signature {
        Some(signature) => verify_signature(secrets, signature, body),
        None => Err(Rejection::SignatureMismatch),
    }
}

fn verify_signature(secrets: &[Secret], signature: &str, body: &[u8]) -> Result<(), Rejection> {
    let digits = signature
        .strip_prefix("sha256=")
        .ok_or(Rejection::MalformedSignature)?;
    let signature = hex::decode(digits).map_err(|_| Rejection::MalformedSignature)?;
    let matches = secrets.iter().any(|secret| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
            .expect("HMAC takes a key of any length");
        mac.update(body);
        mac.verify_slice(&signature).is_ok()
    });
    if matches {
        Ok(())
    } else {
        Err(Rejection::SignatureMismatch)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName, HeaderValue};
    use config::Secret;
    use hmac::{Hmac, KeyInit as _, Mac as _};
    use sha2::Sha256;

    use super::verify;
    use crate::verify::Rejection;

    const BODY: &[u8] = br#"{"contact_id":"c"}"#;

    fn secrets() -> Vec<Secret> {
        vec![Secret::new("old-secret"), Secret::new("new-secret")]
    }

    fn with(name: &'static str, value: &str) -> HeaderMap {
        let value = HeaderValue::from_str(value).unwrap();
        HeaderMap::from_iter([(HeaderName::from_static(name), value)])
    }

    fn signature(secret: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(BODY);
        format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
    }

    #[test]
    fn each_way_to_show_either_secret_is_accepted() {
        for secret in ["old-secret", "new-secret"] {
            let bearer = with("authorization", &format!("bearer {secret}"));
            assert_eq!(verify(&secrets(), &bearer, BODY, None), Ok(()));
            let token = with("x-webhook-token", secret);
            assert_eq!(verify(&secrets(), &token, BODY, None), Ok(()));
            let signed = with("x-webhook-signature", &signature(secret));
            assert_eq!(verify(&secrets(), &signed, BODY, None), Ok(()));
            assert_eq!(
                verify(&secrets(), &HeaderMap::new(), BODY, Some(secret)),
                Ok(())
            );
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let wrong = Err(Rejection::SignatureMismatch);
        assert_eq!(
            verify(&secrets(), &with("authorization", "Bearer no"), BODY, None),
            wrong
        );
        assert_eq!(
            verify(
                &secrets(),
                &with("x-webhook-token", "old-secre"),
                BODY,
                None
            ),
            wrong
        );
        assert_eq!(verify(&secrets(), &HeaderMap::new(), BODY, Some("")), wrong);
        let signed = with("x-webhook-signature", &signature("old-secret"));
        assert_eq!(verify(&secrets(), &signed, b"other body", None), wrong);
        let bare = with("x-webhook-signature", &signature("old-secret")[7..]);
        let malformed = Err(Rejection::MalformedSignature);
        assert_eq!(verify(&secrets(), &bare, BODY, None), malformed);
    }

    #[test]
    fn without_a_secret_the_route_is_closed_and_without_a_proof_it_is_missing() {
        let empty = HeaderMap::new();
        assert_eq!(verify(&[], &empty, BODY, Some("")), Err(Rejection::Closed));
        let missing = Err(Rejection::MissingHeader);
        assert_eq!(verify(&secrets(), &empty, BODY, None), missing);
        // HighLevel's signatures are accepted on the same address, so it is not closed as such.
        assert_eq!(verify(&[], &empty, BODY, None), missing);
    }
}
