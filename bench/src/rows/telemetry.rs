//! Row 9: what it costs the gateway to send traces to a collector on the same machine.

use anyhow::ensure;

use super::{Findings, heading};
use crate::contenders::{Contender, Server};
use crate::load::Pace;
use crate::measure::{median, ratios};
use crate::report::{Figure, Row};
use crate::rig::Bench;

/// Measures the gateway with and without traces in turns.
pub(super) async fn measure(bench: &Bench, findings: &mut Findings) -> anyhow::Result<()> {
    heading("Row 9: traces on and off");
    let mut rates = [Vec::new(), Vec::new()];
    let mut costs = [Vec::new(), Vec::new()];
    for round in 0..bench.scale.rounds {
        for turn in 0..2 {
            let traces = (round + turn) % 2 == 1;
            let before = bench.providers.trace_exports();
            let mut server = Server::start(bench, Contender::Gateway { traces }).await?;
            let measured = server.measure(bench, 110, Pace::Saturating, bench.scale.window);
            let measured = measured.await?;
            let per_second = measured.answers.per_second;
            let name = server.contender.name();
            let [own, ..] = measured.cpu;
            bench.say(&format!(
                "{name}: {per_second:.0} requests/s; CPU of a request: server {own:.1} µs"
            ));
            // What is still in hand is sent at the end.
            server.stop().await?;
            let exported = bench.providers.trace_exports() > before;
            ensure!(
                exported == traces,
                "traces were sent: {exported}, and should be: {traces}"
            );
            rates[usize::from(traces)].push(per_second);
            costs[usize::from(traces)].push(own);
        }
    }
    let [off, on] = &rates;
    for (what, rates) in [("traces off", off), ("traces on", on)] {
        findings
            .figures
            .push(Figure::new(9, what, "requests/s", rates));
    }
    for (what, costs) in ["traces off", "traces on"].iter().zip(&costs) {
        let what = format!("{what}: CPU of a request, server");
        findings.figures.push(Figure::new(9, &what, "µs", costs));
    }
    let loss = (1.0 - median(&ratios(on, off))) * 100.0;
    let what = "loss of webhooks a second with traces on";
    findings.rows.push(Row::at_most(9, what, loss, "%", 5.0));
    Ok(())
}
