//! What the crate promises, shown on a real RabbitMQ. Each test has a virtual host of its own, see
//! [`stage`]; `./dev test -p broker` starts the server.

#![allow(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    reason = "helpers of tests are tests too"
)]

mod acks;
mod dead_letters;
mod expiry;
mod isolation;
mod outages;
mod own_node;
mod parking;
mod proxy;
mod publishing;
mod reconnecting;
mod retries;
mod shutdown;
mod stage;
mod topology;
mod tracing_context;
mod verdicts;
