//! Row 7: research jobs a second, through submission, OpenAI's webhook, completion, a local document
//! and the end of the job. The queue is full before the worker starts; the time runs from the first
//! job's row to the last job's end.

use std::time::Duration;

use anyhow::ensure;

use super::chat::shortened;
use super::{Findings, heading};
use crate::load::{Load, Pace, Requests, post_json};
use crate::report::{Figure, Row};
use crate::rig::database::{Kind, StatementCost};
use crate::rig::millrace::{API_KEY, Millrace};
use crate::rig::usage::cpu_seconds;
use crate::rig::{Bench, wait_until};

/// How long a round may take.
const PATIENCE: Duration = Duration::from_secs(300);

struct Round {
    per_second: f64,
    /// CPU time for a job, in milliseconds: broker, database, workers, gateway.
    cpu: [f64; 4],
    costs: Vec<StatementCost>,
}

/// Measures all rounds.
pub(super) async fn measure(bench: &Bench, findings: &mut Findings) -> anyhow::Result<()> {
    heading("Row 7: research jobs a second");
    let mut rounds = Vec::new();
    for _ in 0..bench.scale.rounds {
        let round = round(bench).await?;
        bench.say(&format!("{:.0} jobs/s", round.per_second));
        rounds.push(round);
    }
    let of = |value: &dyn Fn(&Round) -> f64| rounds.iter().map(value).collect::<Vec<f64>>();
    let rates = Figure::new(7, "research jobs", "jobs/s", &of(&|round| round.per_second));
    let what = "research jobs a second, local documents";
    findings
        .rows
        .push(Row::told(7, what, rates.spread.median, "jobs/s"));
    findings.figures.push(rates);
    for (place, who) in ["broker", "database", "worker", "gateway"]
        .iter()
        .enumerate()
    {
        let what = format!("CPU of the {who} for a job");
        let cpu = of(&|round| round.cpu[place]);
        findings.figures.push(Figure::new(7, &what, "ms", &cpu));
    }
    let costs = rounds
        .last()
        .map(|round| round.costs.as_slice())
        .unwrap_or_default();
    for cost in costs.iter().take(8) {
        let what = format!("PostgreSQL: {}", shortened(&cost.statement));
        let microseconds = cost.total_ms * 1000.0 / bench.scale.jobs as f64;
        findings
            .figures
            .push(Figure::new(7, &what, "µs a job", &[microseconds]));
    }
    Ok(())
}

async fn round(bench: &Bench) -> anyhow::Result<Round> {
    let mut millrace = Millrace::start(bench, "research", Kind::Postgres, &[]).await?;
    let jobs = bench.scale.jobs;
    request(bench, &millrace, jobs).await?;
    millrace.database.forget_costs().await?;
    let before = cpu(bench, &millrace)?;
    millrace.start_worker(bench).await?;
    let database = &millrace.database;
    let ended = "select count(*) from research_jobs where state = 'notified'";
    wait_until(PATIENCE, "the end of all jobs", async || {
        tokio::time::sleep(Duration::from_millis(200)).await;
        Ok(database.count(ended).await? >= i64::try_from(jobs)?)
    })
    .await?;
    let after = cpu(bench, &millrace)?;
    let documents = database.count("select count(*) from documents").await?;
    ensure!(
        documents == i64::try_from(jobs)?,
        "{documents} documents for {jobs} jobs"
    );
    let first = database
        .time("select min(created_at) from research_jobs")
        .await?;
    let last = database
        .time("select max(notified_at) from research_jobs")
        .await?;
    let mut used = [0.0; 4];
    for (used, (before, after)) in used.iter_mut().zip(before.into_iter().zip(after)) {
        *used = (after - before) * 1000.0 / jobs as f64;
    }
    let round = Round {
        per_second: jobs as f64 / (last - first).as_seconds_f64(),
        cpu: used,
        costs: database.costs().await?,
    };
    millrace.stop().await?;
    // Documents of thousands of jobs are in nobody's way but the disk's.
    let _ = std::fs::remove_dir_all(bench.options.folder.join("documents"));
    Ok(round)
}

/// Asks for research about so many companies, as a client does.
async fn request(bench: &Bench, millrace: &Millrace, jobs: usize) -> anyhow::Result<()> {
    let requests = (0..jobs).map(|number| {
        let body = format!(
            r#"{{"companyId":"company-{number}","company":{{"name":"Acme Robotics {number}","domain":"acme-{number}.example"}},"enriched_data":{{"employees":120}}}}"#
        );
        let key = format!("bench-{number}");
        post_json("/generate", &[("x-api-key", API_KEY), ("idempotency-key", &key)], &body)
    });
    let load = Load {
        address: millrace.gateway_address,
        requests: Requests::Whole(requests.collect()),
        connections: bench.scale.connections,
        pace: Pace::Saturating,
        warm_up: Duration::ZERO,
        window: PATIENCE,
    };
    let answers = load.run().await?;
    ensure!(
        answers.accepted == jobs as u64 && answers.refused.is_empty(),
        "{} of {jobs} requests were taken; other answers: {:?}",
        answers.accepted,
        answers.refused
    );
    Ok(())
}

fn cpu(bench: &Bench, millrace: &Millrace) -> anyhow::Result<[f64; 4]> {
    let worker = millrace.workers.first();
    Ok([
        cpu_seconds(bench.options.broker_process)?,
        cpu_seconds(bench.options.database_process)?,
        worker.map_or(Ok(0.0), |worker| cpu_seconds(worker.id()))?,
        cpu_seconds(millrace.gateway.id())?,
    ])
}
