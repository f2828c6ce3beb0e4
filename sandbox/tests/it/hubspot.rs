//! contracts/hubspot.md.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use ring::hmac;
use sandbox::{EffectKind, keys};
use serde_json::{Value, json};

use crate::support::World;

const TOKEN: &str = keys::HUBSPOT_ACCESS_TOKEN;

async fn call(world: &World, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
    let url = format!("{}{path}", world.sandbox.hubspot_base_url());
    world.call(method, &url, TOKEN, body).await
}

#[tokio::test]
async fn a_deal_shows_the_properties_asked_for_and_each_company_twice() {
    let world = World::start().await;
    let path = "/crm/v3/objects/deals/9001?properties=dealstage,nosuch&associations=companies";
    let (status, deal) = call(&world, Method::GET, path, None).await;
    assert_eq!(status, 200);
    assert_eq!(deal["properties"]["dealstage"], "appointmentscheduled");
    assert!(deal["properties"].get("nosuch").is_none());
    assert!(deal["properties"].get("amount").is_none(), "not asked for");
    let companies = &deal["associations"]["companies"]["results"];
    assert_eq!(
        *companies,
        json!([
            {"id": "8001", "type": "deal_to_company"},
            {"id": "8001", "type": "deal_to_company_unlabeled"},
        ])
    );
    let path = "/crm/v3/objects/companies/8001?properties=name,domain";
    let (_, company) = call(&world, Method::GET, path, None).await;
    assert_eq!(company["properties"]["name"], "Acme Robotics");
    assert_eq!(company["properties"]["domain"], "acme-robotics.example");
}

#[tokio::test]
async fn a_stage_change_sends_a_v3_signed_event() {
    let world = World::start().await;
    world.gateway.answer_with(&[500]);
    let stage = json!({"stage": "closedwon"});
    world
        .control("/sandbox/hubspot/deals/9001/stage", &stage)
        .await;
    for (attempt, webhook) in world.gateway.delivered(2).await.iter().enumerate() {
        let timestamp = webhook.header("x-hubspot-request-timestamp");
        let body = std::str::from_utf8(&webhook.body).unwrap();
        let signed = format!("POST{}/webhook/hubspot{body}{timestamp}", world.gateway.url);
        let key = hmac::Key::new(hmac::HMAC_SHA256, keys::HUBSPOT_CLIENT_SECRET.as_bytes());
        let signature = STANDARD
            .decode(webhook.header("x-hubspot-signature-v3"))
            .unwrap();
        hmac::verify(&key, signed.as_bytes(), &signature).unwrap();
        let event = &webhook.json()[0];
        assert_eq!(event["objectId"], 9001);
        assert_eq!(event["propertyValue"], "closedwon");
        assert_eq!(event["attemptNumber"], attempt);
    }
}

#[tokio::test]
async fn a_signature_covers_the_public_address() {
    let public = "https://hooks.example/in%3Aside";
    let world = World::with(|config| config.hubspot_public_base = Some(public.to_owned())).await;
    world
        .control("/sandbox/hubspot/deals/9001/stage", &json!({"stage": "x"}))
        .await;
    let webhook = world.gateway.delivered(1).await.remove(0);
    let timestamp = webhook.header("x-hubspot-request-timestamp");
    let body = std::str::from_utf8(&webhook.body).unwrap();
    let signed = format!("POSThttps://hooks.example/in:side/webhook/hubspot{body}{timestamp}");
    let key = hmac::Key::new(hmac::HMAC_SHA256, keys::HUBSPOT_CLIENT_SECRET.as_bytes());
    let signature = STANDARD
        .decode(webhook.header("x-hubspot-signature-v3"))
        .unwrap();
    hmac::verify(&key, signed.as_bytes(), &signature).unwrap();
}

#[tokio::test]
async fn only_known_properties_can_be_written() {
    let world = World::start().await;
    let path = "/crm/v3/objects/deals/9001";
    let known = json!({"properties": {"research_doc_url": "https://d.example/1"}});
    assert_eq!(call(&world, Method::PATCH, path, Some(&known)).await.0, 200);
    let unknown = json!({"properties": {"my_property": "x"}});
    let (status, body) = call(&world, Method::PATCH, path, Some(&unknown)).await;
    assert_eq!(
        (status, &body["category"]),
        (400, &json!("VALIDATION_ERROR"))
    );
    let created = json!({"name": "my_property", "type": "string", "fieldType": "text"});
    let properties = "/crm/v3/properties/deals";
    assert_eq!(
        call(&world, Method::POST, properties, Some(&created))
            .await
            .0,
        201
    );
    assert_eq!(
        call(&world, Method::PATCH, path, Some(&unknown)).await.0,
        200
    );
    assert_eq!(
        world.sandbox.effect_count(EffectKind::DealUpdates, "9001"),
        2
    );
}

#[tokio::test]
async fn a_note_can_be_made_found_and_read() {
    let world = World::start().await;
    let note = |properties: Value| {
        json!({"properties": properties, "associations": [{"to": {"id": "9001"},
               "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 214}]}]})
    };
    let notes = "/crm/v3/objects/notes";
    let whole = note(json!({"hs_timestamp": "2026-11-21T12:00:00Z", "hs_note_body": "job 7"}));
    let (status, created) = call(&world, Method::POST, notes, Some(&whole)).await;
    assert_eq!(status, 201);
    for missing in ["hs_timestamp", "hs_note_body"] {
        let mut partial = whole.clone();
        partial["properties"]
            .as_object_mut()
            .unwrap()
            .remove(missing);
        let (status, body) = call(&world, Method::POST, notes, Some(&partial)).await;
        assert_eq!(status, 400, "{body}");
    }

    let path = "/crm/v4/objects/deals/9001/associations/notes";
    let (_, associations) = call(&world, Method::GET, path, None).await;
    let id = associations["results"][0]["toObjectId"]
        .as_u64()
        .unwrap()
        .to_string();
    assert_eq!(created["id"], id);
    let path = format!("{notes}/{id}?properties=hs_note_body");
    let (_, read) = call(&world, Method::GET, &path, None).await;
    assert_eq!(read["properties"]["hs_note_body"], "job 7");
    let wanted = json!({"properties": ["hs_note_body"], "inputs": [{"id": id}, {"id": "1"}]});
    let path = format!("{notes}/batch/read");
    let (status, batch) = call(&world, Method::POST, &path, Some(&wanted)).await;
    assert_eq!((status, &batch["results"][0]["id"]), (207, &json!(id)));
    assert_eq!(
        world.sandbox.effect_count(EffectKind::NotesCreated, "9001"),
        1
    );
}

#[tokio::test]
async fn errors_have_hubspots_shape() {
    let world = World::start().await;
    let (status, body) = call(&world, Method::GET, "/crm/v3/objects/deals/1", None).await;
    assert_eq!(
        (status, &body["category"]),
        (404, &json!("OBJECT_NOT_FOUND"))
    );
    let url = format!(
        "{}/crm/v3/objects/deals/9001",
        world.sandbox.hubspot_base_url()
    );
    let (status, body) = world.call(Method::GET, &url, "wrong", None).await;
    assert_eq!(
        (status, &body["category"]),
        (401, &json!("INVALID_AUTHENTICATION"))
    );
    let fault = json!({"provider": "hubspot", "kind": "status", "status": 429});
    world.control("/sandbox/faults", &fault).await;
    let (status, body) = world.call(Method::GET, &url, TOKEN, None).await;
    assert_eq!(
        (status, &body["policyName"]),
        (429, &json!("TEN_SECONDLY_ROLLING"))
    );
}

#[tokio::test]
async fn a_deal_can_be_put_with_its_companies() {
    let world = World::start().await;
    let deal = json!({"id": "42", "properties": {"dealname": "D"},
                      "companies": [{"properties": {"name": "C", "domain": "c.example"}}]});
    let put = world.control("/sandbox/hubspot/deals", &deal).await;
    let path = "/crm/v3/objects/deals/42?associations=companies";
    let (_, read) = call(&world, Method::GET, path, None).await;
    assert_eq!(read["properties"]["dealname"], "D");
    assert_eq!(
        read["associations"]["companies"]["results"][0]["id"],
        put["companies"][0]
    );
}
