//! RabbitMQ as its operator sees it: whether it answers, what stands in its queues, what is parked.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::process::Process;

/// The user of the private node. Its password is made anew for each run: a node that refuses it is
/// somebody else's.
pub(crate) const USER: &str = "millrace";

/// The management API.
#[derive(Debug, Clone)]
pub(crate) struct Management {
    base: String,
    password: String,
    http: reqwest::Client,
}

/// What stands in one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Depth {
    /// The queue.
    pub queue: String,
    /// Messages that wait, that somebody holds, or that are on their way to another queue.
    pub messages: u64,
}

/// A message in a parking lot.
#[derive(Debug, Clone)]
pub struct Parked {
    /// The parking lot.
    pub queue: String,
    /// `x-failure-reason`, or what RabbitMQ says where it parked the message itself.
    pub reason: String,
    /// `x-failure-detail`.
    pub detail: String,
    /// The body.
    pub body: String,
}

impl Management {
    pub(crate) fn new(port: u16, password: &str, http: reqwest::Client) -> Self {
        Self {
            base: format!("http://127.0.0.1:{port}/api"),
            password: password.to_owned(),
            http,
        }
    }

    /// Whether the node that answers is the one of this run.
    ///
    /// # Errors
    /// When it refuses the password of this run.
    pub(crate) async fn is_ours(&self) -> anyhow::Result<()> {
        let who = self.http.get(format!("{}/whoami", self.base));
        self.ask(who)
            .await
            .map(drop)
            .with_context(|| format!("the RabbitMQ behind {} is not that of this run", self.base))
    }

    /// Every queue that is not empty. The figures are up to a second old.
    pub(crate) async fn depths(&self) -> anyhow::Result<Vec<Depth>> {
        let queues = self.ask(self.http.get(format!("{}/queues", self.base)));
        let queues = queues.await?;
        let queues = queues.as_array().context("a list of queues")?;
        let depth = |queue: &Value| {
            let count = |name: &str| queue[name].as_u64().unwrap_or_default();
            Depth {
                queue: queue["name"].as_str().unwrap_or_default().to_owned(),
                messages: count("messages_ready")
                    + count("messages_unacknowledged")
                    + count("messages_dlx"),
            }
        };
        let depths = queues.iter().map(depth);
        Ok(depths.filter(|depth| depth.messages > 0).collect())
    }

    /// The messages of a parking lot; they stay there.
    pub(crate) async fn parked(&self, queue: &str) -> anyhow::Result<Vec<Parked>> {
        let url = format!("{}/queues/%2F/{queue}/get", self.base);
        let wish = json!({"count": 100_000, "ackmode": "ack_requeue_true", "encoding": "auto"});
        let found = self.ask(self.http.post(url).json(&wish)).await?;
        let found = found.as_array().context("a list of messages")?;
        let parked = |message: &Value| {
            let headers = &message["properties"]["headers"];
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let reason = text(&headers["x-failure-reason"])
                .or_else(|| text(&headers["x-first-death-reason"]));
            Parked {
                queue: queue.to_owned(),
                reason: reason.unwrap_or_else(|| "none".to_owned()),
                detail: text(&headers["x-failure-detail"]).unwrap_or_default(),
                body: text(&message["payload"]).unwrap_or_default(),
            }
        };
        Ok(found.iter().map(parked).collect())
    }

    async fn ask(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
        let answer = request
            .basic_auth(USER, Some(&self.password))
            .send()
            .await?;
        let status = answer.status();
        ensure!(
            status.is_success(),
            "the management API answered {status}: {}",
            answer.text().await.unwrap_or_default()
        );
        let body = answer.bytes().await?;
        Ok(serde_json::from_slice(&body)?)
    }
}

/// Waits until RabbitMQ speaks AMQP: it answers the protocol header with `connection.start`, a
/// method frame (type 1).
///
/// # Errors
/// When it does not in time, or has ended: then somebody else may have its port.
pub(crate) async fn until_it_answers(
    node: &mut Process,
    address: SocketAddr,
    patience: Duration,
) -> anyhow::Result<()> {
    let began = Instant::now();
    while !matches!(first_byte(address).await, Ok(1)) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        ensure!(
            began.elapsed() < patience,
            "RabbitMQ did not answer on {address}"
        );
    }
    match node.ended() {
        Some(how) => bail!("RabbitMQ ended ({how}): {}", node.log().display()),
        None => Ok(()),
    }
}

async fn first_byte(address: SocketAddr) -> std::io::Result<u8> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"AMQP\x00\x00\x09\x01").await?;
    stream.read_u8().await
}
