//! Both flows from the first webhook to the last outward call, on a real RabbitMQ and both
//! databases, against the stand-ins of the providers.

#![expect(
    clippy::unwrap_used,
    reason = "clippy does not see that helpers of a test are one"
)]

mod api_keys;
mod chat;
mod chat_channels;
mod chat_faults;
mod chat_operators;
mod chat_safety;
mod chat_silence;
mod collector;
mod conservation;
mod faults;
mod google;
mod hostile;
mod keeping;
mod logs;
mod openai_webhooks;
mod parking;
mod provider_pauses;
mod research;
mod research_safety;
mod restarts;
mod schema;
mod submission_faults;
mod tls;
mod trace;
