//! What all requests share.

use std::ops::Deref;
use std::sync::Arc;

use broker::{BrokerSettings, Publisher};
use sea_orm::DatabaseConnection;

use crate::accepted_jobs::AcceptedJobs;
use crate::api_keys::ApiKeys;
use crate::body;
use crate::clock::Clock;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::publish::{Ingress, PUBLISH_DEADLINE};
use crate::rate_limit::RateLimiter;

/// How many database connections the status routes may use.
const DATABASE_CONNECTIONS: u32 = 5;

/// The state of the gateway. Cheap to clone.
#[derive(Clone)]
pub struct State(Arc<Shared>);

/// What [`State`] shares.
pub struct Shared {
    /// What the gateway was told at its start.
    pub config: Config,
    /// The way to the broker.
    pub ingress: Ingress,
    /// For the routes of clients and operators only: ingress never touches it.
    pub database: DatabaseConnection,
    /// Jobs that were accepted a moment ago.
    pub accepted_jobs: AcceptedJobs,
    /// The keys of clients and operators.
    pub api_keys: ApiKeys,
    /// Who called how often.
    pub limiter: RateLimiter,
    /// The memory for bodies that are arriving.
    pub(crate) body_memory: body::Memory,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The time.
    pub clock: Clock,
}

impl State {
    /// Starts connecting to the broker, and to the database when it is first asked. Needs neither
    /// to be there.
    ///
    /// # Errors
    /// An address that can't be one.
    pub fn new(config: Config, clock: Clock) -> anyhow::Result<Self> {
        let metrics = Arc::new(Metrics::new());
        let publisher = Publisher::start(BrokerSettings {
            url: config.amqp_url.expose().to_owned(),
            certificate_authority: config.amqp_ca.clone(),
            name: "millrace-gateway".to_owned(),
            publish_deadline: PUBLISH_DEADLINE,
        });
        let database = entities::connect_lazy(config.database_url.expose(), DATABASE_CONNECTIONS)?;
        Ok(Self(Arc::new(Shared {
            ingress: Ingress::new(publisher, metrics.clone()),
            database,
            accepted_jobs: AcceptedJobs::default(),
            body_memory: body::Memory::default(),
            api_keys: ApiKeys::new(&config.api_keys),
            limiter: RateLimiter::new(config.rate_limits),
            metrics,
            clock,
            config,
        })))
    }
}

impl Deref for State {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
