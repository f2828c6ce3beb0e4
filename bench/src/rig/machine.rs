//! The machine and the versions that a result belongs to.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;
use tokio::process::Command;

use super::Bench;
use super::database::postgres_description;

/// What a result can't be read without.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// When the run began, RFC 3339.
    pub date: String,
    /// The commit that was measured.
    pub commit: String,
    /// The processor's name.
    pub processor: String,
    /// How many cores there are.
    pub cores: usize,
    /// Memory, in GiB.
    pub memory_gib: f64,
    /// The kernel's version.
    pub kernel: String,
    /// Load average of the last minute before the run began. Near 0, or nothing here is worth much.
    pub load_before: f64,
    /// Versions of the servers, languages and libraries.
    pub versions: BTreeMap<String, String>,
    /// Settings that decide what durability costs, and how long and how often was measured.
    pub settings: BTreeMap<String, String>,
}

/// Our libraries whose versions are told, as Cargo.lock names them.
const OUR_LIBRARIES: [&str; 6] = ["axum", "hyper", "lapin", "sea-orm", "sqlx-core", "tokio"];

/// Libraries of the peers whose versions are told.
const PYTHON_LIBRARIES: [&str; 6] = [
    "aio-pika",
    "celery",
    "fastapi",
    "httptools",
    "uvicorn",
    "uvloop",
];

impl Machine {
    /// When and where it was measured, for people.
    pub(crate) fn told(&self) -> String {
        format!(
            "Measured {} at commit {} on {} ({} cores, {} GiB, Linux {}; load before the run {}).",
            self.date,
            self.commit,
            self.processor,
            self.cores,
            self.memory_gib,
            self.kernel,
            self.load_before
        )
    }

    /// Looks at this machine.
    pub(crate) async fn look(bench: &Bench) -> anyhow::Result<Self> {
        let root = &bench.options.root;
        let cpu = fs::read_to_string("/proc/cpuinfo")?;
        let model = |line: &str| line.strip_prefix("model name").map(str::to_owned);
        let processor = cpu.lines().find_map(model).unwrap_or_default();
        let memory = fs::read_to_string("/proc/meminfo")?;
        let kib = memory.split_whitespace().nth(1).context("/proc/meminfo")?;
        let load = fs::read_to_string("/proc/loadavg")?;
        let load = load.split_whitespace().next().context("/proc/loadavg")?;
        Ok(Self {
            date: chrono::Utc::now().format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            commit: first_line(
                "git",
                &[
                    "-C",
                    &root.display().to_string(),
                    "rev-parse",
                    "--short",
                    "HEAD",
                ],
            )
            .await,
            processor: processor.trim_start_matches([' ', '\t', ':']).to_owned(),
            cores: std::thread::available_parallelism()?.get(),
            memory_gib: (kib.parse::<f64>()? / 1024.0 / 1024.0).round(),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?
                .trim()
                .to_owned(),
            load_before: load.parse()?,
            versions: versions(bench, root).await?,
            settings: settings(bench).await?,
        })
    }
}

async fn versions(bench: &Bench, root: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let [rabbitmq, erlang] = bench.broker.versions().await?;
    let [postgresql, _] = postgres_description(bench.options.database_port).await?;
    let mut versions = BTreeMap::from([
        ("RabbitMQ".to_owned(), rabbitmq),
        ("Erlang".to_owned(), erlang),
        ("PostgreSQL".to_owned(), postgresql),
        ("Rust".to_owned(), first_line("rustc", &["--version"]).await),
        ("Node".to_owned(), first_line("node", &["--version"]).await),
        (
            "Python".to_owned(),
            first_line("python3", &["--version"]).await,
        ),
    ]);
    let lock = fs::read_to_string(root.join("Cargo.lock"))?;
    for name in OUR_LIBRARIES {
        let version = lock.split_once(&format!("name = \"{name}\"\nversion = \""));
        let version = version.and_then(|(_, rest)| rest.split('"').next());
        versions.insert(name.to_owned(), version.unwrap_or_default().to_owned());
    }
    let peers = root.join("bench/peers");
    for folder in ["celery", "fastapi"] {
        let text = fs::read_to_string(peers.join(folder).join("requirements.txt"))?;
        let pinned = text.lines().filter_map(|line| line.split_once("=="));
        let told = pinned.filter(|(name, _)| PYTHON_LIBRARIES.contains(name));
        versions.extend(told.map(|(name, version)| (name.to_owned(), version.to_owned())));
    }
    let text = fs::read_to_string(peers.join("fastify/package.json"))?;
    let package: serde_json::Value = serde_json::from_str(&text)?;
    let dependencies = package["dependencies"].as_object().into_iter().flatten();
    versions.extend(dependencies.map(|(name, version)| {
        (
            name.clone(),
            version.as_str().unwrap_or_default().to_owned(),
        )
    }));
    Ok(versions)
}

async fn settings(bench: &Bench) -> anyhow::Result<BTreeMap<String, String>> {
    let [_, postgresql] = postgres_description(bench.options.database_port).await?;
    let scale = &bench.scale;
    let seconds = scale.window.as_secs().to_string();
    Ok([
        ("PostgreSQL", postgresql.as_str()),
        (
            "RabbitMQ",
            "one node, deploy/rabbitmq/rabbitmq.conf, all queues durable quorum queues",
        ),
        ("rounds", &scale.rounds.to_string()),
        ("seconds a round", &seconds),
        ("connections", &scale.connections.to_string()),
        ("short", &bench.options.short.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into())
}

async fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().await;
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}
