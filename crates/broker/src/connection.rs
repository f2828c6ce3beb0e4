//! Opening a connection to the broker.

use std::time::Duration;

use lapin::tcp::OwnedTLSConfig;
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties, DefaultConnectionBuilder};

/// Where the broker is and how long we wait for it.
#[derive(Clone)]
pub struct BrokerSettings {
    /// `amqp://` or `amqps://` address with user, password and virtual host. Never printed.
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

/// How long opening a connection may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// A dead peer is noticed within two heartbeats, in seconds. RabbitMQ's own default is 60.
const HEARTBEAT_SECONDS: u16 = 10;

/// Why there is no connection. Trying again can help.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("AMQP_URL is not an amqp:// address: {0}")]
    Address(String),
    #[error("the broker did not answer within {} s", CONNECT_DEADLINE.as_secs())]
    TimedOut,
    #[error("the broker can't be reached")]
    Refused(#[source] lapin::Error),
}

pub(crate) async fn connect(
    settings: &BrokerSettings,
    role: &str,
) -> Result<Connection, ConnectError> {
    let mut uri: AMQPUri = settings.url.parse().map_err(ConnectError::Address)?;
    uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
    let properties = ConnectionProperties::default()
        .with_connection_name(format!("{} {role}", settings.name).into());
    let tls = OwnedTLSConfig {
        identity: None,
        cert_chain: settings.certificate_authority.clone(),
    };
    let connection = DefaultConnectionBuilder::new()
        .map_err(ConnectError::Refused)?
        .with_uri(uri)
        .with_properties(properties)
        .with_tls_config(tls);
    tokio::time::timeout(CONNECT_DEADLINE, connection.connect())
        .await
        .map_err(|_| ConnectError::TimedOut)?
        .map_err(ConnectError::Refused)
}

/// The wait before the next try: doubles from 100 ms to 1 s, so that we are back within two
/// seconds of the broker's return.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    pub(crate) fn next(&mut self) -> Duration {
        let wait = Duration::from_millis(100 << self.failures.min(4)).min(Duration::from_secs(1));
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
