//! Configuration from the environment.
//!
//! [`Environment`] reads variables into types and collects every problem, so that a person sees all
//! of them at once. Each binary lists its own variables in its `config.rs`; what both need stands
//! in this crate.

mod environment;
mod secret;
mod shared;

pub use environment::{ConfigError, Environment};
pub use secret::Secret;
pub use shared::{
    DEFAULT_WAIT_SECONDS, WAIT_SECONDS, amqp_ca, amqp_url, database_url, host, metrics_port,
    wait_seconds,
};
