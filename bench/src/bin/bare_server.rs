//! The ceiling for ingress: the same HTTP stack and broker client as the gateway, a durable quorum
//! queue, the confirm awaited, and nothing else. `AMQP_URL`, `PORT`, `QUEUE` and `CHANNELS`.

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use tokio::net::TcpListener;

struct Shared {
    channels: Vec<Channel>,
    next: AtomicUsize,
    queue: String,
    _connection: Connection,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let variable = |name| env::var(name).context(name);
    let port: u16 = variable("PORT")?.parse()?;
    let connection =
        Connection::connect(&variable("AMQP_URL")?, ConnectionProperties::default()).await?;
    let queue = variable("QUEUE")?;
    let mut channels = Vec::new();
    for _ in 0..variable("CHANNELS")?.parse()? {
        let channel = connection.create_channel().await?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        channels.push(channel);
    }
    let first = channels.first().context("CHANNELS must be at least 1")?;
    declare(first, &queue).await?;
    let shared = Shared {
        channels,
        next: AtomicUsize::new(0),
        queue,
        _connection: connection,
    };
    let router = Router::new()
        .route("/webhook/openai", post(webhook))
        .route("/health/ready", get(async || "ready"))
        .with_state(Arc::new(shared));
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    axum::serve(listener, router).await?;
    Ok(())
}

async fn declare(channel: &Channel, queue: &str) -> lapin::Result<()> {
    let mut arguments = FieldTable::default();
    let quorum = AMQPValue::LongString("quorum".into());
    arguments.insert("x-queue-type".into(), quorum);
    let durable = QueueDeclareOptions {
        durable: true,
        ..Default::default()
    };
    channel
        .queue_declare(queue.into(), durable, arguments)
        .await?;
    Ok(())
}

async fn webhook(State(shared): State<Arc<Shared>>, body: Bytes) -> StatusCode {
    match publish(&shared, &body).await {
        Ok(()) => StatusCode::ACCEPTED,
        Err(error) => {
            eprintln!("{error:#}");
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

async fn publish(shared: &Shared, body: &[u8]) -> anyhow::Result<()> {
    let index = shared.next.fetch_add(1, Ordering::Relaxed) % shared.channels.len();
    let confirmation = shared.channels[index]
        .basic_publish(
            "".into(),
            shared.queue.as_str().into(),
            BasicPublishOptions::default(),
            body,
            BasicProperties::default().with_delivery_mode(2),
        )
        .await?
        .await?;
    ensure!(confirmation.is_ack(), "the broker refused the message");
    Ok(())
}
