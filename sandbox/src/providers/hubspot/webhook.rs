//! HubSpot's webhooks: a JSON array of events with the v3 signature, and the v1 one beside it for
//! compatibility (contracts/hubspot.md sections 2 and 3).

use std::sync::Arc;

use chrono::Utc;
use percent_encoding::percent_decode_str;
use ring::digest;
use serde_json::{Value, json};

use crate::app::App;
use crate::keys;
use crate::providers::Provider;
use crate::webhooks::{self, FirstAttempts, SignedRequest, Webhook};

/// The portal (account) that every event names.
pub(crate) const PORTAL_ID: u64 = 44_123_987;
const PATH: &str = "/webhook/hubspot";
/// The only escapes that are decoded before signing (section 3.1).
const DECODED: [&str; 12] = [
    "%3A", "%2F", "%3F", "%40", "%21", "%24", "%27", "%28", "%29", "%2A", "%2C", "%3B",
];

/// Sends the event of a deal that reached a stage, the same event several times where asked.
pub(crate) fn stage_changed(
    app: &Arc<App>,
    deal: &str,
    stage: &str,
    source: &str,
    times: u32,
) -> Vec<FirstAttempts> {
    let event = event(deal, stage, source);
    (0..times)
        .map(|_| webhooks::send(app, webhook(app, event.clone()), None))
        .collect()
}

fn event(deal: &str, stage: &str, source: &str) -> Value {
    json!({
        "eventId": rand::random_range(1_u64..4_000_000_000), "subscriptionId": 2_841_907,
        "portalId": PORTAL_ID, "appId": 1_160_452, "occurredAt": Utc::now().timestamp_millis(),
        "subscriptionType": "deal.propertyChange", "attemptNumber": 0,
        "objectId": deal.parse::<u64>().unwrap_or_default(), "propertyName": "dealstage",
        "propertyValue": stage, "changeSource": source, "sourceId": "userId:9586504",
    })
}

fn webhook(app: &Arc<App>, event: Value) -> Webhook {
    let id = event["eventId"].to_string();
    let app = app.clone();
    let build = move |attempt: u32| {
        let mut event = event.clone();
        event["attemptNumber"] = json!(attempt);
        let body = json!([event]).to_string();
        let base = app.config.hubspot_public_base.clone();
        let base = base.unwrap_or_else(|| app.webhooks.gateway());
        SignedRequest {
            headers: headers(&base, &body),
            body: body.into_bytes(),
        }
    };
    Webhook {
        provider: Provider::HubSpot,
        event: "deal.propertyChange".to_owned(),
        id,
        path: PATH,
        build: Box::new(build),
    }
}

fn headers(base: &str, body: &str) -> Vec<(&'static str, String)> {
    let timestamp = Utc::now().timestamp_millis().to_string();
    let uri = decode(&format!("{}{PATH}", base.trim_end_matches('/')));
    let signed = format!("POST{uri}{body}{timestamp}");
    let secret = keys::HUBSPOT_CLIENT_SECRET;
    let v1 = digest::digest(&digest::SHA256, format!("{secret}{body}").as_bytes());
    vec![
        (
            "user-agent",
            "HubSpot Connect 2.0 (http://dev.hubspot.com/)".to_owned(),
        ),
        ("content-type", "application/json".to_owned()),
        ("x-hubspot-request-timestamp", timestamp),
        (
            "x-hubspot-signature-v3",
            keys::hmac_base64(secret.as_bytes(), signed.as_bytes()),
        ),
        ("x-hubspot-signature", hex::encode(v1)),
        ("x-hubspot-signature-version", "v1".to_owned()),
    ]
}

/// One pass over the escapes that HubSpot decodes.
fn decode(uri: &str) -> String {
    let mut decoded = String::with_capacity(uri.len());
    let mut rest = uri;
    while let Some(start) = rest.find('%') {
        decoded.push_str(&rest[..start]);
        match DECODED
            .into_iter()
            .find(|escape| rest[start..].starts_with(escape))
        {
            Some(escape) => {
                decoded.extend(percent_decode_str(escape).map(char::from));
                rest = &rest[start + escape.len()..];
            }
            None => {
                decoded.push('%');
                rest = &rest[start + 1..];
            }
        }
    }
    decoded + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_twelve_escapes_are_decoded_and_only_once() {
        assert_eq!(
            decode("https://a/%3A%2Fb%20c%253A?d=%40%3D"),
            "https://a/:/b%20c%253A?d=@%3D"
        );
    }
}
