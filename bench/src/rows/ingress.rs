//! Row 1: signed webhooks a second, each confirmed into a quorum queue before it is answered.

use super::{Findings, heading};
use crate::contenders::{Contender, Server, fastest};
use crate::load::Pace;
use crate::measure::{median, ratios};
use crate::report::{Figure, RATIO, Row};
use crate::rig::Bench;

/// Bodies of OpenAI's webhooks, in bytes: as small as they come, and with what fields may be added.
pub(super) const BODY_SIZES: [usize; 2] = [110, 1500];

/// What row 2 goes on with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Saturation {
    /// The ceiling in its fastest form.
    pub(super) ceiling: Contender,
    /// The gateway's rate with the smallest body.
    pub(super) gateway_per_second: f64,
}

/// Measures the gateway, the ceiling and the peers in turns.
pub(super) async fn measure(bench: &Bench, findings: &mut Findings) -> anyhow::Result<Saturation> {
    heading("Row 1: webhooks a second");
    let channels = [4, 1, 2, 8].map(|channels| Contender::Bare { channels });
    let node = [1, 2].map(|processes| Contender::Fastify { processes });
    let python = [2, 1].map(|processes| Contender::FastApi { processes });
    let forms = [
        Contender::Gateway { traces: false },
        fastest(bench, &channels).await?,
        fastest(bench, &node).await?,
        fastest(bench, &python).await?,
    ];
    let mut rates = [const { Vec::new() }; 4].map(|rates: Vec<f64>| [rates.clone(), rates]);
    let mut costs: [Vec<[f64; 3]>; 4] = Default::default();
    for round in 0..bench.scale.rounds {
        for turn in 0..forms.len() {
            // Whoever begins a round finds another machine than who ends it: the order moves on.
            let contender = (round + turn) % forms.len();
            let mut server = Server::start(bench, forms[contender]).await?;
            for (size, rates) in BODY_SIZES.iter().zip(&mut rates[contender]) {
                let measured = server.measure(bench, *size, Pace::Saturating, bench.scale.window);
                let measured = measured.await?;
                let per_second = measured.answers.per_second;
                let name = forms[contender].name();
                let [own, broker, load] = measured.cpu;
                bench.say(&format!(
                    "{name}, {size} B: {per_second:.0} requests/s; CPU of a request: \
                     server {own:.0} µs, broker {broker:.0} µs, load program {load:.0} µs"
                ));
                rates.push(per_second);
                if *size == BODY_SIZES[0] {
                    costs[contender].push(measured.cpu);
                }
            }
            server.stop().await?;
        }
    }
    for (form, rates) in forms.iter().zip(&rates) {
        for (size, rates) in BODY_SIZES.iter().zip(rates) {
            let what = format!("{}, {size} B", form.name());
            let figure = Figure::new(1, &what, "requests/s", rates);
            findings.figures.push(figure);
        }
    }
    for (form, costs) in forms.iter().zip(&costs) {
        for (place, whose) in ["server", "broker", "load program"].iter().enumerate() {
            let what = format!("{}, 110 B: CPU of a request, {whose}", form.name());
            let rounds: Vec<f64> = costs.iter().map(|cost| cost[place]).collect();
            findings.figures.push(Figure::new(1, &what, "µs", &rounds));
        }
    }
    let [gateway, ceiling, fastify, fastapi] = &rates;
    for (what, theirs, limit) in [
        ("webhooks a second, to the ceiling", ceiling, 0.9),
        ("webhooks a second, to Fastify", fastify, 1.8),
        ("webhooks a second, to FastAPI", fastapi, 5.0),
    ] {
        let value = lower_of_both_bodies(gateway, theirs);
        findings
            .rows
            .push(Row::at_least(1, what, value, RATIO, limit));
    }
    Ok(Saturation {
        ceiling: forms[1],
        gateway_per_second: median(&gateway[0]),
    })
}

/// The median ratio of the rounds, with the body for which it is lower.
fn lower_of_both_bodies(ours: &[Vec<f64>; 2], theirs: &[Vec<f64>; 2]) -> f64 {
    let of_each_body = ours.iter().zip(theirs);
    of_each_body
        .map(|(ours, theirs)| median(&ratios(ours, theirs)))
        .fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::lower_of_both_bodies;

    #[test]
    fn the_body_for_which_we_are_worse_decides() {
        let ours = [vec![90.0, 80.0, 100.0], vec![60.0, 70.0, 65.0]];
        let theirs = [vec![100.0; 3], vec![100.0; 3]];
        assert_eq!(lower_of_both_bodies(&ours, &theirs), 0.65);
    }
}
