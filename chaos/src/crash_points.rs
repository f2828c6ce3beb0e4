//! The walk along the crash points: while both flows run, each program dies once at each of its
//! named points and is started again; at the end nothing may be lost and nothing done twice.
//!
//! A point that is never passed fails the walk: a name that nothing stands behind proves nothing.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use chrono::{TimeDelta, Utc};
use crash_points::{POINTS, Program};
use entities::batch;
use sandbox::Deliver;
use sea_orm::{ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use tokio::task::JoinSet;

use crate::account::Account;
use crate::broker::Depth;
use crate::events::{self, Sent};
use crate::evidence::collect;
use crate::log::Kind;
use crate::options::Options;
use crate::process::Process;
use crate::schedule::{Ending, Event, What};
use crate::settle::until_quiet;
use crate::world::World;

/// How long a point is waited for. A sweep comes every 30 seconds.
const REACHED_WITHIN: Duration = Duration::from_secs(180);

/// After so many deaths the program lives until it has worked off what came back. A message that has
/// come back twenty times is parked, and some may be in hand at each death.
const DEATHS_IN_A_ROW: usize = 4;

/// How long the program lives in between, at least: RabbitMQ's figures are up to a second old.
const SHORTEST_LIFE: Duration = Duration::from_secs(2);

/// How long it lives in between, at most.
const LONGEST_LIFE: Duration = Duration::from_secs(20);

/// The pause between two events from outside.
const PAUSE: Duration = Duration::from_millis(700);

/// How many contacts write.
const CONTACTS: u32 = 15;

/// Walks, prints what came of it, and says whether every point was passed, nothing was lost and
/// nothing done twice.
///
/// # Errors
/// When the walk itself is impossible: a part does not start, a server is missing.
pub async fn walk(options: Options) -> anyhow::Result<bool> {
    println!("{} crash points, {} times", POINTS.len(), options.times);
    let world = Arc::new(World::start(&options).await?);
    let sent = Arc::new(Sent::default());
    let ended = Arc::new(AtomicBool::new(false));
    let events = tokio::spawn(send_events(world.clone(), sent.clone(), ended.clone()));

    let began = Instant::now();
    let mut missed = Vec::new();
    for times in 1..=options.times {
        for program in [Program::Gateway, Program::Worker] {
            missed.extend(die_at_each_point(&world, program, times).await?);
        }
    }
    ended.store(true, Ordering::SeqCst);
    events.await??;
    println!("walked in {:?}; waiting for quiet", began.elapsed());

    let quiet = until_quiet(&world, &sent, Duration::from_secs(options.settle)).await;
    let evidence = collect(&world, &sent)
        .await
        .context("gathering the evidence")?;
    let account = Account::of(&evidence);
    world.stop().await?;
    let passed = missed.is_empty() && quiet.is_ok() && account.is_clean();
    let report = report(&account, &missed, &quiet);
    println!("\n{report}");
    fs::write(options.folder.join("latest.md"), report)?;
    Ok(passed)
}

/// Returns the points that were not passed.
async fn die_at_each_point(
    world: &World,
    program: Program,
    times: u32,
) -> anyhow::Result<Vec<String>> {
    let (part, killed) = match program {
        Program::Gateway => (&world.gateways[0], Kind::GatewayKilled),
        Program::Worker => (&world.workers[0], Kind::WorkerKilled),
    };
    let mut part = part.lock().await;
    world.log.fault(killed, "to begin the walk");
    part.kill().await?;
    let mut missed = Vec::new();
    let points = POINTS.iter().filter(|(of, _)| *of == program);
    for (number, (_, point)) in points.enumerate() {
        if number % DEATHS_IN_A_ROW == DEATHS_IN_A_ROW - 1 {
            part.start_again()?;
            until_worked_off(world).await?;
            world.log.fault(killed, "to go on with the walk");
            part.kill().await?;
        }
        let began = Instant::now();
        let wish = format!("{point}:{times}");
        part.start_again_with("CRASH_AT", &wish)?;
        if dies(world, &mut part, point).await? {
            world.log.fault(Kind::CrashedAt, &wish);
            println!("{wish} after {:.1} s", began.elapsed().as_secs_f64());
        } else {
            world.log.fault(killed, &wish);
            println!("{wish} was not passed in {REACHED_WITHIN:?}");
            missed.push(wish);
            part.kill().await?;
        }
    }
    part.start_again()?;
    Ok(missed)
}

/// Waits until nothing is left in the work queues, as far as events leave them alone.
async fn until_worked_off(world: &World) -> anyhow::Result<()> {
    let began = Instant::now();
    while began.elapsed() < LONGEST_LIFE {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let depths = world.management.depths().await?;
        let is_empty = !depths.iter().any(Depth::is_work);
        if is_empty && began.elapsed() > SHORTEST_LIFE {
            break;
        }
    }
    Ok(())
}

/// Waits until the part has died at this point and nowhere else.
async fn dies(world: &World, part: &mut Process, point: &str) -> anyhow::Result<bool> {
    let began = Instant::now();
    let written = fs::metadata(part.log())?.len() as usize;
    while began.elapsed() < REACHED_WITHIN {
        if point.starts_with("sweeper.") {
            forget_open_batches(world).await?;
        }
        if part.ends_within(Duration::from_secs(2)).await {
            let log = fs::read(part.log())?;
            let log = String::from_utf8_lossy(&log[written..]);
            let here = log.contains(&format!("crash point {point} passed"));
            anyhow::ensure!(
                here,
                "a part ended before {point}: {}",
                part.log().display()
            );
            return Ok(true);
        }
    }
    Ok(false)
}

/// Makes open batches look as if their timers had been lost an hour ago.
async fn forget_open_batches(world: &World) -> anyhow::Result<()> {
    let db = entities::connect(&world.database_url, 1).await?;
    let forgotten = batch::ActiveModel {
        last_message_at: Set(Utc::now() - TimeDelta::hours(1)),
        swept_at: Set(None),
        ..Default::default()
    };
    let open = batch::Column::State.eq(batch::State::Open);
    let update = batch::Entity::update_many().set(forgotten).filter(open);
    update.exec(&db).await?;
    Ok(db.close().await?)
}

/// Sends events of both flows until the walk has ended, and waits for their first attempts.
async fn send_events(
    world: Arc<World>,
    sent: Arc<Sent>,
    ended: Arc<AtomicBool>,
) -> anyhow::Result<()> {
    let mut under_way = JoinSet::new();
    let mut number = 0;
    while !ended.load(Ordering::SeqCst) {
        let ending = Ending::Completed;
        let what = match number % 5 {
            0 => What::Deal { times: 1, ending },
            3 => What::Request {
                twice: false,
                ending,
            },
            _ => What::Message {
                contact: number % CONTACTS,
                deliver: Deliver::Normal,
            },
        };
        let event = Event { number, what };
        let (world, sent) = (world.clone(), sent.clone());
        under_way.spawn(async move { events::send(&world, &sent, event).await });
        number += 1;
        tokio::time::sleep(PAUSE).await;
        while let Some(done) = under_way.try_join_next() {
            done??;
        }
    }
    while let Some(done) = under_way.join_next().await {
        done??;
    }
    Ok(())
}

fn report(account: &Account, missed: &[String], quiet: &Result<Duration, String>) -> String {
    let mut report = String::from(
        "| what | expected | seen | parked | lost | repeated | permitted |\n| --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for line in &account.lines {
        report.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} | {} |\n",
            line.what,
            line.expected,
            line.seen,
            line.parked,
            line.lost,
            line.repeated,
            line.permitted
        ));
    }
    match quiet {
        Ok(time) => report.push_str(&format!("\nquiet after {} s\n", time.as_secs())),
        Err(moving) => report.push_str(&format!("\nnot quiet: {moving}\n")),
    }
    let lists = [
        ("not passed", missed),
        ("lost", &account.lost),
        ("repeated", &account.repeated),
        ("permitted", &account.permitted),
    ];
    for (name, list) in lists {
        for entry in list {
            report.push_str(&format!("{name}: {entry}\n"));
        }
    }
    report
}
