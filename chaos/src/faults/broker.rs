//! RabbitMQ: killed, cut off, slow, out of memory or disk; and what its operator does.
//!
//! One such trouble at a time: the time until the gateways are ready again would say nothing about
//! the gateways, and a limit could not be set back on a node that is away.

use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::join_all;

use crate::broker::Node;
use crate::log::Kind;
use crate::recovery;
use crate::world::{PATIENCE, World};

/// How long the other nodes of a cluster have, after one is back, until the next may go: queues of
/// three replicas need two that are up to date.
const CATCHING_UP: Duration = Duration::from_secs(3);

pub(super) async fn kill(world: &World, node: usize, away: Duration) -> anyhow::Result<()> {
    let _alone = world.broker_trouble.lock().await;
    let detail = format!("node {node} for {away:?}");
    world.log.fault(Kind::BrokerKilled, detail);
    let node = &world.nodes[node];
    node.process().await.kill().await?;
    tokio::time::sleep(away).await;
    start(world, node).await
}

pub(super) async fn restart(world: &World, node: usize) -> anyhow::Result<()> {
    let _alone = world.broker_trouble.lock().await;
    world
        .log
        .fault(Kind::BrokerRestarted, format!("node {node}"));
    let node = &world.nodes[node];
    node.process().await.stop(PATIENCE).await?;
    start(world, node).await
}

async fn start(world: &World, node: &Node) -> anyhow::Result<()> {
    node.process().await.start_again()?;
    node.until_it_answers().await?;
    world.log.note("the broker is back");
    if world.nodes.len() > 1 {
        tokio::time::sleep(CATCHING_UP).await;
        return Ok(());
    }
    // A gateway that is killed meanwhile would be measured instead of one that connects again.
    let mut gateways = Vec::new();
    for gateway in &world.gateways {
        gateways.push(gateway.lock().await);
    }
    let time = world.until_ready().await;
    let time = time.context("after the broker's return")?;
    world.recoveries.add(&recovery::BROKER_BACK, time);
    Ok(())
}

pub(super) fn cut(world: &World) {
    world.log.fault(Kind::BrokerCut, "");
    for node in &world.nodes {
        node.proxy.cut();
    }
}

pub(super) async fn freeze(world: &World, time: Duration) {
    let _alone = world.broker_trouble.lock().await;
    world.log.fault_for(Kind::BrokerFrozen, time, "");
    let frozen = world.nodes.iter().map(|node| node.proxy.freeze(time));
    join_all(frozen).await;
}

pub(super) async fn slow(world: &World, latency: Duration, time: Duration) {
    let _alone = world.broker_trouble.lock().await;
    let detail = format!("by {latency:?}");
    world.log.fault_for(Kind::BrokerSlow, time, detail);
    let slow = world
        .nodes
        .iter()
        .map(|node| node.proxy.slow(latency, time));
    join_all(slow).await;
}

/// A limit of RabbitMQ that it keeps by taking no messages from publishers.
pub(super) struct Limit {
    kind: Kind,
    command: &'static str,
    /// A value that is exceeded at once.
    exceeded: &'static str,
    usual: &'static str,
}

pub(super) const MEMORY: Limit = Limit {
    kind: Kind::MemoryAlarm,
    command: "set_vm_memory_high_watermark",
    exceeded: "0.00001",
    usual: "0.4",
};

pub(super) const DISK: Limit = Limit {
    kind: Kind::DiskAlarm,
    command: "set_disk_free_limit",
    exceeded: "900000GB",
    usual: "50MB",
};

/// Exceeds a limit for this time.
pub(super) async fn alarm(world: &World, limit: &Limit, time: Duration) -> anyhow::Result<()> {
    let _alone = world.broker_trouble.lock().await;
    world.log.fault_for(limit.kind, time, "");
    let node = &world.nodes[0];
    node.control(&[limit.command, limit.exceeded]).await?;
    tokio::time::sleep(time).await;
    node.control(&[limit.command, limit.usual]).await?;
    world.log.note("the broker's limit is as usual");
    Ok(())
}

/// Empties the lane of this wait. That there is none, or no broker, is as good.
pub(super) async fn lose_timers(world: &World, wait: u32) {
    let lane = format!("delay.{wait}s");
    let lost = world.management.purge(&lane).await;
    let detail = if lost.is_ok() { "" } else { " (not done)" };
    world.log.fault(Kind::TimersLost, format!("{lane}{detail}"));
}

/// Moves all parked messages back. Without a broker there is nothing to move.
pub(super) async fn replay_parked(world: &World) {
    let moved = world.management.replay_parked().await.unwrap_or_default();
    world.log.fault(Kind::ParkedReplayed, moved.join(" "));
}
