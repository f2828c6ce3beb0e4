//! RabbitMQ as its operator sees it: what stands in its queues, what is parked.

use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use reqwest::Method;
use serde_json::{Value, json};

/// How long a node may take until its management API answers.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long one answer may take: on a machine with much else to do, a list of all queues takes its time.
const ANSWER: Duration = Duration::from_secs(60);

/// What the name of a parking lot ends in; before it comes the name of the work queue.
const PARKING_LOT: &str = ".dead";

/// Where events are kept that nobody reads.
const UNROUTED: &str = "unrouted";

/// The user of the private nodes. Its password is made anew for each run: a node that refuses it is
/// somebody else's.
pub(crate) const USER: &str = "millrace";

/// The management API; that of any node serves.
#[derive(Debug, Clone)]
pub(crate) struct Management {
    bases: Vec<String>,
    password: String,
    http: reqwest::Client,
}

/// What stands in one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Depth {
    /// The queue.
    pub(crate) queue: String,
    /// Messages that wait, that somebody holds, or that are on their way to another queue.
    pub(crate) messages: u64,
}

impl Depth {
    /// Whether what stands here stays until somebody moves it.
    #[must_use]
    pub(crate) fn is_kept(&self) -> bool {
        self.is_parking_lot() || self.queue == UNROUTED
    }

    /// Whether it is work for somebody now, and no timer in a delay lane.
    #[must_use]
    pub(crate) fn is_work(&self) -> bool {
        !self.is_kept() && !self.queue.starts_with("delay.")
    }

    /// Whether it is the parking lot of a work queue.
    #[must_use]
    pub(crate) fn is_parking_lot(&self) -> bool {
        self.queue.ends_with(PARKING_LOT)
    }
}

/// A message in a parking lot, or one that nobody reads.
#[derive(Debug, Clone)]
pub(crate) struct Parked {
    /// The parking lot.
    pub(crate) queue: String,
    /// `x-failure-reason`, or what RabbitMQ says where it parked the message itself.
    pub(crate) reason: String,
    /// `x-failure-detail`.
    pub(crate) detail: String,
    /// The body.
    pub(crate) body: String,
}

impl Management {
    pub(crate) fn new(ports: &[u16], password: &str, http: reqwest::Client) -> Self {
        let base = |port| format!("http://127.0.0.1:{port}/api");
        Self {
            bases: ports.iter().map(base).collect(),
            password: password.to_owned(),
            http,
        }
    }

    /// Makes sure that every node that answers is one of this run.
    ///
    /// # Errors
    /// When one refuses the password of this run.
    pub(crate) async fn are_ours(&self) -> anyhow::Result<()> {
        for base in &self.bases {
            let began = Instant::now();
            // A node may speak AMQP before its management API listens.
            while let Err(error) = self.ask_node(base, &Method::GET, "whoami", None).await {
                if began.elapsed() > PATIENCE {
                    let stranger = format!("the RabbitMQ behind {base} is not of this run");
                    return Err(error.context(stranger));
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        Ok(())
    }

    /// Every queue that is not empty. The figures are up to a second old.
    pub(crate) async fn depths(&self) -> anyhow::Result<Vec<Depth>> {
        let queues = self.ask(Method::GET, "queues", None).await?;
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
        let path = format!("queues/%2F/{queue}/get");
        let wish = json!({"count": 100_000, "ackmode": "ack_requeue_true", "encoding": "auto"});
        let found = self.ask(Method::POST, &path, Some(&wish)).await?;
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

    /// Puts a message into a queue; returns when RabbitMQ has confirmed it.
    ///
    /// # Errors
    /// When nobody knows whether it is there.
    pub(crate) async fn publish(&self, queue: &str, payload: &str) -> anyhow::Result<()> {
        let message = json!({
            "properties": {"delivery_mode": 2}, "routing_key": queue,
            "payload": payload, "payload_encoding": "string",
        });
        let path = "exchanges/%2F/amq.default/publish";
        let done = self.ask(Method::POST, path, Some(&message)).await?;
        ensure!(done["routed"] == true, "there is no queue {queue}");
        Ok(())
    }

    /// Throws away what stands in a queue.
    ///
    /// # Errors
    /// When RabbitMQ does not answer or has no such queue.
    pub(crate) async fn purge(&self, queue: &str) -> anyhow::Result<()> {
        let path = format!("queues/%2F/{queue}/contents");
        self.ask(Method::DELETE, &path, None).await.map(drop)
    }

    /// Moves all parked messages back into their work queues, as a person does it with "Move
    /// messages" on a queue's page: each move is a shovel that ends by itself. Returns from where.
    ///
    /// # Errors
    /// When RabbitMQ does not answer.
    pub(crate) async fn replay_parked(&self) -> anyhow::Result<Vec<String>> {
        let depths = self.depths().await?.into_iter();
        let lots: Vec<String> = depths
            .filter(Depth::is_parking_lot)
            .map(|depth| depth.queue)
            .collect();
        for lot in &lots {
            let path = format!("parameters/shovel/%2F/Move%20from%20{lot}");
            let shovel = json!({"component": "shovel", "vhost": "/", "name": format!("Move from {lot}"), "value": {
                "src-uri": "amqp:///%2F", "src-queue": lot, "src-protocol": "amqp091",
                "src-prefetch-count": 1000, "src-delete-after": "queue-length",
                "dest-protocol": "amqp091", "dest-uri": "amqp:///%2F",
                "dest-queue": lot.trim_end_matches(PARKING_LOT),
                "dest-add-forward-headers": false, "ack-mode": "on-confirm",
            }});
            self.ask(Method::PUT, &path, Some(&shovel)).await?;
        }
        Ok(lots)
    }

    /// How many moves are still under way.
    pub(crate) async fn moves(&self) -> anyhow::Result<usize> {
        let shovels = self.ask(Method::GET, "parameters/shovel", None).await?;
        Ok(shovels.as_array().map_or(0, Vec::len))
    }

    /// Asks the first node that answers.
    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let mut last = anyhow!("there is no node");
        for base in &self.bases {
            match self.ask_node(base, &method, path, body).await {
                Ok(answer) => return Ok(answer),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn ask_node(
        &self,
        base: &str,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let request = self.http.request(method.clone(), format!("{base}/{path}"));
        let request = request
            .basic_auth(USER, Some(&self.password))
            .timeout(ANSWER);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = request.send().await?;
        let status = answer.status();
        ensure!(
            status.is_success(),
            "the management API answered {status}: {}",
            answer.text().await.unwrap_or_default()
        );
        let body = answer.bytes().await?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        Ok(serde_json::from_slice(&body)?)
    }
}
