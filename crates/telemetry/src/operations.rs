//! The port for operators: metrics and liveness of this process.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::{Encoder as _, TextEncoder};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::Telemetry;

/// Why the port for operators can't be served.
#[derive(Debug, thiserror::Error)]
#[error("can't listen on port {port} for /metrics and /health; see HOST and METRICS_PORT")]
pub struct ServeError {
    port: u16,
    #[source]
    source: std::io::Error,
}

impl Telemetry {
    /// Serves `/metrics` (Prometheus text) and `/health` (200 while `healthy` says so, else 503) in
    /// the background until `shutdown`. Port 0 takes any free one; so does a port that is taken, with
    /// a warning: a second worker on a machine needs no configuration to work.
    ///
    /// # Errors
    /// [`ServeError`] when this host can't be listened on.
    pub async fn serve(
        &self,
        host: &str,
        port: u16,
        healthy: impl Fn() -> bool + Send + Sync + 'static,
        shutdown: CancellationToken,
    ) -> Result<SocketAddr, ServeError> {
        let failed = |source| ServeError { port, source };
        let listener = match TcpListener::bind((host, port)).await {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                warn!(
                    port,
                    "METRICS_PORT is taken; serving /metrics on a free port instead."
                );
                TcpListener::bind((host, 0)).await
            }
            bound => bound,
        };
        let listener = listener.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let registry = self.registry.clone();
        let healthy = Arc::new(healthy);
        let router = Router::new()
            .route("/metrics", get(move || async move { metrics(&registry) }))
            .route("/health", get(move || async move { health(healthy()) }));
        let serving = axum::serve(listener, router)
            .with_graceful_shutdown(async move { shutdown.cancelled().await });
        tokio::spawn(serving.into_future());
        info!(%address, "Serving /metrics and /health for operators.");
        Ok(address)
    }
}

fn metrics(registry: &prometheus::Registry) -> Response {
    let mut text = Vec::new();
    match TextEncoder::new().encode(&registry.gather(), &mut text) {
        Ok(()) => (
            StatusCode::OK,
            [(
                header::CONTENT_TYPE,
                "text/plain; version=0.0.4; charset=utf-8",
            )],
            text,
        )
            .into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn health(healthy: bool) -> impl IntoResponse {
    if healthy {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}
