//! The part of the demo that acts: a deal reaches its stage, a contact writes, somebody forges.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::calls::Calls;
use super::{DemoOptions, Failure, Step, Story, Teller};

/// The deal that every sandbox starts with.
pub(crate) const DEAL: &str = "9001";
/// What the contact writes, in order.
pub(crate) const MESSAGES: [&str; 3] = [
    "Hi, I saw your demo last week",
    "we are about forty people in Lyon",
    "could somebody call me on Tuesday morning?",
];

/// Moves the deal to its stage: the webhook arrives twice, and a forged one is refused.
pub(crate) async fn research(
    calls: &Calls,
    options: &DemoOptions,
    teller: &Teller,
    story: &mut Story,
) -> Step<()> {
    let stage = &options.stage;
    teller.say(&format!(
        "HubSpot: deal {DEAL} (Acme Robotics) moves to the stage {stage}"
    ));
    let path = format!("/sandbox/hubspot/deals/{DEAL}/stage");
    let moved = calls
        .tell(&path, &json!({"stage": stage, "times": 2}))
        .await?;
    accepted("the HubSpot webhook", &moved["deliveries"], 2)?;
    teller.say("gateway: accepted the signed webhook, and a second copy of it");
    story.add(
        "webhook accepted",
        format!("HubSpot, deal {DEAL}, sent twice"),
    );

    let forged = json!([{"eventId": 1, "portalId": 1, "objectId": 1, "occurredAt": 1,
                         "subscriptionType": "deal.propertyChange", "propertyName": "dealstage",
                         "propertyValue": stage}]);
    let now = chrono::Utc::now().timestamp_millis().to_string();
    let headers = [
        ("x-hubspot-request-timestamp", now.as_str()),
        (
            "x-hubspot-signature-v3",
            "Zm9yZ2VkIGZvcmdlZCBmb3JnZWQgZm9yZ2VkIGZvcmc=",
        ),
    ];
    let status = calls.forge("/webhook/hubspot", &headers, &forged).await?;
    refused("HubSpot", status, teller, story)
}

/// Has one contact write three times within the wait, the second time with a doubled webhook, and
/// gives the contact's id.
pub(crate) async fn chat(
    calls: &Calls,
    options: &DemoOptions,
    teller: &Teller,
    story: &mut Story,
) -> Step<String> {
    let contact = format!("demo-{}", &Uuid::new_v4().simple().to_string()[..8]);
    let pause = (options.wait / 8).min(Duration::from_millis(700));
    let path = format!("/sandbox/highlevel/contacts/{contact}/messages");
    for (number, text) in MESSAGES.iter().enumerate() {
        if number > 0 {
            tokio::time::sleep(pause).await;
        }
        let (deliver, copies) = if number == 1 {
            ("twice", 2)
        } else {
            ("normal", 1)
        };
        let body = json!({"text": text, "channel": "SMS", "deliver": deliver});
        let written = calls.tell(&path, &body).await?;
        accepted("the HighLevel webhook", &written["deliveries"], copies)?;
        let doubled = if copies == 2 { ", delivered twice" } else { "" };
        teller.say(&format!(
            "HighLevel: contact {contact} writes \"{text}\"{doubled}"
        ));
    }
    story.add(
        "webhooks accepted",
        "HighLevel, three messages, one of them sent twice",
    );

    let forged = json!({"type": "InboundMessage", "contactId": contact, "direction": "inbound",
                        "body": "send me everybody's phone number", "messageType": "SMS",
                        "webhookId": Uuid::new_v4()});
    let signature = format!("{}==", "A".repeat(86));
    let headers = [("x-ghl-signature", signature.as_str())];
    let status = calls.forge("/webhook/highlevel", &headers, &forged).await?;
    refused("HighLevel", status, teller, story)?;
    Ok(contact)
}

fn accepted(step: &str, deliveries: &Value, copies: usize) -> Step<()> {
    let deliveries = deliveries.as_array().map(Vec::as_slice).unwrap_or_default();
    let is_2xx = |delivery: &Value| {
        delivery["status"]
            .as_u64()
            .is_some_and(|status| (200..300).contains(&status))
    };
    if deliveries.len() == copies && deliveries.iter().all(is_2xx) {
        return Ok(());
    }
    let saw: Vec<String> = deliveries
        .iter()
        .map(|delivery| match delivery["error"].as_str() {
            Some(error) => error.to_owned(),
            None => format!("status {}", delivery["status"]),
        })
        .collect();
    Err(Failure::new(
        step,
        &format!("a 2xx for each of {copies}"),
        &saw.join(", "),
    ))
}

fn refused(sender: &str, status: u16, teller: &Teller, story: &mut Story) -> Step<()> {
    if status != 401 {
        let step = format!("a forged {sender} webhook");
        return Err(Failure::new(
            &step,
            "status 401",
            &format!("status {status}"),
        ));
    }
    teller.say(&format!(
        "gateway: refused a forged {sender} webhook (401, bad signature)"
    ));
    story.add(
        "refused",
        format!("forged {sender} webhook: 401, its signature does not verify"),
    );
    Ok(())
}
