//! A stand-in for an OpenTelemetry collector: takes traces by OTLP over HTTP and keeps their bytes.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use tokio::net::TcpListener;

/// Collects until the test ends.
pub(crate) struct Collector {
    /// The address before `/v1/traces`.
    pub(crate) url: String,
    received: Arc<Mutex<String>>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let received = Arc::new(Mutex::new(String::new()));
        let router = Router::new()
            .route("/v1/traces", post(take))
            .with_state(received.clone());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { url, received }
    }

    /// Everything received. Protobuf holds its texts as they are, so they can be looked for in it.
    pub(crate) fn received(&self) -> String {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        received.clone()
    }
}

async fn take(State(received): State<Arc<Mutex<String>>>, body: Bytes) {
    let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
    received.push_str(&String::from_utf8_lossy(&body));
}
