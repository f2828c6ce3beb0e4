//! What everything is measured on: a broker and a database server of this run's own, the stand-ins
//! for the providers, the programs.

pub(crate) mod broker;
pub(crate) mod database;
pub(crate) mod machine;
pub(crate) mod millrace;
pub(crate) mod process;
pub(crate) mod providers;
pub(crate) mod usage;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::bail;

use self::broker::Broker;
use self::database::{Database, Kind};
use self::providers::Providers;
use crate::options::{Options, Scale};

/// How often a condition is looked at. Short, since some of the times that are measured are.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What all rows use.
pub(crate) struct Bench {
    pub(crate) options: Options,
    pub(crate) scale: Scale,
    pub(crate) broker: Broker,
    pub(crate) providers: Providers,
    pub(crate) http: reqwest::Client,
}

impl Bench {
    /// Prepares the run's folder and starts the stand-ins.
    pub(crate) async fn start(options: Options) -> anyhow::Result<Self> {
        fs::create_dir_all(options.folder.join("logs"))?;
        // Found before the project's .env: the programs get their whole configuration from here.
        fs::write(options.folder.join(".env"), "")?;
        // For the HTTP client, which has TLS without a provider of its own. Only http:// is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(10))
            .build()?;
        Ok(Self {
            scale: options.scale(),
            broker: Broker::new(options.amqp_port, options.management_port, http.clone()),
            providers: Providers::start(http.clone()).await?,
            http,
            options,
        })
    }

    /// An empty database.
    pub(crate) async fn database(&self, kind: Kind, name: &str) -> anyhow::Result<Database> {
        Database::create(kind, name, &self.options.folder, self.options.database_port).await
    }

    /// A database that a round has left.
    pub(crate) async fn existing_database(
        &self,
        kind: Kind,
        name: &str,
    ) -> anyhow::Result<Database> {
        Database::open(kind, name, &self.options.folder, self.options.database_port).await
    }

    /// Gives the disk back that a round's database takes.
    pub(crate) async fn remove_database(&self, kind: Kind, name: &str) -> anyhow::Result<()> {
        Database::remove(kind, name, &self.options.folder, self.options.database_port).await
    }

    /// Where the output of a program goes.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.options.folder.join("logs").join(format!("{name}.log"))
    }

    /// Says how far the run has come.
    pub(crate) fn say(&self, text: &str) {
        println!("    {text}");
    }
}

/// Waits for a condition.
pub(crate) async fn wait_until(
    patience: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let began = Instant::now();
    while !condition().await? {
        if began.elapsed() > patience {
            bail!("waited {} s in vain for: {what}", patience.as_secs());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}
