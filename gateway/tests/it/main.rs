//! The gateway from outside: signatures against the shared vectors, requests through the router,
//! and, with a real RabbitMQ and database, what arrives where.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api_keys;
mod bodies;
mod broker_away;
mod confirmed;
mod contract;
mod described;
mod gateway;
mod headers;
mod own_node;
mod questions;
mod rate_limits;
mod refusals;
mod server;
mod vectors;
