//! What events are called: by these names an event that was sent is found again in what the gateway
//! accepted, in what the model was shown, and in what Millrace stored.

use serde_json::Value;

/// The text of a message. No other one says the same, or has it as a part.
#[must_use]
pub fn question(number: u32) -> String {
    format!("Question {number:07} for you")
}

/// The text that a person of the business writes.
#[must_use]
pub fn answer_by_hand(number: u32) -> String {
    format!("Answer {number:07} by hand")
}

/// The whole message of a contact who opts out.
pub const STOP: &str = "STOP";

/// The numbers of all [`question`]s in a text.
pub fn questions_in(text: &str) -> impl Iterator<Item = u32> {
    text.split("Question ")
        .skip(1)
        .filter_map(|rest| rest.get(..7)?.parse().ok())
}

/// The id of a contact.
#[must_use]
pub fn contact(number: u32) -> String {
    format!("contact-{number}")
}

/// The id of a deal.
#[must_use]
pub fn deal(number: u32) -> String {
    (700_000_000 + u64::from(number)).to_string()
}

/// The name of the company that research number `number` is on.
#[must_use]
pub fn company(number: u32) -> String {
    format!("Company {number:07}")
}

/// The name of an event that nobody here reads.
#[must_use]
pub fn unknown(number: u32) -> String {
    format!("opportunity-{number}")
}

/// The payload of a message that is no event.
#[must_use]
pub fn unreadable(number: u32) -> String {
    format!("{{\"unreadable\": {number:07}, ")
}

/// What a contact or a person wrote, in the webhook that tells it.
#[must_use]
pub fn written(contact: &str, text: &str) -> String {
    format!("{contact}: {text}")
}

/// A contact that is not to be disturbed, in the webhook that tells it.
#[must_use]
pub fn do_not_disturb(contact: &str) -> String {
    format!("{contact} is not to be disturbed")
}

/// The subjects that a webhook tells of.
#[must_use]
pub fn told_by(webhook: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if let Some(deals) = webhook.as_array() {
        return deals
            .iter()
            .map(|event| event["objectId"].to_string())
            .collect();
    }
    match webhook["type"].as_str().unwrap_or_default() {
        "InboundMessage" | "OutboundMessage" => {
            vec![written(
                &text(&webhook["contactId"]),
                &text(&webhook["body"]),
            )]
        }
        "ContactDndUpdate" => vec![do_not_disturb(&text(&webhook["id"]))],
        kind if kind.starts_with("response.") => vec![text(&webhook["data"]["id"])],
        _ => vec![text(&webhook["id"])],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn questions_are_found_in_whatever_surrounds_them() {
        let text = format!("<m>{}</m>{}\n{}", question(3), question(12), "Question me");
        let found: Vec<u32> = questions_in(&text).collect();
        assert_eq!(found, [3, 12]);
    }

    #[test]
    fn each_kind_of_webhook_names_its_subject() {
        let deals = json!([{"objectId": 700_000_001}, {"objectId": 700_000_002}]);
        assert_eq!(told_by(&deals), [deal(1), deal(2)]);
        let message = json!({"type": "InboundMessage", "contactId": "c", "body": "hi"});
        assert_eq!(told_by(&message), [written("c", "hi")]);
        let quiet = json!({"type": "ContactDndUpdate", "id": "c"});
        assert_eq!(told_by(&quiet), [do_not_disturb("c")]);
        let ended = json!({"type": "response.completed", "data": {"id": "resp_1"}});
        assert_eq!(told_by(&ended), ["resp_1"]);
        let other = json!({"type": "OpportunityCreate", "id": unknown(4)});
        assert_eq!(told_by(&other), [unknown(4)]);
    }
}
