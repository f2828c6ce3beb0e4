//! One run, from the first start to the tables.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::task::JoinSet;

use crate::account::Account;
use crate::books::Books;
use crate::events::{self, Sent};
use crate::evidence::collect;
use crate::faults;
use crate::log::Kind;
use crate::options::Options;
use crate::recovery;
use crate::report::Report;
use crate::sabotage::{is_noticed, sabotage};
use crate::schedule::{Action, Fault, Plan, Step, schedule};
use crate::settle::until_quiet;
use crate::world::{GATEWAYS, World, workers};

/// How many faults strike in a minute unless the caller says.
const FAULTS_A_MINUTE: f64 = 20.0;

/// How often parked messages are replayed at the end. What fails again is parked for good.
const REPLAYS: usize = 3;

/// Runs, prints the tables, and says whether nothing was lost and nothing done twice.
///
/// # Errors
/// When the run itself is impossible: a part does not start, a server is missing.
pub async fn run(options: Options) -> anyhow::Result<bool> {
    let plan = plan(&options);
    println!(
        "seed {}: {} events and {} faults in {} minutes",
        plan.seed, plan.events, plan.faults, options.minutes
    );
    let world = Arc::new(World::start(&options).await?);
    let sent = Arc::new(Sent::default());
    println!(
        "everything is up; the log of faults: {}",
        options.folder.join("faults.log").display()
    );

    let halfway = async {
        if options.sabotage {
            tokio::time::sleep(plan.length / 2).await;
            sabotage(&world).await?;
        }
        Ok(())
    };
    tokio::try_join!(play(&world, &sent, schedule(&plan)), halfway)?;
    faults::stop(&world);
    world.log.note("the load and the faults have ended");
    println!("the load and the faults have ended; waiting for quiet");

    let quiet = settle(&world, &sent, Duration::from_secs(options.settle)).await;
    let ended = ended_by_themselves(&world).await;
    let evidence = collect(&world, &sent)
        .await
        .context("gathering the evidence")?;
    let books = Books::read(&world).await?;
    let record = world.relay.record();
    let mut recoveries = world.recoveries.list();
    recoveries.extend(recoveries_of_workers(&world).await);
    if plan.nodes > 1 {
        let faults = world.log.entries();
        recoveries.extend(recovery::of_ingress(&faults, &record.accepted_at));
    }
    let report = Report {
        plan,
        account: Account::of(&evidence),
        books,
        faults: count(&world),
        answers: record.answers,
        recoveries,
        quiet,
        ended,
        strict_times: options.strict_times,
    };
    world.stop().await?;
    let text = report.to_string();
    println!("\n{text}");
    std::fs::write(options.folder.join("latest.md"), &text)?;
    if options.sabotage {
        let noticed = is_noticed(&report.account);
        println!("sabotage noticed: {noticed}");
        return Ok(noticed);
    }
    Ok(report.passed())
}

fn plan(options: &Options) -> Plan {
    let usual = (options.minutes * FAULTS_A_MINUTE).round() as u32;
    Plan {
        seed: options.seed,
        length: Duration::from_secs_f64(options.minutes * 60.0),
        events: options.events,
        faults: options.faults.unwrap_or(usual),
        gateways: GATEWAYS,
        nodes: options.broker_program.len(),
        workers: workers(options),
        database: options.database,
    }
}

/// Carries the schedule out; returns when its last event and fault are over.
async fn play(world: &Arc<World>, sent: &Arc<Sent>, steps: Vec<Step>) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut under_way = JoinSet::new();
    for Step { at, action } in steps {
        tokio::time::sleep(at.saturating_sub(began.elapsed())).await;
        let (world, sent) = (world.clone(), sent.clone());
        under_way.spawn(async move {
            match action {
                Action::Event(event) => events::send(&world, &sent, event).await,
                Action::Fault(fault) => faults::strike(&world, fault).await,
            }
        });
        while let Some(done) = under_way.try_join_next() {
            done??;
        }
    }
    while let Some(done) = under_way.join_next().await {
        done??;
    }
    Ok(())
}

/// Waits for quiet, and then for quiet after everything that is parked has been replayed: what a
/// provider refused once it takes the next time.
async fn settle(world: &World, sent: &Sent, patience: Duration) -> Result<Duration, String> {
    let began = Instant::now();
    let rest = || patience.saturating_sub(began.elapsed());
    let mut parked = usize::MAX;
    for _ in 0..REPLAYS {
        until_quiet(world, sent, rest()).await?;
        let depths = world.management.depths().await;
        let depths = depths.map_err(|error| format!("{error:#}"))?;
        let lots = depths.iter().filter(|depth| depth.is_parking_lot());
        let still_parked = lots.map(|depth| depth.messages as usize).sum();
        if still_parked == 0 || still_parked == parked {
            return Ok(began.elapsed());
        }
        parked = still_parked;
        let replayed = faults::strike(world, Fault::ReplayParked).await;
        replayed.map_err(|error| format!("{error:#}"))?;
    }
    until_quiet(world, sent, rest()).await?;
    Ok(began.elapsed())
}

/// Parts that nobody killed and that are gone all the same.
async fn ended_by_themselves(world: &World) -> Vec<String> {
    let mut ended = Vec::new();
    for part in world.gateways.iter().chain(&world.workers) {
        let mut part = part.lock().await;
        if let Some(how) = part.ended() {
            ended.push(format!("{}: {how}", part.log().display()));
        }
    }
    for node in &world.nodes {
        let mut node = node.process().await;
        if let Some(how) = node.ended() {
            ended.push(format!("{}: {how}", node.log().display()));
        }
    }
    ended
}

async fn recoveries_of_workers(world: &World) -> Vec<recovery::Recovery> {
    let mut logs = Vec::new();
    for worker in &world.workers {
        logs.push(worker.lock().await.log().to_owned());
    }
    recovery::of_workers(&world.log.entries(), &logs)
}

fn count(world: &World) -> BTreeMap<Kind, usize> {
    let mut counts = BTreeMap::new();
    for fault in world.log.entries() {
        *counts.entry(fault.kind).or_default() += 1;
    }
    counts
}
