//! What Millrace remembers: one module for each table, with its row, its typed id, and the
//! functions that change it.
//!
//! - Every change of state is **one** update that names the state it expects and returns whether
//!   it won. Two pods may try the same change; one of them is told `true`.
//! - Functions take any connection. Where several must happen together, the caller opens a
//!   transaction with [`begin`] and passes it; parameters named `tx` expect one. In a transaction
//!   that touches a contact and its batches, the contact comes first ([`contact::lock`]), so that
//!   no two transactions wait for each other.
//! - No function reads a clock: the time is passed in as `now`.
//! - SQLite and PostgreSQL behave alike; the tests run each case on both.

pub mod api_key;
pub mod batch;
mod connection;
pub mod conservation;
pub mod contact;
pub mod document;
pub mod effect;
pub mod erasure;
mod ids;
pub mod job;
pub mod message;
pub mod parked_message;
pub mod pause;
pub mod processed_event;
pub mod reply;
pub mod retention;
pub mod setting;
mod text_list;
mod transaction;
pub mod unclaimed_response;
mod write;

pub use connection::{ConnectError, connect, connect_lazy, is_transient};
pub use ids::{ApiKeyId, BatchId, ContactId, JobId, MessageId, ResponseId};
pub use text_list::TextList;
pub use transaction::{Transaction, begin, snapshot};
