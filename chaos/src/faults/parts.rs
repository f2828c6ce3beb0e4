//! Gateways and workers: killed, frozen, asked to end.

use std::time::Duration;

use anyhow::ensure;

use crate::log::Kind;
use crate::process::Process;
use crate::world::{PATIENCE, World};

/// How long a part is waited for that is to die at a named point.
const REACHED_WITHIN: Duration = Duration::from_secs(15);

pub(super) async fn kill_gateway(world: &World, number: usize) -> anyhow::Result<()> {
    let mut gateway = world.gateways[number].lock().await;
    world.log.fault(Kind::GatewayKilled, number);
    kill_and_start(&mut gateway).await
}

pub(super) async fn kill_worker(world: &World, number: usize) -> anyhow::Result<()> {
    let mut worker = world.workers[number].lock().await;
    world.log.fault(Kind::WorkerKilled, number);
    kill_and_start(&mut worker).await
}

pub(super) async fn kill_all_workers(world: &World) -> anyhow::Result<()> {
    let mut workers = Vec::new();
    for worker in &world.workers {
        workers.push(worker.lock().await);
    }
    world.log.fault(Kind::AllWorkersKilled, "");
    for worker in &mut workers {
        worker.kill().await?;
    }
    for worker in &mut workers {
        worker.start_again()?;
    }
    Ok(())
}

pub(super) async fn freeze_worker(
    world: &World,
    number: usize,
    time: Duration,
) -> anyhow::Result<()> {
    let worker = world.workers[number].lock().await;
    world.log.fault_for(Kind::WorkerFrozen, time, number);
    worker.signal("STOP").await?;
    tokio::time::sleep(time).await;
    worker.signal("CONT").await
}

/// One part after the other, as in a deployment: each is asked to end and must do so in time.
pub(super) async fn restart_all(world: &World) -> anyhow::Result<()> {
    world.log.fault(Kind::RollingRestart, "");
    for part in world.gateways.iter().chain(&world.workers) {
        let mut part = part.lock().await;
        let log = part.log().display().to_string();
        ensure!(
            part.stop(PATIENCE).await?,
            "SIGTERM did not end the part that writes {log}"
        );
        part.start_again()?;
    }
    world.log.note("the rolling restart is over");
    Ok(())
}

pub(super) async fn crash_worker(
    world: &World,
    number: usize,
    point: &str,
    times: u32,
) -> anyhow::Result<()> {
    let mut worker = world.workers[number].lock().await;
    world.log.fault(Kind::WorkerKilled, number);
    crash_at(world, &mut worker, point, times).await
}

pub(super) async fn crash_gateway(
    world: &World,
    number: usize,
    point: &str,
    times: u32,
) -> anyhow::Result<()> {
    let mut gateway = world.gateways[number].lock().await;
    world.log.fault(Kind::GatewayKilled, number);
    crash_at(world, &mut gateway, point, times).await
}

/// Kills the part and starts it so that it dies at the named point; then it is started as usual.
async fn crash_at(
    world: &World,
    part: &mut Process,
    point: &str,
    times: u32,
) -> anyhow::Result<()> {
    part.kill().await?;
    // Release builds hold no such points.
    if cfg!(debug_assertions) {
        part.start_again_with("CRASH_AT", &format!("{point}:{times}"))?;
        if part.ends_within(REACHED_WITHIN).await {
            world.log.fault(Kind::CrashedAt, format!("{point}:{times}"));
        } else {
            world
                .log
                .note(&format!("{point} was not passed {times} times"));
            part.kill().await?;
        }
    }
    part.start_again()
}

async fn kill_and_start(process: &mut Process) -> anyhow::Result<()> {
    process.kill().await?;
    process.start_again()
}
