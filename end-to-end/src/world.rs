//! Everything that one test needs, of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use config::Environment;
use sandbox::environment::{Service, settings, write_service_account};
use sandbox::{Sandbox, SandboxConfig};
use sea_orm::DatabaseConnection;
use telemetry::Telemetry;
use tempfile::TempDir;
use test_support::{Broker, Database};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::client::API_KEY;

/// Where providers believe that the gateway is. HubSpot signs it.
const PUBLIC_BASE_URL: &str = "https://hooks.millrace.example";

/// How long the stand-in of OpenAI researches.
const RESEARCH_TIME: Duration = Duration::from_millis(300);

/// How long the stand-ins wait before they send a webhook again.
const WEBHOOK_RETRY: Duration = Duration::from_millis(200);

/// A database engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A file of its own.
    Sqlite,
    /// A database of its own on the server that `TEST_POSTGRES_URL` names.
    Postgres,
}

/// A virtual host, a database, a sandbox and settings of its own; all gone when it is dropped.
///
/// Nothing of Millrace runs until it is started: in this process with [`World::start`], or as
/// programs with [`World::spawn_gateway`] and [`World::spawn_worker`].
pub struct World {
    stop: Mutex<Vec<DropGuard>>,
    /// The stand-ins of the providers.
    pub sandbox: Sandbox,
    /// RabbitMQ.
    pub broker: Broker,
    /// A connection for the test's own questions.
    pub db: DatabaseConnection,
    engine: Engine,
    databases: Vec<Database>,
    folder: TempDir,
    settings: BTreeMap<String, String>,
    gateway: Mutex<String>,
    pub(crate) http: reqwest::Client,
}

impl World {
    /// Starts everything but Millrace. Waits are the shortest ones that Millrace accepts.
    ///
    /// # Panics
    /// When RabbitMQ or PostgreSQL is missing: `./dev test` starts them.
    pub async fn new(engine: Engine) -> Self {
        show_logs();
        let broker = Broker::start();
        let database = match engine {
            Engine::Sqlite => Database::sqlite().await,
            Engine::Postgres => Database::postgres().await,
        };
        let sandbox = Sandbox::start(SandboxConfig {
            hubspot_public_base: Some(PUBLIC_BASE_URL.to_owned()),
            research_time: RESEARCH_TIME,
            retry_delay: WEBHOOK_RETRY,
            ..SandboxConfig::default()
        })
        .await
        .expect("a free port can be bound");
        let folder = TempDir::new().expect("the temporary folder can be written to");
        let mut world = Self {
            stop: Mutex::default(),
            db: database.connect().await,
            gateway: Mutex::default(),
            settings: BTreeMap::new(),
            http: reqwest::Client::builder()
                .no_proxy()
                .timeout(Duration::from_secs(30))
                .build()
                .expect("the HTTP client has no setting that can fail"),
            sandbox,
            broker,
            engine,
            databases: Vec::new(),
            folder,
        };
        let documents = world.folder().join("documents").display().to_string();
        for (name, value) in [
            ("AMQP_URL", world.broker.amqp_url().to_owned()),
            ("DATABASE_URL", database.url().to_owned()),
            ("DOCUMENTS_DIR", documents),
            ("API_KEYS", API_KEY.to_owned()),
            ("PUBLIC_BASE_URL", PUBLIC_BASE_URL.to_owned()),
            ("HOST", "127.0.0.1".to_owned()),
            ("PORT", "0".to_owned()),
            ("METRICS_PORT", "0".to_owned()),
            ("MESSAGE_BATCH_WAIT_TIME", "5".to_owned()),
        ] {
            world.set(name, value);
        }
        for service in [
            Service::Openai,
            Service::Hubspot,
            Service::Highlevel,
            Service::Notify,
        ] {
            for (name, value) in settings(world.sandbox.base_url(), service) {
                world.set(name, value);
            }
        }
        world.databases.push(database);
        world
    }

    /// What is started from now on gets a database without any table.
    pub async fn use_empty_database(&mut self) {
        let database = match self.engine {
            Engine::Sqlite => Database::empty_sqlite(),
            Engine::Postgres => Database::empty_postgres().await,
        };
        self.set("DATABASE_URL", database.url());
        self.databases.push(database);
    }

    /// Sets a variable for what is started from now on.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.settings.insert(name.to_owned(), value.into());
    }

    /// Takes a variable away from what is started from now on.
    pub fn unset(&mut self, name: &str) {
        self.settings.remove(name);
    }

    /// Documents are made in the sandbox's Google Drive from now on.
    ///
    /// # Panics
    /// When the key file can't be written.
    pub fn use_google(&mut self) {
        for (name, value) in settings(self.sandbox.base_url(), Service::Google) {
            self.set(name, value);
        }
        let key_file = write_service_account(self.sandbox.base_url(), self.folder())
            .expect("the temporary folder can be written to");
        self.set("GOOGLE_APPLICATION_CREDENTIALS", key_file);
    }

    /// Starts the gateway and all workers in this process.
    pub async fn start(&self) {
        self.start_gateway().await;
        self.start_workers("all").await;
    }

    /// Starts the gateway in this process.
    ///
    /// # Panics
    /// When the settings are wrong.
    pub async fn start_gateway(&self) {
        let config = gateway::Config::read(self.environment()).expect("the settings are right");
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free port can be bound");
        let address = listener.local_addr().expect("a listener has an address");
        self.set_gateway(format!("http://{address}"));
        let shutdown = self.stopped_with_the_world();
        tokio::spawn(async move {
            gateway::serve(config, listener, shutdown)
                .await
                .expect("the gateway starts");
        });
        self.until_ready().await;
    }

    /// Starts workers in this process; they stop when the token is cancelled, at the latest with
    /// the world.
    ///
    /// # Panics
    /// When the settings are wrong or the database can't be reached.
    pub async fn start_workers(&self, roles: &str) -> CancellationToken {
        let config = workers::Config::read(self.environment()).expect("the settings are right");
        let roles = workers::parse_roles(roles).expect("these roles exist");
        let shutdown = self.stopped_with_the_world();
        let running = workers::start(config, &roles, shutdown.clone()).await;
        tokio::spawn(running.expect("the workers start").stopped());
        shutdown
    }

    /// A folder for files of this test.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The address of the gateway that was started last.
    ///
    /// # Panics
    /// When none was started.
    #[must_use]
    pub fn gateway_url(&self) -> String {
        let gateway = self.gateway.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(!gateway.is_empty(), "no gateway was started");
        gateway.clone()
    }

    pub(crate) fn set_gateway(&self, url: String) {
        self.sandbox.set_gateway(&url);
        *self.gateway.lock().unwrap_or_else(PoisonError::into_inner) = url;
    }

    pub(crate) fn settings(&self) -> &BTreeMap<String, String> {
        &self.settings
    }

    /// The value of a variable.
    ///
    /// # Panics
    /// When it is not set.
    #[must_use]
    pub fn setting(&self, name: &str) -> &str {
        &self.settings[name]
    }

    /// A file that holds what a process writes.
    pub(crate) fn log_file(&self, name: &str) -> PathBuf {
        let id = uuid::Uuid::new_v4().simple();
        self.folder().join(format!("{name}-{id}.log"))
    }

    fn environment(&self) -> Environment {
        Environment::from_pairs(self.settings.clone())
    }

    fn stopped_with_the_world(&self) -> CancellationToken {
        let token = CancellationToken::new();
        self.stop
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(token.clone().drop_guard());
        token
    }
}

/// Logs of what runs in this process go to the test's output, and traces are carried on as they
/// are in the programs.
fn show_logs() {
    static TELEMETRY: OnceLock<Option<Telemetry>> = OnceLock::new();
    TELEMETRY.get_or_init(|| telemetry::init("end-to-end", &telemetry::Settings::default()).ok());
}
