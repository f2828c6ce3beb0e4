//! Everything that runs: the parts of Millrace and what they need, each of its own for this run.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use sandbox::environment::{Service, settings, write_service_account};
use sandbox::{Sandbox, SandboxConfig};
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::broker::{Management, Node, USER};
use crate::log::FaultLog;
use crate::options::{Database, Options};
use crate::process::{Process, Program};
use crate::proxy::Proxy;
use crate::recovery::Recoveries;
use crate::relay::Relay;

/// The key of the client who asks for research.
pub(crate) const API_KEY: &str = "key-of-the-chaos-program";

/// Where providers believe that the gateway is. HubSpot signs it.
const PUBLIC_BASE_URL: &str = "https://hooks.millrace.example";

/// How long the stand-in of OpenAI researches.
const RESEARCH_TIME: Duration = Duration::from_secs(2);

/// The wait before a webhook's second attempt; it doubles up to twenty times itself.
const WEBHOOK_RETRY: Duration = Duration::from_millis(500);

/// How long a part may take to come up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Everything that runs. All of it ends when this is dropped.
#[derive(Debug)]
pub struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) relay: Relay,
    pub(crate) database_proxy: Option<Proxy>,
    pub(crate) gateways: Vec<Mutex<Process>>,
    pub(crate) workers: Vec<Mutex<Process>>,
    pub(crate) nodes: Vec<Node>,
    /// Held by whoever stops the broker, freezes it or slows it down.
    pub(crate) broker_trouble: Mutex<()>,
    pub(crate) management: Management,
    /// Stops and starts the database's server; the lock keeps others from doing it meanwhile.
    pub(crate) database_program: Mutex<Option<PathBuf>>,
    /// The way to the database for us, past the proxy.
    pub(crate) database_url: String,
    pub(crate) log: FaultLog,
    pub(crate) recoveries: Recoveries,
    pub(crate) http: reqwest::Client,
    /// The program of the workers, with the whole configuration.
    worker_program: Program,
    /// The gateways' addresses, past the relay.
    gateway_urls: Vec<String>,
}

impl World {
    /// Starts everything and waits until the gateways are ready.
    ///
    /// # Errors
    /// When a part does not come up; its log says why.
    pub async fn start(options: &Options) -> anyhow::Result<Self> {
        let folder = &options.folder;
        fs::create_dir_all(folder.join("logs"))?;
        // Found before the project's .env: the programs get their whole configuration from here.
        fs::write(folder.join(".env"), "")?;
        let gateway_ports = free_ports(GATEWAYS)?;
        let gateway_urls: Vec<String> = gateway_ports
            .iter()
            .map(|port| format!("http://127.0.0.1:{port}"))
            .collect();

        // The sandbox first: it installs the cryptography that every HTTP client needs.
        let config = SandboxConfig {
            hubspot_public_base: Some(PUBLIC_BASE_URL.to_owned()),
            research_time: RESEARCH_TIME,
            retry_delay: WEBHOOK_RETRY,
            ..SandboxConfig::default()
        };
        let sandbox = Sandbox::start(config).await?;
        let relay = Relay::start(gateway_urls.clone()).await?;
        sandbox.set_gateway(&relay.url());
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(10))
            .build()?;

        let nodes = start_nodes(options).await?;
        let management = Management::new(
            &options.management_port,
            &options.broker_password,
            http.clone(),
        );
        management.are_ours().await?;
        let (database_url, database_proxy) = database(options).await?;

        let mut environment = environment(&sandbox, folder)?;
        environment.extend([
            (
                "AMQP_URL".to_owned(),
                amqp_url(&nodes, &options.broker_password),
            ),
            (
                "DATABASE_URL".to_owned(),
                database_proxy.as_ref().map_or_else(
                    || database_url.clone(),
                    |proxy| postgres_url(proxy.address()),
                ),
            ),
        ]);
        let program = |name: &str, log: &str, arguments: &[&str]| Program {
            path: options.programs.join(name),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            environment: environment.clone(),
            folder: folder.clone(),
            log: folder.join("logs").join(format!("{log}.log")),
        };
        let worker_program = program("millrace-worker", "command", &[]);
        let migrated = run_once(&worker_program, &["migrate"]).await?;
        ensure!(
            migrated.status.success(),
            "millrace-worker migrate: {}",
            String::from_utf8_lossy(&migrated.stderr)
        );
        let run = ["run", "--roles", "all"];
        let workers: anyhow::Result<Vec<_>> = (0..workers(options))
            .map(|number| program("millrace-worker", &format!("worker-{number}"), &run))
            .map(|worker| Process::start(worker).map(Mutex::new))
            .collect();
        let gateways: anyhow::Result<Vec<_>> = gateway_ports
            .iter()
            .enumerate()
            .map(|(number, port)| {
                let mut gateway = program("millrace-gateway", &format!("gateway-{number}"), &[]);
                let environment = &mut gateway.environment;
                environment.insert("PORT".to_owned(), port.to_string());
                Process::start(gateway).map(Mutex::new)
            })
            .collect();
        let world = Self {
            management,
            gateways: gateways?,
            workers: workers?,
            nodes,
            broker_trouble: Mutex::default(),
            database_program: Mutex::new(options.database_program.clone()),
            log: FaultLog::create(&folder.join("faults.log"))?,
            recoveries: Recoveries::default(),
            sandbox,
            relay,
            database_proxy,
            database_url,
            http,
            worker_program,
            gateway_urls,
        };
        world.until_ready().await?;
        Ok(world)
    }

    /// Waits until every gateway can have webhooks confirmed, and returns how long that took.
    pub(crate) async fn until_ready(&self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        for gateway in &self.gateway_urls {
            let url = format!("{gateway}/health/ready");
            while !self.answers_well(&url).await {
                ensure!(
                    began.elapsed() < PATIENCE,
                    "{gateway} is not ready after {PATIENCE:?}"
                );
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        }
        Ok(began.elapsed())
    }

    async fn answers_well(&self, url: &str) -> bool {
        let answer = self.http.get(url).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// Stops (`stop`) or starts (`start`) the database's server.
    pub(crate) async fn run_database_program(program: &Path, what: &str) -> anyhow::Result<()> {
        let mut command = Command::new(program);
        let status = command.arg(what).status().await?;
        ensure!(status.success(), "{} {what} failed", program.display());
        Ok(())
    }

    /// Runs a command of `millrace-worker` to its end.
    pub(crate) async fn run_worker(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        run_once(&self.worker_program, arguments).await
    }

    /// Asks every part to end, the broker last.
    pub(crate) async fn stop(&self) -> anyhow::Result<()> {
        let patience = Duration::from_secs(30);
        for part in self.gateways.iter().chain(&self.workers) {
            part.lock().await.stop(patience).await?;
        }
        for node in &self.nodes {
            node.process().await.stop(patience).await?;
        }
        Ok(())
    }
}

/// How many gateways a run has.
pub(crate) const GATEWAYS: usize = 2;

/// How many workers a run has: SQLite is for one process that works, beside the gateway.
pub(crate) fn workers(options: &Options) -> usize {
    match options.database {
        Database::Postgres => 2,
        Database::Sqlite => 1,
    }
}

/// The settings that need no other part.
fn environment(sandbox: &Sandbox, folder: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let key_file = write_service_account(sandbox.base_url(), folder)?;
    let mut environment: BTreeMap<String, String> = [
        ("API_KEYS", API_KEY),
        ("GOOGLE_APPLICATION_CREDENTIALS", &key_file),
        ("HOST", "127.0.0.1"),
        ("LOG_FORMAT", "json"),
        ("METRICS_PORT", "0"),
        ("PUBLIC_BASE_URL", PUBLIC_BASE_URL),
        // Short times, so that a run ends; the wait is one whose lane holds nothing but timers.
        ("MESSAGE_BATCH_WAIT_TIME", "8"),
        ("MESSAGE_BATCH_MAX_WAIT", "21"),
        ("RESEARCH_WATCH_SECONDS", "5"),
        ("RESEARCH_RESUBMIT_SECONDS", "20"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    for name in ["PATH", "RUST_BACKTRACE", "RUST_LOG"] {
        if let Ok(value) = std::env::var(name) {
            environment.insert(name.to_owned(), value);
        }
    }
    let services = [
        Service::Openai,
        Service::Hubspot,
        Service::Highlevel,
        Service::Google,
        Service::Notify,
    ];
    for (name, value) in services
        .into_iter()
        .flat_map(|service| settings(sandbox.base_url(), service))
    {
        environment.insert(name.to_owned(), value);
    }
    Ok(environment)
}

/// Starts the broker's nodes; more than one form a cluster, beginning with the first.
async fn start_nodes(options: &Options) -> anyhow::Result<Vec<Node>> {
    let mut nodes = Vec::new();
    for place in 0..options.broker_program.len() {
        let node = Node::start(options, place).await?;
        node.until_it_answers().await?;
        nodes.push(node);
    }
    Ok(nodes)
}

/// Where Millrace finds the broker: each node, through its proxy.
fn amqp_url(nodes: &[Node], password: &str) -> String {
    let url = |node: &Node| format!("amqp://{USER}:{password}@{}/%2f", node.proxy.address());
    let urls: Vec<String> = nodes.iter().map(url).collect();
    urls.join(",")
}

/// The database's address for us, and the proxy through which Millrace goes.
async fn database(options: &Options) -> anyhow::Result<(String, Option<Proxy>)> {
    match options.database {
        Database::Sqlite => {
            let file = options.folder.join("millrace.db");
            Ok((format!("sqlite://{}?mode=rwc", file.display()), None))
        }
        Database::Postgres => {
            let port = options.database_port.context("--database-port is needed")?;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let proxy = Proxy::start(address).await?;
            Ok((postgres_url(address), Some(proxy)))
        }
    }
}

fn postgres_url(address: SocketAddr) -> String {
    format!("postgres://millrace:millrace@{address}/postgres")
}

async fn run_once(program: &Program, arguments: &[&str]) -> anyhow::Result<Output> {
    let mut command = Command::new(&program.path);
    command
        .args(arguments)
        .env_clear()
        .envs(&program.environment)
        .current_dir(&program.folder)
        .kill_on_drop(true);
    Ok(command.output().await?)
}

/// Ports below those that the kernel gives to outgoing connections: a gateway that is started again
/// must find its own free.
fn free_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let ports: Vec<u16> = (18_080..32_768).filter(free).take(count).collect();
    ensure!(ports.len() == count, "no free ports");
    Ok(ports)
}
