//! Stand-ins for the four services that Millrace talks to: OpenAI, HubSpot, HighLevel and Google.
//! One process, one port, a path prefix for each; `/sandbox` is the interface that scripts faults
//! and plays the people and services on the other side.
//!
//! The stand-ins are written from the providers' contracts and share no code with the rest of the
//! workspace, so that a mistake in a client is not repeated here.

mod app;
pub mod config;
mod control;
pub mod demo;
pub mod effects;
pub mod environment;
pub mod faults;
mod intercept;
pub mod keys;
mod providers;
pub mod received;
pub mod webhooks;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::app::App;
pub use self::config::SandboxConfig;
pub use self::effects::{Effect, EffectCounts, EffectKind};
pub use self::faults::{Fault, FaultKind};
pub use self::providers::Provider;
pub use self::providers::google::files::{FOLDER_ID, TEMPLATE_ID};
pub use self::received::Received;
pub use self::webhooks::{Attempt, Deliver, DeliveryMode};

/// A running sandbox. Dropping it closes the port and ends every delivery under way.
#[derive(Debug)]
pub struct Sandbox {
    app: Arc<App>,
    address: SocketAddr,
    server: JoinHandle<std::io::Result<()>>,
    _stop: DropGuard,
}

impl Sandbox {
    /// Starts listening.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(config: SandboxConfig) -> std::io::Result<Self> {
        let listener = TcpListener::bind((config.host, config.port)).await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let base_url = environment::base_url(address.port());
        let app = App::new(config, base_url, &stop);
        let router = router(&app);
        let stopped = stop.clone().cancelled_owned();
        let server = tokio::spawn(async move {
            axum::serve(listener, router)
                .with_graceful_shutdown(stopped)
                .await
        });
        Ok(Self {
            app,
            address,
            server,
            _stop: stop.drop_guard(),
        })
    }

    /// Serves until the sandbox is dropped or the listener fails.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(&mut self) -> std::io::Result<()> {
        (&mut self.server).await.map_err(std::io::Error::other)?
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.app.base_url
    }

    /// The value for `OPENAI_BASE_URL`; ends in `/v1`.
    #[must_use]
    pub fn openai_base_url(&self) -> String {
        format!("{}/openai/v1", self.app.base_url)
    }

    /// The value for `HUBSPOT_BASE_URL`.
    #[must_use]
    pub fn hubspot_base_url(&self) -> String {
        format!("{}/hubspot", self.app.base_url)
    }

    /// The value for `GHL_BASE_URL`.
    #[must_use]
    pub fn highlevel_base_url(&self) -> String {
        format!("{}/highlevel", self.app.base_url)
    }

    /// The value for `GOOGLE_DRIVE_BASE_URL` and `GOOGLE_DOCS_BASE_URL`.
    #[must_use]
    pub fn google_base_url(&self) -> String {
        format!("{}/google", self.app.base_url)
    }

    /// The text of a service account's key file that this sandbox takes.
    #[must_use]
    pub fn service_account_file(&self) -> String {
        keys::service_account_file(&environment::token_uri(&self.app.base_url))
    }

    /// The value for `NOTIFY_WEBHOOK_URL`.
    #[must_use]
    pub fn notify_url(&self) -> String {
        format!("{}/sandbox/notify", self.app.base_url)
    }

    /// Sends webhooks to another gateway from now on.
    pub fn set_gateway(&self, gateway: &str) {
        self.app.webhooks.set_gateway(gateway);
    }

    /// Everything received so far; of one provider only where one is given.
    #[must_use]
    pub fn received(&self, provider: Option<Provider>) -> Vec<Received> {
        self.app.received.list(provider)
    }

    /// How often an effect happened to one subject.
    #[must_use]
    pub fn effect_count(&self, kind: EffectKind, subject: &str) -> usize {
        self.app.effects.count(kind, subject)
    }

    /// All effects so far, oldest first.
    #[must_use]
    pub fn effects(&self) -> Vec<Effect> {
        self.app.effects.list(0)
    }

    /// Scripts a fault.
    pub fn add_fault(&self, fault: Fault) {
        self.app.faults.add(fault);
    }

    /// Sets how a provider delivers its webhooks.
    pub fn set_delivery(&self, provider: Provider, mode: DeliveryMode) {
        self.app.webhooks.set_mode(provider, mode);
    }

    /// Every attempt at delivering a webhook, oldest first.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Attempt> {
        self.app.webhooks.attempts()
    }
}

fn router(app: &Arc<App>) -> Router {
    use providers::{google, highlevel, hubspot, openai};
    let guarded = |provider, router: Router| {
        router.layer(from_fn_with_state(
            (app.clone(), provider),
            intercept::intercept,
        ))
    };
    Router::new()
        .nest("/openai", guarded(Provider::OpenAi, openai::router(app)))
        .nest("/hubspot", guarded(Provider::HubSpot, hubspot::router(app)))
        .nest(
            "/highlevel",
            guarded(Provider::HighLevel, highlevel::router(app)),
        )
        .nest("/google", guarded(Provider::Google, google::router(app)))
        .nest(
            "/sandbox/notify",
            guarded(Provider::Notify, control::notify_router(app)),
        )
        .merge(control::router(app))
}
