//! The keys of clients and operators.

use axum::http::HeaderMap;
use config::Secret;

use super::rejection::Rejection;
use super::shared_secret::{bearer, position, text};

/// Which of the configured keys the caller shows, as `Authorization: Bearer …` or `X-API-Key`.
///
/// # Errors
/// The class of the failure.
pub fn verify(keys: &[Secret], headers: &HeaderMap) -> Result<usize, Rejection> {
    if keys.is_empty() {
        return Err(Rejection::Closed);
    }
    let presented = bearer(headers)
        .or_else(|| text(headers, "x-api-key"))
        .ok_or(Rejection::MissingHeader)?;
    position(keys, presented).ok_or(Rejection::SignatureMismatch)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName, HeaderValue};
    use config::Secret;

    use super::verify;
    use crate::verify::Rejection;

    fn with(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )])
    }

    #[test]
    fn a_caller_is_known_by_the_key_it_shows() {
        let keys = [Secret::new("first"), Secret::new("second")];
        assert_eq!(
            verify(&keys, &with("authorization", "Bearer second")),
            Ok(1)
        );
        assert_eq!(verify(&keys, &with("x-api-key", "first")), Ok(0));
        let wrong = Err(Rejection::SignatureMismatch);
        assert_eq!(verify(&keys, &with("x-api-key", "firs")), wrong);
        let missing = Err(Rejection::MissingHeader);
        assert_eq!(
            verify(&keys, &with("authorization", "Basic first")),
            missing
        );
        assert_eq!(verify(&[], &with("x-api-key", "")), Err(Rejection::Closed));
    }
}
