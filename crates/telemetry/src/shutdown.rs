//! The signal to stop.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// A token that is cancelled by SIGTERM or SIGINT.
///
/// # Panics
/// If the process can't listen for signals, or outside of a Tokio runtime.
#[must_use]
pub fn shutdown_on_signal() -> CancellationToken {
    let token = CancellationToken::new();
    let cancelled = token.clone();
    let mut terminate = signal(SignalKind::terminate()).expect("a process can listen for SIGTERM");
    let mut interrupt = signal(SignalKind::interrupt()).expect("a process can listen for SIGINT");
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("Asked to stop; finishing what is running.");
        cancelled.cancel();
    });
    token
}
