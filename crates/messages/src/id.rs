//! Deterministic event ids: the same event delivered twice has the same id, whoever computes it.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

/// Id of a HubSpot event. HubSpot's own `eventId` is not unique by contract, so five fields
/// together identify an event (contracts/hubspot.md §2.3).
#[must_use]
pub fn deal_event_id(
    portal_id: i64,
    subscription_type: &str,
    object_id: i64,
    event_id: Option<i64>,
    occurred_at_ms: i64,
) -> String {
    let event_id = event_id.map(|id| id.to_string()).unwrap_or_default();
    hash(
        "hubspot",
        &[
            &portal_id.to_string(),
            subscription_type,
            &object_id.to_string(),
            &event_id,
            &occurred_at_ms.to_string(),
        ],
    )
}

/// Id of a HighLevel event: the provider's `webhookId`, else its `messageId`, else a hash of
/// location, contact, text and the minute of receipt (workflow webhooks carry no id).
#[must_use]
pub fn highlevel_event_id(
    webhook_id: Option<&str>,
    message_id: Option<&str>,
    kind: &str,
    location_id: &str,
    contact_id: &str,
    text: &str,
    received_at: DateTime<Utc>,
) -> String {
    if let Some(id) = webhook_id.or(message_id).filter(|id| !id.is_empty()) {
        // A webhook id is unique for each event; a message id only within its kind of event.
        return match webhook_id {
            Some(_) => id.to_owned(),
            None => format!("{kind}:{id}"),
        };
    }
    let minute = received_at.timestamp().div_euclid(60).to_string();
    hash("highlevel", &[kind, location_id, contact_id, text, &minute])
}

/// Id of a `POST /generate` request: the client's `Idempotency-Key`, else company and stage time.
#[must_use]
pub fn generate_event_id(
    idempotency_key: Option<&str>,
    company_id: &str,
    stage_ts: &str,
) -> String {
    match idempotency_key {
        Some(key) => hash("generate-key", &[key]),
        None => hash("generate", &[company_id, stage_ts]),
    }
}

/// SHA-256 over length-prefixed parts, so that no two lists of parts can be confused.
fn hash(scope: &str, parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    format!("{scope}-{}", &hex::encode(digest.finalize())[..40])
}

#[cfg(test)]
mod tests {
    use chrono::{TimeZone, Utc};

    use super::{deal_event_id, generate_event_id, highlevel_event_id};

    #[test]
    fn a_hubspot_event_keeps_its_id_over_attempts_and_differs_by_each_field() {
        let id = |portal, object, event, at| {
            deal_event_id(portal, "deal.propertyChange", object, event, at)
        };
        assert_eq!(id(1, 2, Some(3), 4), id(1, 2, Some(3), 4));
        let others = [
            id(9, 2, Some(3), 4),
            id(1, 9, Some(3), 4),
            id(1, 2, None, 4),
            id(1, 2, Some(3), 9),
        ];
        for other in others {
            assert_ne!(id(1, 2, Some(3), 4), other);
        }
    }

    #[test]
    fn a_highlevel_event_is_known_by_webhook_id_then_message_id_then_content_and_minute() {
        let at = |second| Utc.with_ymd_and_hms(2026, 11, 22, 12, 0, second).unwrap();
        let id = |webhook, message, text, time| {
            highlevel_event_id(webhook, message, "received", "loc", "contact", text, time)
        };
        assert_eq!(id(Some("w"), Some("m"), "a", at(0)), "w");
        assert_eq!(id(None, Some("m"), "a", at(0)), "received:m");
        assert_eq!(id(None, None, "a", at(0)), id(None, None, "a", at(59)));
        assert_ne!(id(None, None, "a", at(0)), id(None, None, "b", at(0)));
    }

    #[test]
    fn parts_cannot_be_shifted_into_each_other() {
        assert_ne!(
            generate_event_id(None, "12", "3"),
            generate_event_id(None, "1", "23")
        );
        assert_ne!(
            generate_event_id(Some("12"), "", ""),
            generate_event_id(None, "12", "")
        );
    }
}
