//! The gateway from outside: signatures against the shared vectors, requests through the router,
//! and, with a real RabbitMQ and database, what arrives where.

mod broker_away;
mod confirmed;
mod gateway;
mod questions;
mod refusals;
mod server;
mod vectors;
