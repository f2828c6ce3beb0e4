//! A RabbitMQ node of the test's own, which it may kill, stop and block.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

use crate::http::{answers, request};
use crate::{Broker, eventually};

/// Starts nodes; it says what each argument means.
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/rabbitmq-node");

/// A node on a machine that does many other things takes its time.
const PATIENCE: Duration = Duration::from_secs(180);

/// A running or killed node; it ends with this value, and its data with the last node of its folder.
pub struct Node {
    all: std::sync::Arc<TempDir>,
    name: String,
    arguments: Vec<String>,
    amqp_port: u16,
    management_port: u16,
    process: Child,
}

impl Node {
    /// A node by itself. `settings` are lines for its `rabbitmq.conf`.
    ///
    /// # Panics
    /// When it does not come up, with the end of its log: RabbitMQ has to be installed.
    pub async fn start(settings: &[&str]) -> Self {
        let [node] = Self::prepare(["alone"], settings);
        node.up().await;
        node
    }

    /// Three nodes of one cluster.
    ///
    /// # Panics
    /// As [`Node::start`], and when they don't find each other.
    pub async fn cluster() -> [Self; 3] {
        let nodes = Self::prepare(["one", "two", "three"], &[]);
        for node in &nodes {
            node.up().await;
        }
        eventually("the nodes find each other", PATIENCE, async || {
            let (_, answer) = request("GET", &nodes[0].management("/api/nodes"), "");
            match answer.matches("\"running\":true").count() {
                3 => Ok(()),
                _ => Err(answer),
            }
        })
        .await;
        nodes
    }

    /// The virtual host of this node or of its cluster.
    #[must_use]
    pub fn broker(&self) -> Broker {
        let amqp = format!("amqp://millrace:millrace@127.0.0.1:{}", self.amqp_port);
        Broker::of_node(address(&amqp), self.management("/"))
    }

    /// The address of a virtual host of this cluster by way of this node.
    #[must_use]
    pub fn amqp_url(&self, broker: &Broker) -> String {
        let mut url = address(broker.amqp_url());
        url.set_port(Some(self.amqp_port)).expect("amqp has ports");
        url.to_string()
    }

    /// SIGKILL.
    ///
    /// # Panics
    /// When the process can't be waited for.
    pub fn kill(&mut self) {
        let _ = self.process.kill(); // fails when it has ended by itself
        self.process.wait().expect("a child can be waited for");
    }

    /// Starts the killed node again, with its data.
    ///
    /// # Panics
    /// As [`Node::start`].
    pub async fn restart(&mut self) {
        self.process = spawn(&self.folder(), &self.arguments);
        self.up().await;
    }

    /// `rabbitmqctl` for this node.
    ///
    /// # Panics
    /// When it fails.
    pub fn control(&self, arguments: &[&str]) {
        let mut control = Command::new(PROGRAM);
        control.arg("ctl").arg(self.folder()).args(arguments);
        let output = control.output().expect("rabbitmqctl starts");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }

    fn prepare<const COUNT: usize>(names: [&str; COUNT], settings: &[&str]) -> [Self; COUNT] {
        let all =
            std::sync::Arc::new(TempDir::new().expect("the temporary folder can be written to"));
        // Of all nodes of this machine, in whatever clone.
        let unique = uuid::Uuid::new_v4().simple().to_string();
        let names = names.map(|name| format!("{name}-{}", &unique[..12]));
        let peers = names.join(" ");
        names.map(|name| {
            let [amqp_port, management_port, distribution_port] = free_ports();
            let folder = all.path().join(&name);
            let mut arguments = vec![
                format!("folder={}", folder.display()),
                format!("name={name}"),
                format!("amqp_port={amqp_port}"),
                format!("management_port={management_port}"),
                format!("distribution_port={distribution_port}"),
            ];
            if COUNT > 1 {
                arguments.push(format!("peers={peers}"));
            }
            arguments.extend(settings.iter().map(|line| format!("setting={line}")));
            Self {
                process: spawn(&folder, &arguments),
                all: all.clone(),
                name,
                arguments,
                amqp_port,
                management_port,
            }
        })
    }

    /// Waits until it speaks AMQP, and its management API knows our user.
    async fn up(&self) {
        eventually("RabbitMQ comes up", PATIENCE, async || {
            let ready = first_byte(self.amqp_port).await.is_ok_and(|byte| byte == 1)
                && answers(&self.management("/"))
                && request("GET", &self.management("/api/whoami"), "").0 == 200;
            if ready {
                return Ok(());
            }
            let log = std::fs::read_to_string(log_of(&self.folder())).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            Err(lines[lines.len().saturating_sub(10)..].join("\n"))
        })
        .await;
    }

    fn folder(&self) -> PathBuf {
        self.all.path().join(&self.name)
    }

    fn management(&self, path: &str) -> Url {
        let port = self.management_port;
        address(&format!("http://millrace:millrace@127.0.0.1:{port}{path}"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(folder: &Path, arguments: &[String]) -> Child {
    std::fs::create_dir_all(folder).expect("the temporary folder can be written to");
    let log = File::create(log_of(folder)).expect("the temporary folder can be written to");
    let errors = log.try_clone().expect("a file has more than one handle");
    Command::new(PROGRAM)
        .arg("run")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .expect("scripts/rabbitmq-node starts")
}

fn log_of(folder: &Path) -> PathBuf {
    folder.join("log")
}

/// Below those that the kernel gives to outgoing connections: a client could take the port of a node
/// that was killed.
fn free_ports() -> [u16; 3] {
    let mut free = (0..)
        .map(|_| 30_000 + uuid::Uuid::new_v4().as_u128() as u16 % 2_700)
        .filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    std::array::from_fn(|_| free.next().expect("it never ends"))
}

/// What the broker answers to the protocol header: 1, a method frame, when it is `connection.start`.
async fn first_byte(port: u16) -> std::io::Result<u8> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(b"AMQP\x00\x00\x09\x01").await?;
    stream.read_u8().await
}

fn address(text: &str) -> Url {
    text.parse().expect("it is an address")
}
