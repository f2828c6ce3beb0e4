//! The gateway: verifies what comes from outside, publishes it, waits for the broker's confirm, and
//! only then answers 2xx. It also answers questions about jobs and batches.
//!
//! Ingress routes never touch the database. Nothing unverified is published: see
//! [`verify::Verified`].

pub mod accepted_jobs;
pub mod api_keys;
mod body;
mod client_address;
pub mod clock;
pub mod config;
mod connections;
pub mod contract;
mod headers;
pub mod highlevel_payload;
mod metrics;
mod path_id;
pub mod problem;
pub mod publish;
pub mod rate_limit;
pub mod router;
mod routes;
mod server;
pub mod state;
mod trace;
mod unreadable;
pub mod verify;

/// The readers of webhooks that have no other public name, for the package `hostile-input`.
#[doc(hidden)]
pub mod readers {
    pub use crate::routes::hubspot::read as hubspot_events;
    pub use crate::routes::openai::read as openai_event;
}

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
pub use crate::config::Config;
use crate::state::State;

/// Serves the gateway on `listener` until `shutdown`, then finishes the requests under way.
///
/// Broker and database need not be there: while they are away, the routes that need them say so.
///
/// # Errors
/// When `AMQP_URL` or `DATABASE_URL` can't be an address.
pub async fn serve(
    config: Config,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let state = State::new(config, Clock::system())?;
    server::run(listener, router::router(state), shutdown).await;
    Ok(())
}
