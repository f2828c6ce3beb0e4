//! The sandbox's keys. They are fixed, published with the source, and worth nothing: they open
//! nothing but a sandbox.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use ring::rsa::KeyPair as RsaKeyPair;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

/// The key that OpenAI's stand-in takes as its bearer token.
pub const OPENAI_API_KEY: &str = "sk-worthless-sandbox-key";
/// The secret that OpenAI's stand-in signs webhooks with (`whsec_` and base64 of 32 bytes).
pub const OPENAI_WEBHOOK_SECRET: &str = "whsec_d29ydGhsZXNzIHNhbmRib3ggc2lnbmluZyBrZXkhISE=";
/// The token that HubSpot's stand-in takes.
pub const HUBSPOT_ACCESS_TOKEN: &str = "pat-worthless-sandbox-token";
/// The client secret that HubSpot's stand-in signs webhooks with.
pub const HUBSPOT_CLIENT_SECRET: &str = "worthless-sandbox-client-secret";
/// The token that HighLevel's stand-in takes.
pub const HIGHLEVEL_API_KEY: &str = "pit-worthless-sandbox-token";
/// The one location (sub-account) that HighLevel's stand-in knows.
pub const HIGHLEVEL_LOCATION_ID: &str = "sandbox-location";
/// The shared secret for workflow webhooks, which HighLevel does not sign.
pub const WORKFLOW_WEBHOOK_SECRET: &str = "worthless-sandbox-workflow-secret";
/// The service account's e-mail address.
pub const SERVICE_ACCOUNT_EMAIL: &str = "millrace@worthless-sandbox.iam.gserviceaccount.example";
/// The id of the service account's key.
pub const SERVICE_ACCOUNT_KEY_ID: &str = "worthlesssandboxkey1";
/// The service account's private key (RSA 2048, PKCS #8, PEM), for the key file.
pub const SERVICE_ACCOUNT_PRIVATE_KEY: &str =
    include_str!("../keys/worthless-service-account-key.pem");

/// DER of a SubjectPublicKeyInfo for Ed25519 up to the 32 bytes of the key (RFC 8410 section 4).
const ED25519_SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
const HIGHLEVEL_SEED: &[u8; 32] = b"worthless sandbox Ed25519 seed!!";

/// The public key that verifies HighLevel's webhooks: base64 of its SubjectPublicKeyInfo, the
/// text between the lines of a PEM file.
#[must_use]
pub fn highlevel_webhook_public_key() -> String {
    let mut spki = ED25519_SPKI_PREFIX.to_vec();
    spki.extend_from_slice(highlevel_key().public_key().as_ref());
    STANDARD.encode(spki)
}

/// The text of a service account's key file whose tokens come from `token_uri`.
#[must_use]
pub fn service_account_file(token_uri: &str) -> String {
    let file = serde_json::json!({
        "type": "service_account",
        "project_id": "worthless-sandbox",
        "private_key_id": SERVICE_ACCOUNT_KEY_ID,
        "private_key": SERVICE_ACCOUNT_PRIVATE_KEY,
        "client_email": SERVICE_ACCOUNT_EMAIL,
        "client_id": "100000000000000000001",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": token_uri,
    });
    format!("{file:#}\n")
}

/// `X-GHL-Signature` for a raw body.
pub(crate) fn sign_highlevel(body: &[u8]) -> String {
    STANDARD.encode(highlevel_key().sign(body).as_ref())
}

/// A Standard Webhooks `webhook-signature` entry.
pub(crate) fn sign_standard_webhook(id: &str, timestamp: i64, body: &[u8]) -> String {
    let secret = OPENAI_WEBHOOK_SECRET.trim_start_matches("whsec_");
    let key = STANDARD.decode(secret).expect("the constant is base64");
    let mut signed = format!("{id}.{timestamp}.").into_bytes();
    signed.extend_from_slice(body);
    format!("v1,{}", hmac_base64(&key, &signed))
}

/// Standard base64 of an HMAC-SHA256.
pub(crate) fn hmac_base64(key: &[u8], signed: &[u8]) -> String {
    STANDARD.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), signed).as_ref())
}

/// The public half of the service account's key (PKCS #1 DER, as ring verifies with).
pub(crate) fn service_account_public_key() -> Vec<u8> {
    let base64: String = SERVICE_ACCOUNT_PRIVATE_KEY
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    let der = STANDARD.decode(base64).expect("the key file is PEM");
    let pair = RsaKeyPair::from_pkcs8(&der).expect("the key file is PKCS #8");
    pair.public().as_ref().to_vec()
}

fn highlevel_key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(HIGHLEVEL_SEED).expect("the seed has 32 bytes")
}
