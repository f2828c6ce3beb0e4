//! Rows 3 and 4: the chat pipeline on PostgreSQL and on SQLite, beside Celery with empty tasks and a
//! bare consumer.
//!
//! All of them find their queue full when their worker starts.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::chat::{self, Round, Setup};
use super::{Findings, heading};
use crate::measure::{median, ratios};
use crate::report::{Figure, RATIO, Row};
use crate::rig::database::Kind;
use crate::rig::process::Program;
use crate::rig::{Bench, wait_until};

/// How long a worker may take for its round.
const PATIENCE: Duration = Duration::from_secs(300);

/// The queue of the peers.
const QUEUE: &str = "celery";

/// Messages that the bare consumer holds at once: enough for it never to wait for the next.
const PREFETCH: &str = "256";

/// Measures all of them in turns.
pub(super) async fn measure(bench: &Bench, findings: &mut Findings) -> anyhow::Result<()> {
    heading("Rows 3 and 4: chat messages worked off a second");
    let kinds: Vec<(u8, Kind)> = [(3, Kind::Postgres), (4, Kind::Sqlite)]
        .into_iter()
        .filter(|(row, _)| bench.options.wants(*row))
        .collect();
    let processes = fastest_celery(bench).await?;
    let (mut celery, mut bare) = (Vec::new(), Vec::new());
    let mut ours: Vec<Vec<Round>> = kinds.iter().map(|_| Vec::new()).collect();
    for _ in 0..bench.scale.rounds {
        celery.push(celery_round(bench, processes, bench.scale.celery_tasks).await?);
        bare.push(bare_round(bench).await?);
        for ((_, kind), rounds) in kinds.iter().zip(&mut ours) {
            let setup = Setup {
                kind: *kind,
                workers: 1,
                older_messages: 0,
            };
            rounds.push(chat::round(bench, setup).await?);
        }
    }
    for ((row, kind), rounds) in kinds.iter().zip(&ours) {
        let rates: Vec<f64> = rounds.iter().map(|round| round.per_second).collect();
        let ratio = median(&ratios(&rates, &celery));
        let limit = if *kind == Kind::Postgres { 3.0 } else { 1.5 };
        let what = format!(
            "chat messages a second on {}, to Celery's empty tasks",
            kind.name()
        );
        findings
            .rows
            .push(Row::at_least(*row, &what, ratio, RATIO, limit));
        // In row 3 for both, so that one chart shows them beside Celery.
        let what = format!("Millrace on {}", kind.name());
        findings
            .figures
            .push(Figure::new(3, &what, "messages/s", &rates));
        chat::tell_shares(*row, *kind, rounds, findings);
    }
    let tasks = Figure::new(3, "Celery, empty tasks", "messages/s", &celery);
    findings.figures.push(tasks);
    let consumer = Figure::new(3, "bare consumer (ceiling)", "messages/s", &bare);
    findings.figures.push(consumer);
    Ok(())
}

/// The number of processes with which Celery is fastest here.
async fn fastest_celery(bench: &Bench) -> anyhow::Result<usize> {
    let mut best = (2, 0.0);
    if bench.options.short {
        return Ok(best.0);
    }
    for processes in [2, 1, 4] {
        let per_second = celery_round(bench, processes, bench.scale.celery_tasks / 4).await?;
        if per_second > best.1 {
            best = (processes, per_second);
        }
    }
    Ok(best.0)
}

/// Empty tasks a second, from a first to a last one that tell when they are reached.
async fn celery_round(bench: &Bench, processes: usize, tasks: usize) -> anyhow::Result<f64> {
    let host = bench.broker.virtual_host("celery").await?;
    bench.providers.forget_marks();
    let folder = bench.options.peers.join("celery");
    let program = |program: &str, arguments: Vec<String>| Program {
        path: folder.join("venv/bin").join(program),
        arguments,
        environment: BTreeMap::from([("AMQP_URL".to_owned(), host.url.clone())]),
        folder: folder.clone(),
        log: bench.log("celery"),
    };
    let marks = format!("{}/mark", bench.providers.url());
    let fill = ["enqueue.py".to_owned(), tasks.to_string(), marks];
    program("python", fill.to_vec()).run().await?;
    let queued = host.depth(QUEUE).await?;
    ensure!(
        queued == tasks as u64 + 2,
        "Celery queued {queued} of {tasks} tasks and two marks"
    );

    let arguments = format!(
        "--app tasks worker --concurrency {processes} --loglevel WARNING --without-gossip \
         --without-mingle --without-heartbeat"
    );
    let arguments = arguments.split(' ').map(str::to_owned).collect();
    let mut worker = program("celery", arguments).start()?;
    let marked = |name| bench.providers.marked(name);
    wait_until(PATIENCE, "Celery's last task", async || {
        worker.still_runs()?;
        Ok(marked("first").is_some() && marked("last").is_some())
    })
    .await?;
    let (first, last) = marked("first").zip(marked("last")).context("both marks")?;
    worker.stop().await?;
    let left = host.purge(QUEUE).await?;
    // The mark at the end tells that it is reached before it is done, and may be stopped in between.
    ensure!(left <= 1, "Celery left {left} tasks in its queue");
    host.close().await?;
    let per_second = tasks as f64 / last.saturating_duration_since(first).as_secs_f64();
    bench.say(&format!(
        "Celery, {processes} processes: {per_second:.0} tasks/s"
    ));
    Ok(per_second)
}

/// Messages that a consumer which does nothing acknowledges a second.
pub(super) async fn bare_round(bench: &Bench) -> anyhow::Result<f64> {
    let host = bench.broker.virtual_host("bare-consumer").await?;
    host.declare(QUEUE).await?;
    let count = bench.scale.bare_messages;
    let messages = (0..count).map(|_| (QUEUE.to_owned(), vec![b'x'; 110]));
    host.publish("", messages).await?;
    let count_text = count.to_string();
    let consumer = Program {
        path: bench.options.programs.join("bench-bare-consumer"),
        arguments: Vec::new(),
        environment: [
            ("AMQP_URL", host.url.as_str()),
            ("COUNT", &count_text),
            ("PREFETCH", PREFETCH),
            ("QUEUE", QUEUE),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        folder: bench.options.folder.clone(),
        log: bench.log("bare-consumer"),
    };
    let seconds: f64 = consumer.run().await?.trim().parse()?;
    host.close().await?;
    let per_second = count as f64 / seconds;
    bench.say(&format!("bare consumer: {per_second:.0} messages/s"));
    Ok(per_second)
}
