//! The rows of the table of targets, each measured over several rounds.

mod chat;
mod flush_lag;
mod footprint;
mod growth;
mod guard;
mod ingress;
mod latency;
mod open_batches;
mod research;
mod telemetry;
mod workers;

use anyhow::Context as _;

pub(crate) use self::growth::growth;
pub(crate) use self::guard::guard;
use crate::report::{Figure, Row};
use crate::rig::Bench;

/// What rows have found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) rows: Vec<Row>,
    pub(crate) figures: Vec<Figure>,
}

/// Measures the rows that were asked for.
pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    let wants = |row| bench.options.wants(row);
    if wants(1) || wants(2) {
        let saturation = ingress::measure(bench, &mut findings)
            .await
            .context("row 1")?;
        if wants(2) {
            let measured = latency::measure(bench, saturation, &mut findings).await;
            measured.context("row 2")?;
        }
    }
    if wants(3) || wants(4) {
        workers::measure(bench, &mut findings)
            .await
            .context("rows 3 and 4")?;
    }
    if wants(5) {
        flush_lag::measure(bench, &mut findings)
            .await
            .context("row 5")?;
    }
    if wants(6) {
        open_batches::measure(bench, &mut findings)
            .await
            .context("row 6")?;
    }
    if wants(7) {
        research::measure(bench, &mut findings)
            .await
            .context("row 7")?;
    }
    if wants(8) {
        footprint::measure(bench, &mut findings)
            .await
            .context("row 8")?;
    }
    if wants(9) {
        telemetry::measure(bench, &mut findings)
            .await
            .context("row 9")?;
    }
    findings.rows.retain(|row| wants(row.row));
    Ok(findings)
}

fn heading(text: &str) {
    println!("==> {text}");
}
