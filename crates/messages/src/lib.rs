//! What travels between the parts of Millrace: event types, their data, and the CloudEvents
//! envelope that carries them.
//!
//! This crate does no I/O. A message body alone is enough to process the message, so a person can
//! move or re-publish it in the RabbitMQ management UI and lose nothing.
//!
//! Messages outlive deploys: `fixtures/<type>/v1.json` holds one sample of each type that must
//! decode for ever. Add fields as `Option` or with a default; never rename or remove one.

mod chat;
mod envelope;
pub mod event_type;
mod id;
mod research;

pub use chat::{
    BatchClosed, ContactChanged, ContactDetails, FlushRequested, FlushTrigger, MessageReceived,
    ReplyFailed, Timer, TimersDue, WaitChanged,
};
pub use envelope::{CONTENT_TYPE, DecodeError, Envelope, EventData, Place};
pub use id::{deal_event_id, generate_event_id, highlevel_event_id};
pub use research::{
    BudgetExceeded, DealStageChanged, DocumentCreated, ResearchFailed, ResearchRequested,
    ResearchSubmitted, ResponseEnded, ResubmissionDue,
};
