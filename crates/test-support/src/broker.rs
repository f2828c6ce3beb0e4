//! A virtual host of its own for each test.

use std::time::{Duration, Instant};

use broker::BrokerSettings;
use url::Url;
use uuid::Uuid;

use crate::http::request;

/// The virtual host `/`, as it stands in addresses.
const DEFAULT: &str = "%2F";

/// How long a test waits for its connections to be closed.
const CLOSING_DEADLINE: Duration = Duration::from_secs(5);

/// How long RabbitMQ may take for a declaration that it has begun.
const LAST_DECLARATION: Duration = Duration::from_millis(100);

/// An empty virtual host on the RabbitMQ named by `AMQP_URL` and `AMQP_MANAGEMENT_URL`; deleted
/// with everything in it when this is dropped.
pub struct Broker {
    amqp: Url,
    management: Url,
    virtual_host: String,
}

impl Broker {
    /// Makes the virtual host.
    ///
    /// # Panics
    /// When there is no RabbitMQ with its management plugin: `./dev test` starts one.
    #[must_use]
    pub fn start() -> Self {
        let virtual_host = format!("test-{}", Uuid::new_v4());
        let mut amqp = variable("AMQP_URL");
        amqp.set_path(&virtual_host);
        let broker = Self {
            amqp,
            management: variable("AMQP_MANAGEMENT_URL"),
            virtual_host,
        };
        let user = broker.amqp.username().to_owned();
        broker.expect("PUT", &format!("/api/vhosts/{}", broker.virtual_host), "{}");
        let permissions = r#"{"configure":".*","write":".*","read":".*"}"#;
        let path = format!("/api/permissions/{}/{user}", broker.virtual_host);
        broker.expect("PUT", &path, permissions);
        broker
    }

    /// The virtual host that a node of the test's own comes with.
    pub(crate) fn of_node(mut amqp: Url, management: Url) -> Self {
        amqp.set_path(DEFAULT);
        Self {
            amqp,
            management,
            virtual_host: DEFAULT.to_owned(),
        }
    }

    /// The address of the virtual host, as `AMQP_URL` takes it.
    #[must_use]
    pub fn amqp_url(&self) -> &str {
        self.amqp.as_str()
    }

    /// Settings for a publisher or consumer of a test.
    #[must_use]
    pub fn settings(&self) -> BrokerSettings {
        BrokerSettings {
            url: self.amqp_url().to_owned(),
            certificate_authority: None,
            name: "test".to_owned(),
            publish_deadline: Duration::from_secs(10),
        }
    }

    /// Bodies and headers of the messages that wait in a queue, without taking them out. An absent
    /// queue is an empty one.
    #[must_use]
    pub fn waiting(&self, queue: &str) -> Vec<serde_json::Value> {
        let path = format!("/api/queues/{}/{queue}/get", self.virtual_host);
        let body = r#"{"count":10000,"ackmode":"ack_requeue_true","encoding":"auto"}"#;
        match request("POST", &self.address(&path), body) {
            (200, messages) => serde_json::from_str(&messages).expect("messages are a JSON array"),
            (404, _) => Vec::new(),
            (status, answer) => panic!("{path} answered {status}: {answer}"),
        }
    }

    /// Puts a copy of a message that [`Broker::waiting`] has shown into a queue, with all its
    /// properties and headers, as a person can in the management UI.
    pub fn put(&self, queue: &str, message: &serde_json::Value) {
        let body = serde_json::json!({
            "routing_key": queue,
            "properties": message["properties"],
            "payload": message["payload"],
            "payload_encoding": message["payload_encoding"],
        });
        let path = format!("/api/exchanges/{}/amq.default/publish", self.virtual_host);
        self.expect("POST", &path, &body.to_string());
    }

    /// Moves every message of one queue to another as the management UI does, with a shovel that
    /// ends by itself.
    pub fn shovel(&self, from: &str, to: &str) {
        let address = format!("amqp:///{}", self.virtual_host);
        let body = serde_json::json!({"value": {
            "src-uri": address, "src-queue": from, "src-protocol": "amqp091",
            "dest-uri": address, "dest-queue": to, "dest-protocol": "amqp091",
            "src-delete-after": "queue-length", "ack-mode": "on-confirm",
            "src-prefetch-count": 1000, "dest-add-forward-headers": false,
        }});
        let path = format!("/api/parameters/shovel/{}/move", self.virtual_host);
        self.expect("PUT", &path, &body.to_string());
    }

    /// Whether a shovel is still moving messages.
    #[must_use]
    pub fn is_shovelling(&self) -> bool {
        let path = format!("/api/parameters/shovel/{}/move", self.virtual_host);
        request("GET", &self.address(&path), "").0 == 200
    }

    /// Closes every connection to the virtual host, as an operator can, and returns how many there
    /// were. A connection that was just opened may not be listed yet.
    pub fn close_connections(&self) -> usize {
        let mut closed = 0;
        let (_, answer) = request("GET", &self.address("/api/connections"), "");
        let connections: serde_json::Value = serde_json::from_str(&answer).unwrap_or_default();
        for connection in connections.as_array().into_iter().flatten() {
            if connection["vhost"] == self.virtual_host.as_str() {
                let name = connection["name"].as_str().unwrap_or_default();
                let mut address = self.address("/api/connections/");
                address
                    .path_segments_mut()
                    .expect("http has a path")
                    .pop()
                    .push(name);
                request("DELETE", &address, "");
                closed += 1;
            }
        }
        closed
    }

    /// Deletes a queue, as an operator can.
    pub fn delete_queue(&self, queue: &str) {
        self.expect(
            "DELETE",
            &format!("/api/queues/{}/{queue}", self.virtual_host),
            "",
        );
    }

    /// Throws away what waits in a queue, as an operator can.
    pub fn purge_queue(&self, queue: &str) {
        let path = format!("/api/queues/{}/{queue}/contents", self.virtual_host);
        self.expect("DELETE", &path, "");
    }

    /// How many consumers read a queue.
    #[must_use]
    pub fn consumers(&self, queue: &str) -> u64 {
        self.queue(queue)["consumers"].as_u64().unwrap_or(0)
    }

    /// What the management API says about a queue; null when it is absent. Its counts may be
    /// seconds old.
    #[must_use]
    pub fn queue(&self, queue: &str) -> serde_json::Value {
        let path = format!("/api/queues/{}/{queue}", self.virtual_host);
        match request("GET", &self.address(&path), "") {
            (200, answer) => serde_json::from_str(&answer).expect("a queue is a JSON object"),
            _ => serde_json::Value::Null,
        }
    }

    /// Nobody declares anything any more. RabbitMQ 3.10.8 can lose the workers of at-least-once
    /// dead-lettering, of all virtual hosts and until its restart, when a lane is deleted in the
    /// moment in which it is declared (docs/queues.md).
    #[expect(
        clippy::disallowed_methods,
        reason = "the test is over, and a drop can't await"
    )]
    fn leave_to_nobody(&self) {
        let path = format!(
            "/api/permissions/{}/{}",
            self.virtual_host,
            self.amqp.username()
        );
        request("DELETE", &self.address(&path), "");
        let started = Instant::now();
        while self.close_connections() > 0 && started.elapsed() < CLOSING_DEADLINE {
            std::thread::sleep(LAST_DECLARATION);
        }
        // No question tells whether the last declaration has come to its end.
        std::thread::sleep(LAST_DECLARATION);
    }

    fn expect(&self, method: &str, path: &str, body: &str) {
        let (status, answer) = request(method, &self.address(path), body);
        assert!(
            (200..300).contains(&status),
            "{method} {path} answered {status}: {answer}"
        );
    }

    fn address(&self, path: &str) -> Url {
        self.management
            .join(path)
            .expect("a path is a valid part of an address")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if !std::thread::panicking() && self.virtual_host != DEFAULT {
            self.leave_to_nobody();
            let path = format!("/api/vhosts/{}", self.virtual_host);
            request("DELETE", &self.address(&path), "");
        }
    }
}

fn variable(name: &str) -> Url {
    let value = std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set; run ./dev test, which starts RabbitMQ"));
    value
        .parse()
        .unwrap_or_else(|error| panic!("{name} is not an address: {error}"))
}
