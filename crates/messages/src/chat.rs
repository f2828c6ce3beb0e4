//! Data of the chat flow's events.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::envelope::EventData;
use crate::event_type;

/// A message between a contact and the business, in the same form whichever of the three webhook
/// shapes it came in by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageReceived {
    /// HighLevel's contact id.
    pub contact_id: String,
    /// HighLevel's location (sub-account) id.
    #[serde(default)]
    pub location_id: Option<String>,
    /// HighLevel's conversation id; workflow webhooks don't carry one.
    #[serde(default)]
    pub conversation_id: Option<String>,
    /// HighLevel's message id; missing in some SMS and all e-mail webhooks.
    #[serde(default)]
    pub message_id: Option<String>,
    /// Id of an e-mail, to thread the answer.
    #[serde(default)]
    pub email_message_id: Option<String>,
    /// The channel as HighLevel names it in webhooks (`SMS`, `Email`, `Live Chat`, …).
    pub channel: String,
    /// For channels of custom providers: whom to answer through.
    #[serde(default)]
    pub conversation_provider_id: Option<String>,
    /// Subject of an e-mail.
    #[serde(default)]
    pub subject: Option<String>,
    /// What was written; empty for attachments without text and for calls.
    pub text: String,
    /// Addresses of attached files.
    #[serde(default)]
    pub attachments: Vec<String>,
    /// The person of the business who wrote, if one did ([`event_type::MESSAGE_SENT`] only).
    #[serde(default)]
    pub user_id: Option<String>,
    /// Where an outbound message came from: `app`, `api`, `workflow`, `campaign`, `bulk_actions`.
    #[serde(default)]
    pub sent_from: Option<String>,
    /// When it was written, by HighLevel's clock; the time of receipt where the webhook has none.
    pub sent_at: DateTime<Utc>,
    /// What the webhook said about the contact.
    #[serde(default)]
    pub contact: ContactDetails,
    /// The webhook as it came, for the fields that have no place above.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub original: Map<String, Value>,
}

impl EventData for MessageReceived {
    const TYPES: &'static [&'static str] =
        &[event_type::MESSAGE_RECEIVED, event_type::MESSAGE_SENT];
}

/// What a webhook says about a contact. Everything can be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactDetails {
    /// Given name.
    #[serde(default)]
    pub first_name: Option<String>,
    /// Family name.
    #[serde(default)]
    pub last_name: Option<String>,
    /// Name as one text.
    #[serde(default)]
    pub full_name: Option<String>,
    /// E-mail address.
    #[serde(default)]
    pub email: Option<String>,
    /// Telephone number as HighLevel writes it.
    #[serde(default)]
    pub phone: Option<String>,
}

/// A contact was created or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactChanged {
    /// HighLevel's contact id.
    pub contact_id: String,
    /// HighLevel's location (sub-account) id.
    #[serde(default)]
    pub location_id: Option<String>,
    /// What is known about the contact.
    #[serde(default)]
    pub contact: ContactDetails,
    /// Whether every channel is blocked; `None` where the webhook does not say.
    #[serde(default)]
    pub dnd: Option<bool>,
    /// The blocked channels as HighLevel names them (`SMS`, `Email`, …); `None` where the webhook
    /// does not say.
    #[serde(default)]
    pub dnd_channels: Option<Vec<String>>,
    /// The webhook as it came, for the fields that have no place above.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub original: Map<String, Value>,
}

impl EventData for ContactChanged {
    const TYPES: &'static [&'static str] = &[
        event_type::CONTACT_CREATED,
        event_type::CONTACT_UPDATED,
        event_type::CONTACT_DND_CHANGED,
    ];
}

/// Close a batch, if the trigger's condition still holds when this is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlushRequested {
    /// The contact whose batch it is.
    pub contact_id: String,
    /// The batch; `None` means whichever of the contact's batches is open.
    #[serde(default)]
    pub batch_id: Option<Uuid>,
    /// Why.
    pub trigger: FlushTrigger,
}

impl EventData for FlushRequested {
    const TYPES: &'static [&'static str] = &[event_type::FLUSH_REQUESTED];
}

/// Why a batch should close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum FlushTrigger {
    /// The contact was quiet for the wait: close if no newer message raised the sequence.
    Quiet {
        /// The batch's sequence when the timer was armed.
        sequence: i32,
    },
    /// The batch is as old as a batch may get: close whatever its sequence.
    Deadline,
    /// An operator asked with `POST /force-process-batch`.
    Operator,
    /// The sweeper found the batch open long after its timers should have fired.
    Sweeper,
}

/// Timers that were armed together are due: close each one's batch, if its condition still holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimersDue {
    /// The timers, in no order.
    pub timers: Vec<Timer>,
}

impl EventData for TimersDue {
    const TYPES: &'static [&'static str] = &[event_type::TIMERS_DUE];
}

/// One of several timers that are one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    /// What it asks for.
    pub flush: FlushRequested,
    /// W3C trace context of the message that armed it; the envelope's is of one of them only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// The wait was changed with `POST /batch-config`; each open batch gets a timer in the new lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitChanged {
    /// The new wait.
    pub wait_seconds: u32,
}

impl EventData for WaitChanged {
    const TYPES: &'static [&'static str] = &[event_type::WAIT_CHANGED];
}

/// A batch closed and wants one reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchClosed {
    /// The batch.
    pub batch_id: Uuid,
    /// The contact whose batch it is.
    pub contact_id: String,
}

impl EventData for BatchClosed {
    const TYPES: &'static [&'static str] = &[event_type::BATCH_CLOSED];
}

/// A batch ended without a reply because of an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyFailed {
    /// The batch.
    pub batch_id: Uuid,
    /// The contact who waits for an answer.
    pub contact_id: String,
    /// What happened, in words for people; no message text.
    pub reason: String,
}

impl EventData for ReplyFailed {
    const TYPES: &'static [&'static str] = &[event_type::REPLY_FAILED];
}
