//! RabbitMQ: a virtual host for each contender, filled and emptied over a connection of our own.

use anyhow::{Context as _, ensure};
use futures_util::future::try_join_all;
use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, PublisherConfirm};
use serde_json::Value;

/// User and password of the private node.
const USER: &str = "millrace";

/// How many messages are on their way at once when a queue is filled.
const IN_FLIGHT: usize = 1000;

/// The broker of this run.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) amqp_port: u16,
    management: Management,
}

/// A virtual host, of one contender or of one kind of round.
pub(crate) struct VirtualHost {
    /// Its address for a client.
    pub(crate) url: String,
    /// Channel with confirms.
    pub(crate) channel: Channel,
    /// Kept for as long as the channel is used.
    pub(crate) connection: Connection,
    name: String,
    management: Management,
}

/// The management API.
#[derive(Debug, Clone)]
struct Management {
    address: String,
    http: reqwest::Client,
}

impl Broker {
    pub(crate) fn new(amqp_port: u16, management_port: u16, http: reqwest::Client) -> Self {
        let address = format!("http://127.0.0.1:{management_port}/api");
        Self {
            amqp_port,
            management: Management { address, http },
        }
    }

    /// A virtual host of this name with no message in it. What an earlier round has declared there
    /// stays: RabbitMQ 3.10 crashes, with all quorum queues of its node, when a queue is deleted
    /// while the files of the many messages that were in it are still written or removed.
    pub(crate) async fn virtual_host(&self, name: &str) -> anyhow::Result<VirtualHost> {
        self.management.make_virtual_host(name).await?;
        let url = self.url(self.amqp_port, name);
        let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        let host = VirtualHost {
            url,
            channel,
            connection,
            name: name.to_owned(),
            management: self.management.clone(),
        };
        host.empty().await?;
        Ok(host)
    }

    /// The address of a virtual host by way of this port.
    pub(crate) fn url(&self, port: u16, name: &str) -> String {
        format!("amqp://{USER}:{USER}@127.0.0.1:{port}/{name}")
    }

    /// The versions of RabbitMQ and of Erlang.
    pub(crate) async fn versions(&self) -> anyhow::Result<[String; 2]> {
        let overview = self.management.answer("overview").await?;
        let text = |name: &str| {
            overview[name]
                .as_str()
                .map(str::to_owned)
                .context("a version")
        };
        Ok([text("rabbitmq_version")?, text("erlang_version")?])
    }
}

impl Management {
    async fn make_virtual_host(&self, name: &str) -> anyhow::Result<()> {
        let url = format!("{}/vhosts/{name}", self.address);
        let made = self.http.put(url).basic_auth(USER, Some(USER)).send();
        let status = made.await?.status();
        ensure!(
            status.is_success(),
            "RabbitMQ made no virtual host: {status}"
        );
        Ok(())
    }

    /// The names of a virtual host's queues.
    async fn queues(&self, host: &str) -> anyhow::Result<Vec<String>> {
        let queues = self.answer(&format!("queues/{host}?columns=name")).await?;
        let queues = queues.as_array().context("a list of queues")?.iter();
        let name = |queue: &Value| Some(queue["name"].as_str()?.to_owned());
        Ok(queues.filter_map(name).collect())
    }

    async fn answer(&self, path: &str) -> anyhow::Result<Value> {
        let url = format!("{}/{path}", self.address);
        let asked = self.http.get(url).basic_auth(USER, Some(USER)).send();
        let answer = asked.await?.error_for_status()?;
        Ok(serde_json::from_slice(&answer.bytes().await?)?)
    }
}

impl VirtualHost {
    /// Declares a durable quorum queue.
    pub(crate) async fn declare(&self, queue: &str) -> anyhow::Result<()> {
        let mut arguments = FieldTable::default();
        let quorum = AMQPValue::LongString("quorum".into());
        arguments.insert("x-queue-type".into(), quorum);
        let durable = QueueDeclareOptions {
            durable: true,
            ..Default::default()
        };
        let declared = self.channel.queue_declare(queue.into(), durable, arguments);
        declared.await?;
        Ok(())
    }

    /// Empties all queues.
    async fn empty(&self) -> anyhow::Result<()> {
        for queue in self.management.queues(&self.name).await? {
            self.purge(&queue).await?;
        }
        Ok(())
    }

    /// Ends our connection. The queues stay, with nothing in them: with the timers that were in a lane
    /// the broker would be busy while something else is measured.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        self.empty().await?;
        self.connection.close(200, "done".into()).await?;
        Ok(())
    }

    /// Publishes persistent messages, each with its routing key, and waits for all confirms.
    pub(crate) async fn publish(
        &self,
        exchange: &str,
        messages: impl IntoIterator<Item = (String, Vec<u8>)>,
    ) -> anyhow::Result<()> {
        let mut confirms = Vec::with_capacity(IN_FLIGHT);
        for (routing_key, body) in messages {
            confirms.push(self.publish_one(exchange, &routing_key, &body).await?);
            if confirms.len() == IN_FLIGHT {
                all_confirmed(confirms.drain(..)).await?;
            }
        }
        all_confirmed(confirms.drain(..)).await
    }

    /// Publishes one persistent message; its confirm is to be awaited.
    pub(crate) async fn publish_one(
        &self,
        exchange: &str,
        routing_key: &str,
        body: &[u8],
    ) -> lapin::Result<PublisherConfirm> {
        let options = BasicPublishOptions::default();
        let persistent = BasicProperties::default().with_delivery_mode(2);
        let publish = self.channel.basic_publish(
            exchange.into(),
            routing_key.into(),
            options,
            body,
            persistent,
        );
        publish.await
    }

    /// Empties a queue, and returns how many messages were ready in it.
    pub(crate) async fn purge(&self, queue: &str) -> anyhow::Result<u64> {
        let options = QueuePurgeOptions::default();
        let purged = self.channel.queue_purge(queue.into(), options).await?;
        Ok(purged.into())
    }

    /// How many messages are ready in a queue.
    pub(crate) async fn depth(&self, queue: &str) -> anyhow::Result<u64> {
        let passive = QueueDeclareOptions {
            passive: true,
            ..Default::default()
        };
        let asked = self
            .channel
            .queue_declare(queue.into(), passive, FieldTable::default());
        Ok(asked.await?.message_count().into())
    }
}

async fn all_confirmed(confirms: impl Iterator<Item = PublisherConfirm>) -> anyhow::Result<()> {
    let confirmed = try_join_all(confirms).await?;
    ensure!(
        confirmed.iter().all(lapin::Confirmation::is_ack),
        "the broker refused a message"
    );
    Ok(())
}
