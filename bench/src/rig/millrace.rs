//! Millrace itself: a gateway and workers with a virtual host and a database of their own.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::broker::VirtualHost;
use super::database::{Database, Kind};
use super::process::{Process, Program, free_port};
use super::{Bench, wait_until};
use crate::signing::SIGNING_SECRET;

/// The key of clients.
pub(crate) const API_KEY: &str = "bench-api-key";

/// The secret of workflow actions.
pub(crate) const WEBHOOK_SECRET: &str = "bench-webhook-secret";

/// How long a part may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway, workers, and what they need.
pub(crate) struct Millrace {
    pub(crate) host: VirtualHost,
    pub(crate) database: Database,
    pub(crate) gateway: Process,
    pub(crate) gateway_address: SocketAddr,
    pub(crate) workers: Vec<Process>,
    name: &'static str,
    environment: BTreeMap<String, String>,
}

impl Millrace {
    /// Starts a gateway, with the topology declared and no worker.
    pub(crate) async fn start(
        bench: &Bench,
        name: &'static str,
        kind: Kind,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let host = bench.broker.virtual_host(name).await?;
        let database = bench.database(kind, &format!("bench_{name}")).await?;
        let mut environment = environment(bench, &host.url, settings);
        environment.insert("DATABASE_URL".to_owned(), database.url.clone());
        let migrate = program(
            bench,
            "millrace-worker",
            &["migrate"],
            name,
            environment.clone(),
        );
        migrate.run().await?;
        let (gateway, gateway_address) = start_gateway(bench, name, &environment).await?;
        bench.providers.send_webhooks_to(gateway_address);
        Ok(Self {
            host,
            database,
            gateway,
            gateway_address,
            workers: Vec::new(),
            name,
            environment,
        })
    }

    /// Starts one more worker with all roles and waits until it reads its queues.
    pub(crate) async fn start_worker(&mut self, bench: &Bench) -> anyhow::Result<()> {
        let port = free_port()?;
        let mut environment = self.environment.clone();
        environment.insert("METRICS_PORT".to_owned(), port.to_string());
        let log = format!("{}-worker-{}", self.name, self.workers.len());
        let run = ["run", "--roles", "all"];
        let worker = program(bench, "millrace-worker", &run, &log, environment);
        let mut worker = worker.start()?;
        until_answers(bench, &mut worker, port, "/health").await?;
        self.workers.push(worker);
        Ok(())
    }

    /// Stops everything. Its virtual host and its database stay until they are used again.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        for worker in self.workers {
            worker.stop().await?;
        }
        self.gateway.stop().await?;
        self.database.connection.close().await?;
        self.host.close().await
    }
}

/// Starts a gateway and waits until it can have webhooks confirmed.
pub(crate) async fn start_gateway(
    bench: &Bench,
    log: &str,
    environment: &BTreeMap<String, String>,
) -> anyhow::Result<(Process, SocketAddr)> {
    let port = free_port()?;
    let mut environment = environment.clone();
    environment.insert("PORT".to_owned(), port.to_string());
    let log = format!("{log}-gateway");
    let mut gateway = program(bench, "millrace-gateway", &[], &log, environment).start()?;
    until_answers(bench, &mut gateway, port, "/health/ready").await?;
    Ok((gateway, SocketAddr::from((Ipv4Addr::LOCALHOST, port))))
}

/// How to start one of Millrace's programs.
pub(crate) fn program(
    bench: &Bench,
    name: &str,
    arguments: &[&str],
    log: &str,
    environment: BTreeMap<String, String>,
) -> Program {
    Program {
        path: bench.options.programs.join(name),
        arguments: arguments.iter().map(ToString::to_string).collect(),
        environment,
        folder: bench.options.folder.clone(),
        log: bench.log(log),
    }
}

/// The settings of a gateway or worker on this virtual host. Logs are written as they are by
/// default; traces are sent nowhere.
pub(crate) fn environment(
    bench: &Bench,
    amqp_url: &str,
    settings: &[(&str, &str)],
) -> BTreeMap<String, String> {
    let providers = bench.providers.url();
    let openai = format!("{providers}/v1");
    let documents = bench.options.folder.join("documents").display().to_string();
    let defaults = [
        ("AMQP_URL", amqp_url),
        ("API_KEYS", API_KEY),
        ("DOCUMENTS_DIR", &documents),
        ("GHL_API_KEY", "bench"),
        ("GHL_BASE_URL", &providers),
        ("GHL_LOCATION_ID", "bench"),
        ("METRICS_PORT", "0"),
        ("OPENAI_API_KEY", "bench"),
        ("OPENAI_BASE_URL", &openai),
        ("OPENAI_WEBHOOK_SECRET", SIGNING_SECRET),
        ("RESEARCH_CACHE_DAYS", "0"),
        ("WEBHOOK_SECRET", WEBHOOK_SECRET),
    ];
    defaults
        .iter()
        .chain(settings)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// Waits until a program answers 200.
pub(crate) async fn until_answers(
    bench: &Bench,
    process: &mut Process,
    port: u16,
    path: &str,
) -> anyhow::Result<()> {
    let url = format!("http://127.0.0.1:{port}{path}");
    wait_until(PATIENCE, &url, async || {
        process.still_runs()?;
        let answer = bench.http.get(&url).send().await;
        Ok(answer.is_ok_and(|answer| answer.status().is_success()))
    })
    .await
}
