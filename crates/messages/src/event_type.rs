//! The names of the event types. They are also the routing keys on the `events` exchange.
//!
//! A type without a consumer is kept in the `unrouted` queue.

/// A HubSpot deal's `dealstage` property changed.
pub const DEAL_STAGE_CHANGED: &str = "hubspot.deal.stage_changed";
/// An OpenAI background response finished with its result.
pub const RESPONSE_COMPLETED: &str = "openai.response.completed";
/// An OpenAI background response failed.
pub const RESPONSE_FAILED: &str = "openai.response.failed";
/// An OpenAI background response stopped early; its output may hold partial text.
pub const RESPONSE_INCOMPLETE: &str = "openai.response.incomplete";
/// An OpenAI background response was cancelled.
pub const RESPONSE_CANCELLED: &str = "openai.response.cancelled";
/// A contact wrote to the business.
pub const MESSAGE_RECEIVED: &str = "highlevel.message.received";
/// The business wrote to a contact: a person of the business, a workflow, or Millrace itself.
pub const MESSAGE_SENT: &str = "highlevel.message.sent";
/// A contact was created in HighLevel.
pub const CONTACT_CREATED: &str = "highlevel.contact.created";
/// A contact's details changed in HighLevel.
pub const CONTACT_UPDATED: &str = "highlevel.contact.updated";
/// A contact's do-not-disturb settings changed in HighLevel.
pub const CONTACT_DND_CHANGED: &str = "highlevel.contact.dnd_changed";
/// A client asked for research with `POST /generate`.
pub const RESEARCH_REQUESTED: &str = "research.requested";
/// Research was submitted to OpenAI. Travels through a delay lane as the watch token that asks
/// OpenAI when its webhook stays away.
pub const RESEARCH_SUBMITTED: &str = "research.submitted";
/// A submission of unknown outcome has waited long enough for its webhook. Travels behind the
/// webhooks that have come, so that none of them is overtaken by a second submission.
pub const RESUBMISSION_DUE: &str = "research.resubmission_due";
/// A research job ended without a document.
pub const RESEARCH_FAILED: &str = "research.failed";
/// A research document exists.
pub const DOCUMENT_CREATED: &str = "document.created";
/// Close a contact's batch if its condition still holds. Timers are this event in a delay lane.
pub const FLUSH_REQUESTED: &str = "chat.flush_requested";
/// Close several contacts' batches, each if its condition still holds. Timers that were armed together
/// are this event in a delay lane. Travels to its queue by name only.
pub const TIMERS_DUE: &str = "chat.timers_due";
/// The wait before a batch closes was changed for all pods.
pub const WAIT_CHANGED: &str = "chat.wait_changed";
/// A batch closed and wants one reply.
pub const BATCH_CLOSED: &str = "chat.batch_closed";
/// A batch ended without a reply because of an error.
pub const REPLY_FAILED: &str = "chat.reply_failed";
/// A research job waits because the daily budget is spent.
pub const BUDGET_EXCEEDED: &str = "budget.exceeded";
/// `GET /test-webhook` asks whether the broker confirms. No worker reads it.
pub const TEST_PING: &str = "test.ping";

/// The type for a provider event that has no name of its own here: the provider, and
/// the provider's name for the event in snake case (`ContactTagUpdate` becomes
/// `highlevel.contact_tag_update`, `batch.completed` becomes `openai.batch.completed`).
/// Characters that AMQP gives a meaning in routing keys, or that don't belong in a name, become
/// `_`, and the result is at most 200 bytes, so that it fits AMQP's limit of 255 for a routing key.
#[must_use]
pub fn other(provider: &str, name: &str) -> String {
    let mut result = format!("{provider}.");
    let mut previous_is_lower = false;
    for character in name.chars() {
        if result.len() >= 200 {
            break;
        }
        if character.is_ascii_uppercase() {
            if previous_is_lower {
                result.push('_');
            }
            result.push(character.to_ascii_lowercase());
        } else if character.is_ascii_alphanumeric() || character == '.' {
            result.push(character);
        } else {
            result.push('_');
        }
        previous_is_lower = character.is_ascii_lowercase() || character.is_ascii_digit();
    }
    if result.ends_with('.') {
        result.push_str("unknown");
    }
    result
}

#[cfg(test)]
mod tests {
    use super::other;

    #[test]
    fn other_types_are_named_after_the_providers_own_name() {
        assert_eq!(
            other("highlevel", "ContactTagUpdate"),
            "highlevel.contact_tag_update"
        );
        assert_eq!(other("openai", "batch.completed"), "openai.batch.completed");
        assert_eq!(
            other("hubspot", "deal.propertyChange"),
            "hubspot.deal.property_change"
        );
        assert_eq!(other("highlevel", "INSTALL"), "highlevel.install");
        assert_eq!(other("highlevel", ""), "highlevel.unknown");
    }

    #[test]
    fn wildcards_and_long_names_cannot_reach_the_broker() {
        assert_eq!(other("highlevel", "a#*b c"), "highlevel.a__b_c");
        assert!(other("highlevel", &"x".repeat(5000)).len() <= 200);
    }
}
