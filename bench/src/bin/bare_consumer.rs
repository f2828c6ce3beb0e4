//! The ceiling for workers: reads so many messages, acknowledges each, and prints how many seconds
//! passed from the first to the last. `AMQP_URL`, `QUEUE`, `PREFETCH` and `COUNT`.

use std::env;
use std::time::Instant;

use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let variable = |name| env::var(name).context(name);
    let count: u64 = variable("COUNT")?.parse()?;
    let connection =
        Connection::connect(&variable("AMQP_URL")?, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel
        .basic_qos(variable("PREFETCH")?.parse()?, BasicQosOptions::default())
        .await?;
    let queue = variable("QUEUE")?;
    let mut messages = channel
        .basic_consume(
            queue.as_str().into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await?;
    let mut began = None;
    for _ in 0..count {
        let Some(message) = messages.next().await else {
            bail!("the subscription ended");
        };
        began.get_or_insert_with(Instant::now);
        message?.ack(BasicAckOptions::default()).await?;
    }
    let began = began.context("COUNT must be at least 1")?;
    println!("{}", began.elapsed().as_secs_f64());
    connection.close(200, "done".into()).await?;
    Ok(())
}
