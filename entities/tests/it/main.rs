//! What the entities promise, on SQLite and on PostgreSQL: each case runs on both.
//!
//! PostgreSQL is the server that `TEST_POSTGRES_URL` names; each test has a database of its own.

#![expect(
    clippy::unwrap_used,
    reason = "clippy does not see that helpers of a test are one"
)]

mod api_key;
mod batch;
mod batch_questions;
mod bookkeeping;
mod budget;
mod connection;
mod conservation;
mod contact;
mod database;
mod job;
mod job_recovery;
mod message;
mod migration;
mod races;
mod reply;
mod retention;
mod samples;
