//! Opening a connection to the broker, or to whichever node of its cluster answers.

use std::time::Duration;

use lapin::tcp::OwnedTLSConfig;
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties, DefaultConnectionBuilder};
use tracing::warn;

/// Where the broker is and how long we wait for it.
#[derive(Clone)]
pub struct BrokerSettings {
    /// `amqp://` or `amqps://` address with user, password and virtual host; for a cluster one for
    /// each node, separated by commas. Never printed.
    pub url: String,
    /// Certificates (PEM) of a private authority that an `amqps://` broker's certificate may come
    /// from, besides the authorities that the system trusts.
    pub certificate_authority: Option<String>,
    /// What the management UI calls our connections, for example `millrace-gateway`.
    pub name: String,
    /// How long one publish may take, from the call to the broker's confirm.
    pub publish_deadline: Duration,
}

impl std::fmt::Debug for BrokerSettings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("BrokerSettings")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// How long opening a connection to one node may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// How long what follows (channels, declarations, the subscription) may take. A node that has lost
/// the majority of its cluster accepts connections and then answers nothing.
pub(crate) const PREPARE_DEADLINE: Duration = Duration::from_secs(30);

/// A dead peer is noticed within two heartbeats, in seconds. RabbitMQ's own default is 60.
const HEARTBEAT_SECONDS: u16 = 10;

/// Why there is no connection. Trying again can help.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("AMQP_URL is not an amqp:// address: {0}")]
    Address(String),
    #[error("{node} did not answer within {limit} s", limit = CONNECT_DEADLINE.as_secs())]
    TimedOut { node: String },
    #[error("{node} can't be reached")]
    Refused { node: String, source: lapin::Error },
}

/// The nodes of the broker, one after the other: whoever lost one goes to the next. Begins at any
/// of them, so that not all connections of all pods are at the same one.
pub(crate) struct Nodes {
    settings: BrokerSettings,
    role: &'static str,
    next: usize,
}

impl Nodes {
    /// `role` is what the management UI shows beside the program's name.
    pub(crate) fn new(settings: BrokerSettings, role: &'static str) -> Self {
        Self {
            settings,
            role,
            next: rand::random_range(0..1024),
        }
    }

    /// A connection to the first node that answers; each is tried once.
    ///
    /// # Errors
    /// What the last of them said.
    pub(crate) async fn connect(&mut self) -> Result<Connection, ConnectError> {
        let nodes: Vec<&str> = self.settings.url.split(',').map(str::trim).collect();
        let mut left = nodes.len();
        loop {
            let node = nodes[self.next % nodes.len()];
            self.next += 1;
            left -= 1;
            match self.connect_to(node).await {
                Ok(connection) => return Ok(connection),
                Err(error) if left == 0 => return Err(error),
                Err(error) => warn!(
                    messaging.system = "rabbitmq",
                    reason = chain(&error),
                    "Can't connect to this node of the broker; trying the next."
                ),
            }
        }
    }

    async fn connect_to(&self, address: &str) -> Result<Connection, ConnectError> {
        let mut uri: AMQPUri = address.parse().map_err(ConnectError::Address)?;
        let node = format!("{}:{}", uri.authority.host, uri.authority.port);
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        let name = format!("{} {}", self.settings.name, self.role);
        let tls = OwnedTLSConfig {
            identity: None,
            cert_chain: self.settings.certificate_authority.clone(),
        };
        let connection = async {
            DefaultConnectionBuilder::new()?
                .with_uri(uri)
                .with_properties(ConnectionProperties::default().with_connection_name(name.into()))
                .with_tls_config(tls)
                .connect()
                .await
        };
        match tokio::time::timeout(CONNECT_DEADLINE, connection).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(source)) => Err(ConnectError::Refused { node, source }),
            Err(_) => Err(ConnectError::TimedOut { node }),
        }
    }
}

/// The wait before the next try: doubles from 100 ms to half a second, so that we are back within two
/// seconds of the broker's return, its own start included.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    pub(crate) fn next(&mut self) -> Duration {
        let wait =
            Duration::from_millis(100 << self.failures.min(4)).min(Duration::from_millis(500));
        self.failures = self.failures.saturating_add(1);
        wait
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
