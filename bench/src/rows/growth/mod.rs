//! `./dev bench growth`: what a message costs when queues are deep, tables long and workers many, and
//! how the databases look their rows up when the tables are at their longest.

mod plans;
mod seed;

use std::fs;

use serde::Serialize;

use self::plans::Plan;
pub(super) use self::seed::seed;
use super::chat::{self, Setup};
use super::heading;
use crate::contenders::{Contender, Server};
use crate::load::Pace;
use crate::report::{short, table};
use crate::rig::Bench;
use crate::rig::database::Kind;
use crate::rig::machine::Machine;

/// What a message costs when something has grown to a size.
#[derive(Debug, Serialize)]
struct Cost {
    what: &'static str,
    size: usize,
    per_second: f64,
    microseconds: f64,
}

/// `bench/results/growth.json`.
#[derive(Debug, Serialize)]
struct Growth {
    machine: Machine,
    costs: Vec<Cost>,
    plans: Vec<Plan>,
}

/// Measures all of it, prints it, and writes it to `bench/results/growth.json` and, in full, to
/// docs/performance.md.
pub(crate) async fn growth(bench: &Bench) -> anyhow::Result<()> {
    let mut growth = Growth {
        machine: Machine::look(bench).await?,
        costs: Vec::new(),
        plans: Vec::new(),
    };
    queue_depth(bench, &mut growth.costs).await?;
    table_rows(bench, &mut growth).await?;
    workers(bench, &mut growth.costs).await?;
    println!("\n{}\n{}", costs(&growth), plans::told(&growth.plans)?);
    let root = &bench.options.root;
    let results = bench.options.results();
    fs::create_dir_all(&results)?;
    let json = serde_json::to_string_pretty(&growth)?;
    fs::write(results.join("growth.json"), json + "\n")?;
    if bench.options.is_full() {
        let text = format!(
            "{}\n\n{}\n{}",
            growth.machine.told(),
            costs(&growth),
            plans::told(&growth.plans)?
        );
        crate::report::between_markers(&root.join("docs/performance.md"), "growth", &text)?;
    }
    Ok(())
}

/// Webhooks a second while so many messages are ready in the queue that they go to.
async fn queue_depth(bench: &Bench, costs: &mut Vec<Cost>) -> anyhow::Result<()> {
    heading("Growth: queue depth");
    let mut server = Server::start(bench, Contender::Gateway { traces: false }).await?;
    for depth in &bench.scale.depths {
        server.fill(*depth).await?;
        let window = bench.scale.window;
        let measured = server.measure(bench, 110, Pace::Saturating, window);
        let per_second = measured.await?.answers.per_second;
        let what = "webhooks, messages ready in their queue";
        tell(bench, costs, what, *depth, per_second);
    }
    server.stop().await
}

/// Chat messages a second with so many older messages in the tables.
async fn table_rows(bench: &Bench, growth: &mut Growth) -> anyhow::Result<()> {
    heading("Growth: rows in the tables");
    let kinds = [
        (
            Kind::Postgres,
            "chat messages on PostgreSQL, older messages in its tables",
        ),
        (
            Kind::Sqlite,
            "chat messages on SQLite, older messages in its tables",
        ),
    ];
    let mut statements = Vec::new();
    for (kind, what) in kinds {
        for rows in &bench.scale.table_rows {
            let round = chat::round(
                bench,
                Setup {
                    kind,
                    workers: 1,
                    older_messages: *rows,
                },
            )
            .await?;
            tell(bench, &mut growth.costs, what, *rows, round.per_second);
            if kind == Kind::Postgres {
                statements = round.costs.into_iter().map(|cost| cost.statement).collect();
            }
        }
        // The round's database is still there, at its longest.
        growth
            .plans
            .extend(plans::look(bench, kind, &statements).await?);
        bench.remove_database(kind, chat::DATABASE).await?;
    }
    Ok(())
}

/// Chat messages a second with so many workers on one machine and one PostgreSQL.
async fn workers(bench: &Bench, costs: &mut Vec<Cost>) -> anyhow::Result<()> {
    heading("Growth: workers");
    for workers in &bench.scale.workers {
        let setup = Setup {
            kind: Kind::Postgres,
            workers: *workers,
            older_messages: 0,
        };
        let round = chat::round(bench, setup).await?;
        let what = "chat messages on PostgreSQL, worker processes";
        tell(bench, costs, what, *workers, round.per_second);
    }
    Ok(())
}

fn tell(bench: &Bench, costs: &mut Vec<Cost>, what: &'static str, size: usize, per_second: f64) {
    bench.say(&format!("{what}: {size}: {per_second:.0}/s"));
    costs.push(Cost {
        what,
        size,
        per_second,
        microseconds: 1e6 / per_second,
    });
}

fn costs(growth: &Growth) -> String {
    let rows = growth.costs.iter().map(|cost| {
        vec![
            cost.what.to_owned(),
            cost.size.to_string(),
            short(cost.per_second),
            short(cost.microseconds),
        ]
    });
    table(
        &["what, against what", "size", "a second", "µs for one"],
        rows,
    )
}
