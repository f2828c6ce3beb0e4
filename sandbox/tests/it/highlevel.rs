//! contracts/highlevel.md.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use ring::signature::{ED25519, UnparsedPublicKey};
use sandbox::{EffectKind, keys};
use serde_json::{Value, json};

use crate::support::{Delivered, World};

const TOKEN: &str = keys::HIGHLEVEL_API_KEY;

async fn call(world: &World, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
    let url = format!("{}{path}", world.sandbox.highlevel_base_url());
    world.call(method, &url, TOKEN, body).await
}

async fn write(world: &World, text: &str) {
    world
        .control(
            "/sandbox/highlevel/contacts/c1/messages",
            &json!({"text": text}),
        )
        .await;
}

fn sms(text: &str) -> Value {
    json!({"type": "SMS", "contactId": "c1", "message": text})
}

fn assert_signed(webhook: &Delivered) {
    let spki = STANDARD
        .decode(keys::highlevel_webhook_public_key())
        .unwrap();
    let signature = STANDARD.decode(webhook.header("x-ghl-signature")).unwrap();
    // The key is the last 32 bytes of its SubjectPublicKeyInfo (RFC 8410).
    UnparsedPublicKey::new(&ED25519, &spki[12..])
        .verify(&webhook.body, &signature)
        .unwrap();
}

#[tokio::test]
async fn a_contact_who_writes_raises_a_signed_inbound_message() {
    let world = World::start().await;
    write(&world, "hello").await;
    let webhook = world.gateway.delivered(1).await.remove(0);
    assert_eq!(webhook.path, "/webhook/highlevel");
    assert_signed(&webhook);
    let event = webhook.json();
    assert_eq!(
        (&event["type"], &event["direction"]),
        (&json!("InboundMessage"), &json!("inbound"))
    );
    assert_eq!(
        (&event["body"], &event["messageType"]),
        (&json!("hello"), &json!("SMS"))
    );
    assert!(event["webhookId"].is_string() && event["messageId"].is_string());
}

#[tokio::test]
async fn a_refused_webhook_is_sent_again_with_the_same_id() {
    let world = World::start().await;
    world.gateway.answer_with(&[429, 500]);
    write(&world, "hello").await;
    let deliveries = world.gateway.delivered(3).await;
    let ids: Vec<Value> = deliveries
        .iter()
        .map(|d| d.json()["webhookId"].clone())
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
}

#[tokio::test]
async fn sending_is_not_idempotent_and_comes_back_as_our_own_message() {
    let world = World::start().await;
    write(&world, "hello").await;
    for _ in 0..2 {
        let (status, sent) = call(
            &world,
            Method::POST,
            "/conversations/messages",
            Some(&sms("hi")),
        )
        .await;
        assert_eq!(
            (status, &sent["conversationId"]),
            (200, &json!("conversation-c1"))
        );
    }
    assert_eq!(
        world.sandbox.effect_count(EffectKind::MessagesSent, "c1"),
        2
    );
    for webhook in &world.gateway.delivered(3).await[1..] {
        assert_signed(webhook);
        let event = webhook.json();
        assert_eq!(
            (&event["type"], &event["source"]),
            (&json!("OutboundMessage"), &json!("api"))
        );
        assert!(event.get("userId").is_none());
    }
}

#[tokio::test]
async fn a_person_who_answers_raises_an_outbound_message_with_a_user() {
    let world = World::start().await;
    let reply = json!({"text": "I will call you", "user_id": "anna"});
    world
        .control("/sandbox/highlevel/contacts/c1/human-reply", &reply)
        .await;
    let event = world.gateway.delivered(1).await.remove(0).json();
    assert_eq!(
        (&event["type"], &event["userId"]),
        (&json!("OutboundMessage"), &json!("anna"))
    );
    assert_eq!(event["source"], "app");
    assert_eq!(
        world.sandbox.effect_count(EffectKind::MessagesSent, "c1"),
        0
    );
}

#[tokio::test]
async fn nothing_is_sent_to_a_contact_with_dnd() {
    let world = World::start().await;
    let change = json!({"channel": "SMS"});
    world
        .control("/sandbox/highlevel/contacts/c1/dnd", &change)
        .await;
    let event = world.gateway.delivered(1).await.remove(0).json();
    assert_eq!(event["type"], "ContactDndUpdate");
    assert_eq!(event["dndSettings"]["SMS"]["status"], "active");
    let (status, body) = call(
        &world,
        Method::POST,
        "/conversations/messages",
        Some(&sms("hi")),
    )
    .await;
    let message = "Cannot send message as DND is active for SMS.";
    assert_eq!((status, body["message"].as_str()), (400, Some(message)));
    let (_, read) = call(&world, Method::GET, "/contacts/c1", None).await;
    assert_eq!(read["contact"]["dndSettings"]["SMS"]["status"], "active");
    assert_eq!(
        world.sandbox.effect_count(EffectKind::MessagesSent, "c1"),
        0
    );
}

#[tokio::test]
async fn messages_are_listed_newest_first_nested_or_flat() {
    let world = World::start().await;
    for text in ["one", "two", "three"] {
        write(&world, text).await;
    }
    call(
        &world,
        Method::POST,
        "/conversations/messages",
        Some(&sms("answer")),
    )
    .await;
    let search = format!(
        "/conversations/search?locationId={}&contactId=c1",
        keys::HIGHLEVEL_LOCATION_ID
    );
    let (_, found) = call(&world, Method::GET, &search, None).await;
    let id = found["conversations"][0]["id"].as_str().unwrap();
    let path = format!("/conversations/{id}/messages?limit=2");
    let (_, nested) = call(&world, Method::GET, &path, None).await;
    let page = &nested["messages"];
    assert_eq!(page["messages"][0]["body"], "answer");
    assert_eq!(page["messages"][0]["source"], "api");
    assert_eq!(page["messages"][0]["messageType"], "TYPE_SMS");
    assert_eq!(page["nextPage"], true);
    world
        .control("/sandbox/highlevel", &json!({"nested_messages": false}))
        .await;
    let last = page["lastMessageId"].as_str().unwrap();
    let path = format!("/conversations/{id}/messages?limit=2&lastMessageId={last}");
    let (_, flat) = call(&world, Method::GET, &path, None).await;
    let bodies: Vec<&Value> = flat["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| &message["body"])
        .collect();
    assert_eq!(bodies, ["two", "one"]);
    assert_eq!(flat["nextPage"], false);
}

#[tokio::test]
async fn wrong_requests_are_refused_in_highlevels_shape() {
    let world = World::start().await;
    let path = "/conversations/messages";
    let (status, body) = call(&world, Method::POST, path, Some(&sms("to nobody"))).await;
    assert_eq!((status, &body["statusCode"]), (400, &json!(400)));
    let (status, body) = call(&world, Method::POST, path, Some(&json!({"type": "Pigeon"}))).await;
    assert_eq!(status, 422);
    assert!(body["message"].is_array());
    let url = format!("{}/contacts/c1", world.sandbox.highlevel_base_url());
    assert_eq!(world.call(Method::GET, &url, "wrong", None).await.0, 401);
    let unversioned = world
        .http
        .get(&url)
        .bearer_auth(TOKEN)
        .send()
        .await
        .unwrap();
    assert_eq!(unversioned.status(), 401);
    assert!(unversioned.headers().contains_key("x-ratelimit-remaining"));
}

#[tokio::test]
async fn a_new_contact_is_announced() {
    let world = World::start().await;
    let contact = json!({"id": "c2", "first_name": "Ada"});
    world.control("/sandbox/highlevel/contacts", &contact).await;
    let event = world.gateway.delivered(1).await.remove(0).json();
    assert_eq!(
        (&event["type"], &event["id"]),
        (&json!("ContactCreate"), &json!("c2"))
    );
    assert_eq!(event["firstName"], "Ada");
}

#[tokio::test]
async fn an_event_of_any_kind_is_sent_signed() {
    let world = World::start().await;
    let event = json!({"type": "OpportunityCreate", "fields": {"id": "o1"}});
    world.control("/sandbox/highlevel/events", &event).await;
    let webhook = world.gateway.delivered(1).await.remove(0);
    assert_signed(&webhook);
    let event = webhook.json();
    assert_eq!(event["type"], "OpportunityCreate");
    assert_eq!(event["id"], "o1");
    assert!(event["webhookId"].is_string());
}
