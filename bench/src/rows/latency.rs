//! Row 2: the latency that one in a hundred exceeds, at half the rate at which the gateway saturates.
//! The ceiling gets the same rate.

use super::ingress::{BODY_SIZES, Saturation};
use super::{Findings, heading};
use crate::contenders::{Contender, Server};
use crate::load::Pace;
use crate::measure::{median, percentile, ratios};
use crate::report::{Figure, RATIO, Row};
use crate::rig::Bench;

/// Measures the gateway and the ceiling in turns.
pub(super) async fn measure(
    bench: &Bench,
    saturation: Saturation,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let rate = saturation.gateway_per_second / 2.0;
    heading(&format!("Row 2: latency at {rate:.0} requests/s"));
    let forms = [Contender::Gateway { traces: false }, saturation.ceiling];
    let mut worst: f64 = 0.0;
    for size in BODY_SIZES {
        let mut latencies = [Vec::new(), Vec::new()];
        for round in 0..bench.scale.rounds {
            for turn in 0..forms.len() {
                let contender = (round + turn) % forms.len();
                let mut server = Server::start(bench, forms[contender]).await?;
                let pace = Pace::PerSecond(rate);
                let measured = server.measure(bench, size, pace, bench.scale.window).await;
                let p99 = percentile(&mut measured?.answers.latencies, 0.99);
                let name = forms[contender].name();
                bench.say(&format!("{name}, {size} B: p99 {p99:.2} ms"));
                latencies[contender].push(p99);
                server.stop().await?;
            }
        }
        for (form, latencies) in forms.iter().zip(&latencies) {
            let what = format!("{}, {size} B, p99 at {rate:.0} requests/s", form.name());
            findings
                .figures
                .push(Figure::new(2, &what, "ms", latencies));
        }
        worst = worst.max(median(&ratios(&latencies[0], &latencies[1])));
    }
    let what = "p99 at half the gateway's saturation, to the ceiling's";
    findings.rows.push(Row::at_most(2, what, worst, RATIO, 1.5));
    Ok(())
}
