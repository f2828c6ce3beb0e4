//! Row 8: memory at rest and under load, time from the start to ready, size of the programs.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};

use super::ingress::BODY_SIZES;
use super::{Findings, heading};
use crate::contenders::{Contender, Server};
use crate::load::Pace;
use crate::measure::median;
use crate::report::{Figure, Row};
use crate::rig::Bench;
use crate::rig::database::Kind;
use crate::rig::millrace::{Millrace, environment, program, until_answers};
use crate::rig::process::free_port;
use crate::rig::usage::{peak_mib, resident_mib};

/// How long a gateway waits for its broker before that comes, so that it waits at its longest.
const BROKER_AWAY: Duration = Duration::from_secs(3);

/// Measures all rounds.
pub(super) async fn measure(bench: &Bench, findings: &mut Findings) -> anyhow::Result<()> {
    heading("Row 8: memory, start, size");
    let mut figures: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    for _ in 0..bench.scale.rounds {
        let mut server = Server::start(bench, Contender::Gateway { traces: false }).await?;
        let id = server.process.id();
        figures
            .entry("memory of the gateway at rest, MiB")
            .or_default()
            .push(resident_mib(id)?);
        for size in BODY_SIZES {
            let window = bench.scale.window;
            server
                .measure(bench, size, Pace::Saturating, window)
                .await?;
        }
        figures
            .entry("most memory of the gateway under load, MiB")
            .or_default()
            .push(peak_mib(id)?);
        server.stop().await?;

        let mut millrace = Millrace::start(bench, "footprint", Kind::Postgres, &[]).await?;
        let began = Instant::now();
        millrace.start_worker(bench).await?;
        let started = began.elapsed().as_secs_f64();
        figures
            .entry("worker, start to reading its queues, s")
            .or_default()
            .push(started);
        let worker = resident_mib(millrace.workers[0].id())?;
        figures
            .entry("memory of the worker at rest, MiB")
            .or_default()
            .push(worker);
        millrace.stop().await?;

        let (started, after_broker) = start_times(bench).await?;
        figures
            .entry("gateway, start to ready, s")
            .or_default()
            .push(started);
        figures
            .entry("gateway, ready after its broker, s")
            .or_default()
            .push(after_broker);
    }
    for (what, rounds) in &figures {
        let (what, unit) = what.rsplit_once(", ").unwrap_or((what, ""));
        let unit = if unit == "s" { "s" } else { "MiB" };
        findings.figures.push(Figure::new(8, what, unit, rounds));
    }
    for name in ["millrace-gateway", "millrace-worker"] {
        let size = std::fs::metadata(bench.options.programs.join(name))?.len();
        let what = format!("size of {name}");
        let figure = Figure::new(8, &what, "MiB", &[size as f64 / 1024.0 / 1024.0]);
        findings.figures.push(figure);
    }
    let of = |what: &str| figures.get(what).map_or(f64::NAN, |rounds| median(rounds));
    let memory = of("most memory of the gateway under load, MiB");
    findings.rows.push(Row::at_most(
        8,
        "most memory of the gateway under load",
        memory,
        "MiB",
        30.0,
    ));
    let ready = of("gateway, ready after its broker, s");
    findings.rows.push(Row::at_most(
        8,
        "gateway ready after its broker",
        ready,
        "s",
        1.0,
    ));
    Ok(())
}

/// From the gateway's start to ready with the broker there; and from the moment at which a broker
/// comes that was away until then.
async fn start_times(bench: &Bench) -> anyhow::Result<(f64, f64)> {
    let host = bench.broker.virtual_host("start").await?;
    let database = [("DATABASE_URL", "sqlite://start.db?mode=rwc")];
    let start = async |amqp_url: &str| {
        let port = free_port()?;
        let mut environment = environment(bench, amqp_url, &database);
        environment.insert("PORT".to_owned(), port.to_string());
        let gateway = program(bench, "millrace-gateway", &[], "start-gateway", environment);
        anyhow::Ok((gateway.start()?, port))
    };
    let began = Instant::now();
    let (mut gateway, port) = start(&host.url).await?;
    until_answers(bench, &mut gateway, port, "/health/ready").await?;
    let started = began.elapsed().as_secs_f64();
    gateway.stop().await?;

    // A port at which nobody listens yet, then the way to the broker.
    let door = free_port()?;
    let (mut gateway, port) = start(&bench.broker.url(door, "start")).await?;
    until_answers(bench, &mut gateway, port, "/health").await?;
    tokio::time::sleep(BROKER_AWAY).await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, door)).await?;
    let opened = Instant::now();
    let broker = SocketAddr::from((Ipv4Addr::LOCALHOST, bench.options.amqp_port));
    let forwarding = tokio::spawn(forward(listener, broker));
    until_answers(bench, &mut gateway, port, "/health/ready").await?;
    let after_broker = opened.elapsed().as_secs_f64();
    gateway.stop().await?;
    forwarding.abort();
    bench.say(&format!(
        "gateway ready after {started:.2} s, {after_broker:.2} s after its broker"
    ));
    host.close().await?;
    Ok((started, after_broker))
}

/// Passes every connection on to the broker.
async fn forward(listener: TcpListener, broker: SocketAddr) {
    while let Ok((mut client, _)) = listener.accept().await {
        tokio::spawn(async move {
            if let Ok(mut server) = TcpStream::connect(broker).await {
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}
