//! Messages in all the shapes in which HighLevel and its workflows send them.

use std::collections::BTreeMap;

use end_to_end::{World, on_sqlite};
use entities::batch::State;
use reqwest::Method;
use sandbox::EffectKind;
use sandbox::keys::WORKFLOW_WEBHOOK_SECRET;
use serde_json::{Value, json};

on_sqlite!(
    each_shape_is_answered_in_json_and_as_a_form,
    an_event_without_an_id_counts_once_within_a_minute,
    the_reply_goes_out_on_the_channel_of_the_message,
    nothing_unproven_is_answered,
);

async fn each_shape_is_answered_in_json_and_as_a_form(world: World) {
    world.start().await;
    let native = |id: &str| {
        json!({"type": "InboundMessage", "contactId": id, "body": "Hello!",
               "messageType": "SMS", "direction": "inbound"})
    };
    let workflow = |id: &str| {
        json!({"contact_id": id, "first_name": "Ada", "full_name": "Ada Lovelace",
               "message": {"type": 2, "body": "Hello!"}})
    };
    let older = |id: &str| json!({"type": "contact.reply", "contact": {"id": id}, "message": {"content": "Hello!"}});
    let older_text =
        |id: &str| json!({"type": "contact.reply", "contact": {"id": id}, "message": "Hello!"});
    let bodies = [
        ("native", native("native")),
        ("workflow", workflow("workflow")),
        ("older", older("older")),
        ("older-text", older_text("older-text")),
    ];
    for (contact, body) in &bodies {
        world.contact_exists(contact).await;
        let request = world.request(Method::POST, "/webhook").json(body);
        accepted(&world, request, contact).await;
    }
    let forms = [
        (
            "native-form",
            "type=InboundMessage&contactId=native-form&body=Hello%21&messageType=SMS",
        ),
        (
            "workflow-form",
            "contact_id=workflow-form&first_name=Ada&message%5Btype%5D=2&message%5Bbody%5D=Hello%21",
        ),
        (
            "older-form",
            "type=contact.reply&contact%5Bid%5D=older-form&message%5Bcontent%5D=Hello%21",
        ),
    ];
    for (contact, form) in forms {
        world.contact_exists(contact).await;
        let request = world
            .request(Method::POST, "/webhook")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        accepted(&world, request, contact).await;
    }
    let contacts = bodies.iter().map(|(contact, _)| *contact);
    for contact in contacts.chain(forms.map(|(contact, _)| contact)) {
        world.until_batch(contact, State::Replied).await;
        let reply = "Thank you for your 1 message, the last of which ends with \"Hello!\".";
        assert_eq!(world.sent_to(contact), [reply], "{contact}");
    }
}

async fn an_event_without_an_id_counts_once_within_a_minute(world: World) {
    world.start().await;
    world.contact_exists("ada").await;
    let body = json!({"contact_id": "ada", "message": {"type": "SMS", "body": "Hello!"},
                      "customData": {"message_id": "m1"}});
    for _ in 0..3 {
        let request = world.request(Method::POST, "/webhook").json(&body);
        accepted(&world, request, "ada").await;
    }
    let batch = world.until_batch("ada", State::Replied).await;
    assert_eq!(batch.sequence, 1);
    assert_eq!(world.sent_to("ada").len(), 1);
}

async fn the_reply_goes_out_on_the_channel_of_the_message(world: World) {
    world.start().await;
    let channels = [
        ("SMS", "SMS"),
        ("WhatsApp", "WhatsApp"),
        ("Live Chat", "Live_Chat"),
        ("Email", "Email"),
        ("IG", "IG"),
    ];
    for (channel, _) in channels {
        let contact = contact_on(channel);
        world.contact_exists(&contact).await;
        let body = json!({"type": "InboundMessage", "contactId": contact, "body": "Hello!",
                          "messageType": channel, "subject": "Question"});
        let request = world.request(Method::POST, "/webhook").json(&body);
        accepted(&world, request, &contact).await;
    }
    for (channel, _) in channels {
        world
            .until_batch(&contact_on(channel), State::Replied)
            .await;
    }
    let sent: BTreeMap<String, Value> = world
        .effects(EffectKind::MessagesSent)
        .into_iter()
        .map(|effect| (effect.subject, effect.detail["channel"].clone()))
        .collect();
    for (channel, expected) in channels {
        assert_eq!(sent[&contact_on(channel)], expected);
    }
}

async fn nothing_unproven_is_answered(world: World) {
    world.start().await;
    world.contact_exists("mallory").await;
    let body = json!({"type": "InboundMessage", "contactId": "mallory", "body": "Hello!"});
    let forged = world.request(Method::POST, "/webhook").json(&body);
    assert_eq!(world.ask(forged).await.status, 401);
    let guessed = world
        .request(Method::POST, "/webhook")
        .bearer_auth("guessed-secret")
        .json(&body);
    assert_eq!(world.ask(guessed).await.status, 401);
    world.until_chat_is_handled().await;
    assert_eq!(world.sent_to("mallory").len(), 0);
    let contact = entities::ContactId("mallory".to_owned());
    let batch = entities::batch::latest_of_contact(&world.db, &contact).await;
    assert_eq!(batch.unwrap(), None);
}

async fn accepted(world: &World, request: reqwest::RequestBuilder, contact: &str) {
    let answer = world
        .ask(request.bearer_auth(WORKFLOW_WEBHOOK_SECRET))
        .await;
    assert_eq!(answer.status, 200, "{contact}: {}", answer.body);
    assert_eq!(answer.body["status"], "success");
    assert_eq!(answer.body["contact_id"], contact);
    assert!(answer.body["timestamp"].is_string() && answer.body["message"].is_string());
}

fn contact_on(channel: &str) -> String {
    channel.replace(' ', "-").to_lowercase()
}
