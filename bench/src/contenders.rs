//! The servers that take webhooks: Millrace's gateway, the ceiling, and the peers.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use chrono::Utc;

use crate::load::{Answers, Load, Pace, Requests, SignedWebhooks, openai_event};
use crate::rig::Bench;
use crate::rig::broker::VirtualHost;
use crate::rig::millrace::{environment, start_gateway, until_answers};
use crate::rig::process::{Process, Program, free_port};
use crate::rig::usage::{cpu_seconds, own_cpu_seconds};
use crate::signing::SIGNING_SECRET;

/// More requests a second than any of them answers here: so many are signed before the clock runs.
const MOST_PER_SECOND: f64 = 40_000.0;

/// The queue of the contenders that are not Millrace.
const QUEUE: &str = "ingress";

/// A server that takes webhooks, and in which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contender {
    /// The gateway; with traces sent to a collector, or not.
    Gateway { traces: bool },
    /// axum and lapin, nothing else, with so many channels.
    Bare { channels: usize },
    /// Fastify and amqplib, with so many processes.
    Fastify { processes: usize },
    /// FastAPI and aio-pika, with so many processes.
    FastApi { processes: usize },
}

impl Contender {
    /// Its name in the results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gateway { traces: false } => "Millrace gateway",
            Self::Gateway { traces: true } => "Millrace gateway, traces on",
            Self::Bare { .. } => "bare server (ceiling)",
            Self::Fastify { .. } => "Fastify",
            Self::FastApi { .. } => "FastAPI",
        }
    }

    /// Also the name of its virtual host.
    fn label(self) -> &'static str {
        match self {
            Self::Gateway { traces: false } => "gateway",
            Self::Gateway { traces: true } => "gateway-traces",
            Self::Bare { .. } => "bare",
            Self::Fastify { .. } => "fastify",
            Self::FastApi { .. } => "fastapi",
        }
    }
}

/// What a load was answered with, and what that took.
pub(crate) struct Measured {
    pub(crate) answers: Answers,
    /// CPU time of each request, in microseconds: the server's, the broker's, the load program's.
    pub(crate) cpu: [f64; 3],
}

/// A running contender with an empty queue.
pub(crate) struct Server {
    pub(crate) contender: Contender,
    pub(crate) process: Process,
    address: SocketAddr,
    host: VirtualHost,
    queue: &'static str,
    /// Messages that are in the queue before a load.
    filled: usize,
}

impl Server {
    /// Starts a contender and waits until it is ready.
    pub(crate) async fn start(bench: &Bench, contender: Contender) -> anyhow::Result<Self> {
        let host = bench.broker.virtual_host(contender.label()).await?;
        if let Contender::Gateway { traces } = contender {
            let collector = bench.providers.url();
            // It opens the database for questions only; ingress never does.
            let mut settings = vec![("DATABASE_URL", "sqlite://ingress.db?mode=rwc")];
            if traces {
                settings.push(("OTEL_EXPORTER_OTLP_ENDPOINT", collector.as_str()));
            }
            let environment = environment(bench, &host.url, &settings);
            let (process, address) = start_gateway(bench, contender.label(), &environment).await?;
            return Ok(Self {
                contender,
                process,
                address,
                host,
                queue: "research.completion",
                filled: 0,
            });
        }
        let port = free_port()?;
        let mut process = peer(bench, contender, port, &host.url).start()?;
        until_answers(bench, &mut process, port, "/health/ready").await?;
        Ok(Self {
            contender,
            process,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            host,
            queue: QUEUE,
            filled: 0,
        })
    }

    /// Puts so many messages into its queue, which are there during the next load.
    pub(crate) async fn fill(&mut self, count: usize) -> anyhow::Result<()> {
        let messages = (0..count).map(|_| (self.queue.to_owned(), vec![b'x'; 110]));
        self.host.publish("", messages).await?;
        self.filled = count;
        Ok(())
    }

    /// Puts a load on it, and checks that each message that was answered 2xx is in the queue, once.
    /// Leaves the queue empty.
    ///
    /// # Errors
    /// Also when anything was answered otherwise.
    pub(crate) async fn measure(
        &mut self,
        bench: &Bench,
        body_size: usize,
        pace: Pace,
        window: Duration,
    ) -> anyhow::Result<Measured> {
        let most = match pace {
            Pace::Saturating => MOST_PER_SECOND,
            Pace::PerSecond(rate) => rate,
        };
        let warm_up = bench.scale.warm_up;
        let count = (most * (warm_up + window).as_secs_f64()) as usize;
        let series = uuid::Uuid::new_v4().as_fields().0 % 100_000_000;
        let body = openai_event(body_size);
        let webhooks = tokio::task::spawn_blocking(move || {
            SignedWebhooks::sign(&body, count, series, Utc::now().timestamp())
        });
        let load = Load {
            address: self.address,
            requests: Requests::Signed(webhooks.await?),
            connections: bench.scale.connections,
            pace,
            warm_up,
            window,
        };
        let before = self.cpu(bench)?;
        let answers = load.run().await?;
        let after = self.cpu(bench)?;
        let name = self.contender.name();
        ensure!(
            answers.refused.is_empty(),
            "{name} answered {:?}",
            answers.refused
        );
        let queued = self.host.purge(self.queue).await?;
        let queued = queued - std::mem::take(&mut self.filled) as u64;
        ensure!(
            queued == answers.accepted,
            "{name} answered {} webhooks with 2xx, but {queued} are in the queue",
            answers.accepted
        );
        let of_each = |place: usize| (after[place] - before[place]) * 1e6 / queued as f64;
        Ok(Measured {
            answers,
            cpu: [0, 1, 2].map(of_each),
        })
    }

    /// CPU seconds used so far by the server, the broker, and the load program, which is this one.
    fn cpu(&self, bench: &Bench) -> anyhow::Result<[f64; 3]> {
        Ok([
            cpu_seconds(self.process.id())?,
            cpu_seconds(bench.options.broker_process)?,
            own_cpu_seconds()?,
        ])
    }

    /// Stops it.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.process.stop().await?;
        self.host.close().await
    }
}

/// Starts each form, measures it for a short time, and returns the fastest.
pub(crate) async fn fastest(bench: &Bench, forms: &[Contender]) -> anyhow::Result<Contender> {
    let mut best = (forms[0], 0.0);
    // A guard needs no tuning.
    if bench.options.short {
        return Ok(best.0);
    }
    for form in forms {
        let mut server = Server::start(bench, *form).await?;
        let window = Duration::from_secs(2);
        let measured = server.measure(bench, 110, Pace::Saturating, window);
        let answers = measured.await?.answers;
        bench.say(&format!("{form:?}: {:.0} requests/s", answers.per_second));
        if answers.per_second > best.1 {
            best = (*form, answers.per_second);
        }
        server.stop().await?;
    }
    Ok(best.0)
}

/// How to start a contender that is not Millrace.
fn peer(bench: &Bench, contender: Contender, port: u16, amqp_url: &str) -> Program {
    let port = port.to_string();
    let peers = &bench.options.peers;
    let arguments = |text: &str| text.split(' ').map(str::to_owned).collect();
    let (path, arguments, folder, number): (PathBuf, Vec<String>, PathBuf, usize) = match contender
    {
        Contender::Gateway { .. } => unreachable!("the gateway is started otherwise"),
        Contender::Bare { channels } => (
            bench.options.programs.join("bench-bare-server"),
            Vec::new(),
            bench.options.folder.clone(),
            channels,
        ),
        Contender::Fastify { processes } => (
            "node".into(),
            arguments("server.mjs"),
            peers.join("fastify"),
            processes,
        ),
        Contender::FastApi { processes } => (
            peers.join("fastapi/venv/bin/uvicorn"),
            arguments(&format!(
                "server:app --host 127.0.0.1 --port {port} --workers {processes} --loop uvloop \
                 --http httptools --no-access-log --log-level warning"
            )),
            peers.join("fastapi"),
            processes,
        ),
    };
    let number = number.to_string();
    let environment: BTreeMap<String, String> = [
        ("AMQP_URL", amqp_url),
        ("CHANNELS", &number),
        ("NODE_ENV", "production"),
        ("PORT", &port),
        ("PROCESSES", &number),
        ("QUEUE", QUEUE),
        ("SIGNING_SECRET", SIGNING_SECRET),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    Program {
        path,
        arguments,
        environment,
        folder,
        log: bench.log(contender.label()),
    }
}
