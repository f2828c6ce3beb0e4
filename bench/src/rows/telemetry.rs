//! Row 9: what it costs the gateway to send traces to a collector on the same machine.

use anyhow::ensure;

use super::{Findings, heading};
use crate::contenders::{Contender, Measured, Server};
use crate::load::Pace;
use crate::measure::{median, ratios};
use crate::report::{Figure, Row};
use crate::rig::Bench;

/// How often the two take turns in a round. A machine's speed drifts within one: more and shorter turns than those
/// of other rows, since what is looked for is smaller.
const TURNS: usize = 6;

/// Measures the gateway with and without traces in turns. Both run all the time; one of them has the load.
pub(super) async fn measure(bench: &Bench, findings: &mut Findings) -> anyhow::Result<()> {
    heading("Row 9: traces on and off");
    let mut rates = [Vec::new(), Vec::new()];
    let mut costs = [Vec::new(), Vec::new()];
    for _ in 0..bench.scale.rounds {
        let before = bench.providers.trace_exports();
        let mut off = Server::start(bench, Contender::Gateway { traces: false }).await?;
        let mut on = Server::start(bench, Contender::Gateway { traces: true }).await?;
        let mut turns_of_both = [Vec::new(), Vec::new()];
        for turn in 0..TURNS {
            // Off, on, on, off: neither is always the first.
            let traces = [false, true, true, false][turn % 4];
            let server = if traces { &mut on } else { &mut off };
            let window = bench.scale.window / TURNS as u32 * 2;
            let measured = server.measure(bench, 110, Pace::Saturating, window);
            turns_of_both[usize::from(traces)].push(measured.await?);
        }
        off.stop().await?;
        // What is still in hand is sent at the end.
        on.stop().await?;
        ensure!(
            bench.providers.trace_exports() > before,
            "no traces were sent"
        );
        for (traces, turns) in turns_of_both.iter().enumerate() {
            let mean = |value: &dyn Fn(&Measured) -> f64| {
                turns.iter().map(value).sum::<f64>() / turns.len() as f64
            };
            let per_second = mean(&|turn| turn.answers.per_second);
            let own = mean(&|turn| turn.cpu[0]);
            let name = Contender::Gateway {
                traces: traces == 1,
            }
            .name();
            bench.say(&format!(
                "{name}: {per_second:.0} requests/s; CPU of a request: server {own:.1} µs"
            ));
            rates[traces].push(per_second);
            costs[traces].push(own);
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
