//! `./dev bench guard`, a part of `./dev test`: has a rate collapsed?
//!
//! No stopwatch: it runs debug builds, on a machine that has other things to do. What is compared is
//! measured in the same round, and a floor is about a quarter of what debug builds reached when it was
//! set (docs/performance.md). Whoever reaches it once has not collapsed; who does not is measured again.

use super::{chat, heading, workers};
use crate::contenders::{Contender, Server};
use crate::load::Pace;
use crate::rig::Bench;
use crate::rig::database::Kind;

/// How often everything is measured at most.
const ROUNDS: usize = 4;

/// Something that is compared with the ceiling of its kind, and the least that it should be of it.
struct Check {
    what: &'static str,
    floor: f64,
    best: f64,
}

impl Check {
    fn new(what: &'static str, floor: f64) -> Self {
        let best = 0.0;
        Self { what, floor, best }
    }

    fn holds(&self) -> bool {
        self.best >= self.floor
    }

    fn measured(&mut self, bench: &Bench, ratio: f64) {
        self.best = self.best.max(ratio);
        let Self { what, floor, .. } = self;
        bench.say(&format!(
            "{what}: {ratio:.3}, and should be at least {floor}"
        ));
    }
}

/// Whether each rate has reached its floor.
pub(crate) async fn guard(bench: &Bench) -> anyhow::Result<bool> {
    let mut ingress = Check::new("webhooks a second, to the bare server", 0.06);
    let mut chats = [Kind::Postgres, Kind::Sqlite].map(|kind| {
        let what = match kind {
            Kind::Postgres => "chat messages a second on PostgreSQL, to the bare consumer",
            Kind::Sqlite => "chat messages a second on SQLite, to the bare consumer",
        };
        (kind, Check::new(what, 0.015))
    });
    for round in 1..=ROUNDS {
        heading(&format!("Round {round} of at most {ROUNDS}"));
        if !ingress.holds() {
            let ours = webhooks(bench, Contender::Gateway { traces: true }).await?;
            let bare = webhooks(bench, Contender::Bare { channels: 4 }).await?;
            ingress.measured(bench, ours / bare);
        }
        if chats.iter().any(|(_, check)| !check.holds()) {
            let bare = workers::bare_round(bench).await?;
            for (kind, check) in &mut chats {
                if check.holds() {
                    continue;
                }
                let setup = chat::Setup {
                    kind: *kind,
                    workers: 1,
                    older_messages: 0,
                };
                let ours = chat::round(bench, setup).await?.per_second;
                check.measured(bench, ours / bare);
            }
        }
        if ingress.holds() && chats.iter().all(|(_, check)| check.holds()) {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn webhooks(bench: &Bench, contender: Contender) -> anyhow::Result<f64> {
    let mut server = Server::start(bench, contender).await?;
    let measured = server.measure(bench, 110, Pace::Saturating, bench.scale.window);
    let per_second = measured.await?.answers.per_second;
    bench.say(&format!("{}: {per_second:.0} requests/s", contender.name()));
    server.stop().await?;
    Ok(per_second)
}
