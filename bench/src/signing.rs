//! Standard Webhooks: how OpenAI signs what it sends.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The secret that all webhooks are signed with, as the provider shows it. It protects nothing.
pub(crate) const SIGNING_SECRET: &str = "whsec_bWlsbHJhY2UtYmVuY2gtc2lnbmluZy1rZXk=";

static KEYED: LazyLock<Hmac<Sha256>> = LazyLock::new(|| {
    let key = STANDARD.decode(SIGNING_SECRET.trim_start_matches("whsec_"));
    Hmac::new_from_slice(&key.expect("the secret is base64")).expect("HMAC takes any key")
});

/// The signature of a webhook, without its version: 44 characters of base64.
#[must_use]
pub(crate) fn signature(id: &str, unix_seconds: i64, body: &[u8]) -> String {
    let mut mac = KEYED.clone();
    mac.update(format!("{id}.{unix_seconds}.").as_bytes());
    mac.update(body);
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::signature;

    #[test]
    fn a_signature_is_the_one_that_openssl_makes() {
        // printf '%s' 'wh_1.1795910400.{}' | openssl dgst -sha256 -hmac millrace-bench-signing-key
        let expected = "IywxX2TzEXBOmIEDz5xVYGcskoK7ulOrcX2dUMPgYrQ=";
        assert_eq!(signature("wh_1", 1_795_910_400, b"{}"), expected);
    }
}
