//! Carries faults out, and measures how long it takes until all is well again.

use std::time::Duration;

use anyhow::Context as _;
use sandbox::{Deliver, DeliveryMode, Provider};

use crate::broker;
use crate::process::Process;
use crate::recovery::{ALL_WORKERS_KILLED, WORKER_KILLED};
use crate::schedule::{Fault, ProviderFault};
use crate::world::{PATIENCE, World};

/// How long a provider that is slow takes: longer than anybody likes, shorter than anybody's
/// deadline.
const SLOW_MILLISECONDS: u64 = 3000;

/// How late OpenAI's webhooks come that come late.
const LATE_MILLISECONDS: u64 = 3000;

/// Carries a fault out. Returns when what it broke has been started again.
///
/// # Errors
/// When that is impossible: the run ends.
pub async fn strike(world: &World, fault: Fault) -> anyhow::Result<()> {
    match fault {
        Fault::KillGateway => kill_gateway(world).await,
        Fault::KillWorker(number) => {
            let mut worker = world.workers[number].lock().await;
            world.log.fault(WORKER_KILLED, &number.to_string());
            kill_and_start(&mut worker).await
        }
        Fault::KillAllWorkers => kill_all_workers(world).await,
        Fault::FreezeWorker(number, time) => {
            let worker = world.workers[number].lock().await;
            world
                .log
                .fault("worker frozen", &format!("{number} for {time:?}"));
            worker.signal("STOP").await?;
            tokio::time::sleep(time).await;
            worker.signal("CONT").await
        }
        Fault::KillBroker(away) => kill_broker(world, away).await,
        Fault::RestartBroker => restart_broker(world).await,
        Fault::CutBroker => {
            world.log.fault("broker connections cut", "");
            world.broker_proxy.cut();
            Ok(())
        }
        Fault::FreezeBroker(time) => {
            // Nobody starts the broker meanwhile: the time until the gateway is ready would say
            // nothing about the gateway.
            let _broker = world.broker.lock().await;
            world
                .log
                .fault("broker connections frozen", &format!("for {time:?}"));
            world.broker_proxy.freeze(time).await;
            Ok(())
        }
        Fault::CutDatabase => {
            if let Some(proxy) = &world.database_proxy {
                world.log.fault("database connections cut", "");
                proxy.cut();
            }
            Ok(())
        }
        Fault::FreezeDatabase(time) => {
            if let Some(proxy) = &world.database_proxy {
                world
                    .log
                    .fault("database connections frozen", &format!("for {time:?}"));
                proxy.freeze(time).await;
            }
            Ok(())
        }
        Fault::StopDatabase(away) => stop_database(world, away).await,
        Fault::Provider(fault) => {
            misbehave(world, &fault);
            Ok(())
        }
        Fault::Webhooks(deliver, time) => {
            world
                .log
                .fault("OpenAI's webhooks", &format!("{deliver:?} for {time:?}"));
            deliver_webhooks(world, deliver);
            tokio::time::sleep(time).await;
            deliver_webhooks(world, Deliver::Normal);
            Ok(())
        }
        Fault::LoseAnswers(count) => {
            world
                .log
                .fault("answers to webhooks lost", &count.to_string());
            world.relay.lose_answers(count);
            Ok(())
        }
    }
}

/// Ends what would strike later. Faults of providers that nobody has met yet stay; each is met once.
pub fn stop(world: &World) {
    world.relay.stop_losing();
    deliver_webhooks(world, Deliver::Normal);
}

async fn kill_gateway(world: &World) -> anyhow::Result<()> {
    let mut gateway = world.gateway.lock().await;
    world.log.fault("gateway killed", "");
    kill_and_start(&mut gateway).await
}

async fn kill_all_workers(world: &World) -> anyhow::Result<()> {
    let mut workers = Vec::new();
    for worker in &world.workers {
        workers.push(worker.lock().await);
    }
    world.log.fault(ALL_WORKERS_KILLED, "");
    for worker in &mut workers {
        worker.kill().await?;
    }
    for worker in &mut workers {
        worker.start_again()?;
    }
    Ok(())
}

async fn kill_broker(world: &World, away: Duration) -> anyhow::Result<()> {
    let mut broker = world.broker.lock().await;
    world.log.fault("broker killed", &format!("for {away:?}"));
    broker.kill().await?;
    tokio::time::sleep(away).await;
    start_broker(world, &mut broker).await
}

async fn restart_broker(world: &World) -> anyhow::Result<()> {
    let mut broker = world.broker.lock().await;
    world.log.fault("broker restarted", "");
    broker.stop(PATIENCE).await?;
    start_broker(world, &mut broker).await
}

async fn start_broker(world: &World, broker: &mut Process) -> anyhow::Result<()> {
    broker.start_again()?;
    broker::until_it_answers(broker, world.broker_address, PATIENCE).await?;
    world.log.note("the broker is back");
    // A gateway that is killed meanwhile would be measured instead of one that connects again.
    let _gateway = world.gateway.lock().await;
    let time = world
        .until_ready()
        .await
        .context("after the broker's return")?;
    world
        .recoveries
        .add("broker back, to the gateway ready", time);
    Ok(())
}

async fn stop_database(world: &World, away: Duration) -> anyhow::Result<()> {
    let program = world.database_program.lock().await;
    let Some(program) = program.as_deref() else {
        return Ok(());
    };
    world
        .log
        .fault("database stopped", &format!("for {away:?}"));
    World::run_database_program(program, "stop").await?;
    tokio::time::sleep(away).await;
    World::run_database_program(program, "start").await?;
    world.log.note("the database is back");
    Ok(())
}

async fn kill_and_start(process: &mut Process) -> anyhow::Result<()> {
    process.kill().await?;
    process.start_again()
}

fn misbehave(world: &World, fault: &ProviderFault) {
    let ProviderFault {
        provider,
        route,
        kind,
        status,
        retry_after,
        times,
    } = fault;
    let detail = format!("{route}: {kind:?} {status} {retry_after:?}, {times} times");
    let name = match provider {
        Provider::OpenAi => "OpenAI's API",
        Provider::HubSpot => "HubSpot's API",
        Provider::HighLevel => "HighLevel's API",
        Provider::Google => "Google's API",
        Provider::Notify => "receiver of notifications",
    };
    world.log.fault(name, &detail);
    world.sandbox.add_fault(sandbox::Fault {
        provider: *provider,
        route: (*route).to_owned(),
        kind: *kind,
        status: *status,
        retry_after: retry_after.map(|seconds| seconds.to_string()),
        delay_ms: SLOW_MILLISECONDS,
        times: *times,
    });
}

fn deliver_webhooks(world: &World, deliver: Deliver) {
    let mode = DeliveryMode {
        deliver,
        delay_ms: LATE_MILLISECONDS,
    };
    world.sandbox.set_delivery(Provider::OpenAi, mode);
}
