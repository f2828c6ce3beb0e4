//! `POST /webhook/hubspot/workflow`: the workflow action "Send a webhook" (contracts/hubspot.md §4).
//! Open only with `HUBSPOT_WORKFLOW_SIGNATURES`.

use axum::extract::State as FromState;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use messages::{DealStageChanged, Envelope, deal_event_id, event_type};
use serde_json::Value;
use uuid::Uuid;

use super::unrouted_type;
use crate::body::json;
use crate::contract::{Problems, Publishes};
use crate::problem::Problem;
use crate::state::State;
use crate::verify::{HubSpotWorkflowDelivery, Verified};

const SOURCE: &str = "/webhook/hubspot/workflow";

/// HubSpot's workflow action "Send a webhook"
///
/// Open only with HUBSPOT_WORKFLOW_SIGNATURES=true. The enrolled deal counts as one that has reached
/// its stage. Signature v3 where there is one, else v2, which can be replayed.
#[utoipa::path(
    post,
    path = "/webhook/hubspot/workflow",
    operation_id = "hubSpotWorkflowAction",
    tag = "webhooks",
    security(("hubspotV3" = []), ("hubspotV2" = [])),
    request_body(
        content = ref("#/components/schemas/HubSpotWorkflowDeal"),
        content_type = "application/json",
        example = json!({
            "portalId": 44_123_987, "objectId": 18_273_645_501_u64,
            "properties": {
                "dealstage": {"value": "presentationscheduled"},
                "hs_lastmodifieddate": {"value": "1795262398500"},
            },
        }),
    ),
    responses(
        (status = 200, description = "The broker has the event on disk."),
        Problems::<(Verified<HubSpotWorkflowDelivery>, Publishes<HubSpotWorkflowDelivery>)>,
    ),
)]
pub(crate) async fn webhook(
    FromState(state): FromState<State>,
    delivery: Verified<HubSpotWorkflowDelivery>,
) -> Result<StatusCode, Problem> {
    let event = read(&delivery.body, state.clock.now())?;
    state.ingress.publish(&delivery, vec![event]).await?;
    Ok(StatusCode::OK)
}

fn read(body: &[u8], now: DateTime<Utc>) -> Result<Envelope, Problem> {
    let deal = Value::Object(json::object(body)?);
    let Some(change) = stage_change(&deal, now) else {
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, body).to_string();
        return Ok(Envelope::new(
            &unrouted_type("hubspot", "workflow"),
            id,
            SOURCE,
            now,
            &deal,
        ));
    };
    let id = deal_event_id(
        change.portal_id,
        "workflow",
        change.deal_id,
        None,
        change.occurred_at_ms,
    );
    let subject = change.deal_id.to_string();
    let event = Envelope::new(event_type::DEAL_STAGE_CHANGED, id, SOURCE, now, &change);
    Ok(event.with_subject(subject))
}

/// The action sends no event id and no time of its own. The deal's last change stands in for it,
/// else the minute, so that a retry is the same event.
fn stage_change(deal: &Value, now: DateTime<Utc>) -> Option<DealStageChanged> {
    let stage = find(deal, &["dealstage"])?;
    let minute_ms = now.timestamp().div_euclid(60) * 60_000;
    let occurred_at_ms = find(deal, &["hs_lastmodifieddate"]).and_then(|text| milliseconds(&text));
    Some(DealStageChanged {
        portal_id: find(deal, &["portalId", "hs_portal_id"])?.parse().ok()?,
        deal_id: find(deal, &["objectId", "hs_object_id", "id"])?
            .parse()
            .ok()?,
        stage,
        occurred_at_ms: occurred_at_ms.unwrap_or(minute_ms),
        extra: deal.as_object().cloned().unwrap_or_default(),
    })
}

/// The first of these fields, at the top or in `properties`, where it may be `{value}`.
fn find(deal: &Value, names: &[&str]) -> Option<String> {
    let places = [Some(deal), deal.get("properties")];
    let values = places
        .into_iter()
        .flatten()
        .flat_map(|place| names.iter().filter_map(move |name| place.get(name)));
    values
        .map(|value| value.get("value").unwrap_or(value))
        .find_map(|value| match value {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
}

fn milliseconds(text: &str) -> Option<i64> {
    let time = DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|time| time.timestamp_millis());
    time.or_else(|| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use messages::{DealStageChanged, event_type};

    use super::read;

    #[test]
    fn both_shapes_of_a_deal_are_a_stage_change() {
        for body in [
            r#"{"portalId": 1, "objectId": 2, "properties": {"dealstage": {"value": "won"},
                "hs_lastmodifieddate": {"value": "1795262398500"}}}"#,
            r#"{"portalId": "1", "hs_object_id": "2", "dealstage": "won",
                "hs_lastmodifieddate": "2026-11-21T11:59:58.500Z"}"#,
        ] {
            let event = read(body.as_bytes(), DateTime::<Utc>::UNIX_EPOCH).unwrap();
            assert_eq!(event.event_type, event_type::DEAL_STAGE_CHANGED);
            let change: DealStageChanged = event.data().unwrap();
            assert_eq!(
                (change.portal_id, change.deal_id, change.stage.as_str()),
                (1, 2, "won")
            );
            assert_eq!(change.occurred_at_ms, 1_795_262_398_500);
        }
    }

    #[test]
    fn anything_else_is_kept() {
        let event = read(br#"{"objectId": 2}"#, DateTime::<Utc>::UNIX_EPOCH).unwrap();
        assert_eq!(event.event_type, "hubspot.workflow");
    }
}
