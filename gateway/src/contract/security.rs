//! How callers prove who they are.

use utoipa::Modify;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};

/// Schemes that are a header of their own: their name here, the header, what it holds.
const HEADERS: [(&str, &str, &str); 7] = [
    ("apiKey", "X-API-Key", "An API key."),
    (
        "standardWebhooks",
        "webhook-signature",
        "Standard Webhooks: one or more `v1,<base64 HMAC-SHA256>` over webhook-id, \
         webhook-timestamp and the raw body.",
    ),
    (
        "hubspotV3",
        "X-HubSpot-Signature-v3",
        "Base64 HMAC-SHA256 over method, public address, raw body and X-HubSpot-Request-Timestamp.",
    ),
    (
        "hubspotV2",
        "X-HubSpot-Signature",
        "Hex SHA-256, with X-HubSpot-Signature-Version: v2. It has no timestamp, so it can be \
         replayed; for the workflow action only.",
    ),
    (
        "highLevelSignature",
        "X-GHL-Signature",
        "Base64 Ed25519 over the raw body. Final when it is there: no secret is looked at then.",
    ),
    ("webhookToken", "X-Webhook-Token", "WEBHOOK_SECRET itself."),
    (
        "webhookSignature",
        "X-Webhook-Signature",
        "`sha256=<hex HMAC-SHA256 of the raw body>` with WEBHOOK_SECRET as its key.",
    ),
];

/// Adds the schemes.
pub(super) struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API key; for workflow actions WEBHOOK_SECRET."))
            .build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        for (name, header, description) in HEADERS {
            let value = ApiKeyValue::with_description(header, description);
            components.add_security_scheme(name, SecurityScheme::ApiKey(ApiKey::Header(value)));
        }
    }
}
