//! `POST /webhook/hubspot`: an array of up to 100 events (contracts/hubspot.md §2.2).

use axum::extract::State as FromState;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use messages::{DealStageChanged, Envelope, deal_event_id, event_type};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::unrouted_type;
use crate::body::json;
use crate::contract::{CanFail, Problems, Publishes};
use crate::problem::Problem;
use crate::state::State;
use crate::verify::{HubSpotDelivery, Verified};

const SOURCE: &str = "/webhook/hubspot";

/// HubSpot's own bound.
const MOST_EVENTS: usize = 100;

/// The object type of deals in the generic form of events.
const DEAL: &str = "0-3";

/// CRM webhooks of HubSpot
///
/// Each event becomes a message of its own. All of them are confirmed, or the answer is not 2xx.
#[utoipa::path(
    post,
    path = "/webhook/hubspot",
    operation_id = "hubSpotWebhook",
    tag = "webhooks",
    security(("hubspotV3" = [])),
    params((
        "X-HubSpot-Request-Timestamp" = String, Header,
        description = "Unix milliseconds; at most five minutes from now",
        example = "1795262400000",
    )),
    request_body(
        content = ref("#/components/schemas/HubSpotEvents"),
        content_type = "application/json",
        example = json!([{
            "eventId": 3_816_279_340_u64, "portalId": 44_123_987, "appId": 1_160_452,
            "occurredAt": 1_795_262_398_500_u64, "subscriptionType": "deal.propertyChange",
            "attemptNumber": 0, "objectId": 18_273_645_501_u64, "propertyName": "dealstage",
            "propertyValue": "presentationscheduled", "changeSource": "CRM_UI",
        }]),
    ),
    responses(
        (status = 200, description = "The broker has all events on disk."),
        Problems::<(Verified<HubSpotDelivery>, HubSpotDelivery, Publishes<HubSpotDelivery>)>,
    ),
)]
pub(crate) async fn webhook(
    FromState(state): FromState<State>,
    delivery: Verified<HubSpotDelivery>,
) -> Result<StatusCode, Problem> {
    let events = read(&delivery.body, state.clock.now())?;
    state.ingress.publish(&delivery, events).await?;
    Ok(StatusCode::OK)
}

/// Reads the array, or the one event that stands in its place.
///
/// # Errors
/// The answer to what can't be read.
pub fn read(body: &[u8], now: DateTime<Utc>) -> Result<Vec<Envelope>, Problem> {
    let whole: &RawValue = serde_json::from_slice(body).map_err(|error| json::malformed(&error))?;
    let originals: Vec<&RawValue> = match whole.get().as_bytes().first() {
        Some(b'{') => return Ok(vec![event(whole, now)?]),
        Some(b'[') => serde_json::from_str(whole.get()).map_err(|error| json::malformed(&error))?,
        _ => {
            return Err(Problem::malformed(
                "The body must be an array of events, or one event.",
            ));
        }
    };
    if originals.len() > MOST_EVENTS {
        let detail = format!("A delivery may hold at most {MOST_EVENTS} events.");
        return Err(Problem::malformed(detail));
    }
    let events = originals.into_iter().enumerate();
    events
        .map(|(position, original)| {
            if !original.get().starts_with('{') {
                return Err(no_object(position));
            }
            event(original, now)
        })
        .collect()
}

impl CanFail for HubSpotDelivery {
    fn problems() -> Vec<Problem> {
        vec![no_object(0)]
    }
}

fn no_object(position: usize) -> Problem {
    Problem::invalid_field(&format!("/{position}"), "Each event must be a JSON object.")
}

fn event(original: &RawValue, now: DateTime<Utc>) -> Result<Envelope, Problem> {
    let fields: Map<String, Value> = json::object(original.get().as_bytes())?;
    let name = event_name(&fields).unwrap_or_default().to_owned();
    let id = event_id(&fields, &name).unwrap_or_else(|| {
        // Too few fields to tell it from others: the same bytes are the same event.
        Uuid::new_v5(&Uuid::NAMESPACE_OID, original.get().as_bytes()).to_string()
    });
    if let Some(change) = stage_change(fields, &name) {
        let subject = change.deal_id.to_string();
        let event = Envelope::new(event_type::DEAL_STAGE_CHANGED, id, SOURCE, now, &change);
        return Ok(event.with_subject(subject));
    }
    Ok(Envelope::new(
        &unrouted_type("hubspot", &name),
        id,
        SOURCE,
        now,
        &original,
    ))
}

/// `subscriptionType`; newer forms of events call it `eventType`.
fn event_name(fields: &Map<String, Value>) -> Option<&str> {
    ["subscriptionType", "eventType"]
        .iter()
        .find_map(|field| fields.get(*field)?.as_str())
}

fn event_id(fields: &Map<String, Value>, name: &str) -> Option<String> {
    let number = |field| fields.get(field).and_then(Value::as_i64);
    let (portal, object) = (number("portalId")?, number("objectId")?);
    Some(deal_event_id(
        portal,
        name,
        object,
        number("eventId"),
        number("occurredAt")?,
    ))
}

/// The event as a deal that reached a stage, if it is one and has the fields for it.
fn stage_change(mut fields: Map<String, Value>, name: &str) -> Option<DealStageChanged> {
    let text = |field| fields.get(field).and_then(Value::as_str);
    let concerns_a_deal = match name {
        "deal.propertyChange" => true,
        "object.propertyChange" => text("objectTypeId") == Some(DEAL),
        _ => false,
    };
    if !concerns_a_deal || text("propertyName") != Some("dealstage") {
        return None;
    }
    let stage = text("propertyValue")
        .filter(|stage| !stage.is_empty())?
        .to_owned();
    let number = |field| fields.get(field).and_then(Value::as_i64);
    let (portal_id, deal_id) = (number("portalId")?, number("objectId")?);
    let occurred_at_ms = number("occurredAt")?;
    for known in ["portalId", "objectId", "occurredAt", "propertyValue"] {
        fields.remove(known);
    }
    Some(DealStageChanged {
        portal_id,
        deal_id,
        stage,
        occurred_at_ms,
        extra: fields,
    })
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use messages::{DealStageChanged, Envelope, event_type};
    use serde_json::{Value, json};

    use super::read;

    fn read_json(body: &Value) -> Vec<Envelope> {
        read(body.to_string().as_bytes(), DateTime::<Utc>::UNIX_EPOCH).unwrap()
    }

    fn stage_event() -> Value {
        json!({
            "eventId": 3_816_279_340_i64, "portalId": 44_123_987, "appId": 1_160_452,
            "occurredAt": 1_795_262_398_500_i64, "subscriptionType": "deal.propertyChange",
            "attemptNumber": 0, "objectId": 9_007_199_254_740_993_i64,
            "propertyName": "dealstage", "propertyValue": "presentationscheduled",
            "changeSource": "CRM_UI", "novelty": {"kept": true},
        })
    }

    #[test]
    fn a_stage_change_keeps_64_bit_ids_and_unknown_fields() {
        let events = read_json(&json!([stage_event()]));
        assert_eq!(events[0].event_type, event_type::DEAL_STAGE_CHANGED);
        assert_eq!(events[0].subject.as_deref(), Some("9007199254740993"));
        let data: DealStageChanged = events[0].data().unwrap();
        assert_eq!(data.deal_id, 9_007_199_254_740_993);
        assert_eq!(
            (data.portal_id, data.occurred_at_ms),
            (44_123_987, 1_795_262_398_500)
        );
        assert_eq!(data.stage, "presentationscheduled");
        assert_eq!(data.extra["novelty"], json!({"kept": true}));
        assert_eq!(data.extra["changeSource"], json!("CRM_UI"));
    }

    #[test]
    fn an_attempt_has_the_id_of_the_first() {
        let mut again = stage_event();
        again["attemptNumber"] = json!(3);
        let events = read_json(&json!([stage_event(), again]));
        assert_eq!(events[0].id, events[1].id);
    }

    #[test]
    fn the_generic_form_counts_for_deals_only_and_may_call_its_type_event_type() {
        let mut generic = stage_event();
        generic.as_object_mut().unwrap().remove("subscriptionType");
        generic["eventType"] = json!("object.propertyChange");
        generic["objectTypeId"] = json!("0-3");
        let mut company = generic.clone();
        company["objectTypeId"] = json!("0-2");
        let events = read_json(&json!([generic, company]));
        assert_eq!(events[0].event_type, event_type::DEAL_STAGE_CHANGED);
        assert_eq!(events[1].event_type, "hubspot.object.property_change");
    }

    #[test]
    fn other_events_are_kept_as_they_came() {
        let body = br#"[{"subscriptionType":"deal.creation",  "objectId":1}, {}]"#;
        let events = read(body, DateTime::<Utc>::UNIX_EPOCH).unwrap();
        assert_eq!(events[0].event_type, "hubspot.deal.creation");
        assert_eq!(
            events[0].data.get(),
            r#"{"subscriptionType":"deal.creation",  "objectId":1}"#
        );
        assert_eq!(events[1].event_type, "hubspot.unknown");
        assert_ne!(events[0].id, events[1].id);
    }

    #[test]
    fn a_single_object_counts_as_one_event_and_an_empty_array_as_none() {
        assert_eq!(read_json(&stage_event()).len(), 1);
        assert_eq!(read_json(&json!([])).len(), 0);
    }

    #[test]
    fn more_than_hubspot_sends_and_what_is_no_event_is_malformed() {
        let status = |body: &str| {
            read(body.as_bytes(), DateTime::<Utc>::UNIX_EPOCH)
                .unwrap_err()
                .status()
                .as_u16()
        };
        assert_eq!(status(&json!(vec![json!({}); 101]).to_string()), 400);
        assert_eq!(status("7"), 400);
        assert_eq!(status("[{}, 1]"), 422);
        assert_eq!(status("[{]"), 400);
        assert_eq!(status(""), 400);
    }
}
