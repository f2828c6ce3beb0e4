//! The load program: HTTP/1.1 over connections that stay open, from one thread.
//!
//! It shares the machine with the server that it measures, so it does as little as it can: requests
//! are made and signed before the clock runs, one thread serves all connections, and of an answer
//! only its status and length are read.

mod connection;
mod pacer;
mod requests;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::sync::Semaphore;
use tokio::task::LocalSet;

use self::connection::Connection;
use self::pacer::Pacer;
pub use self::requests::{Requests, SignedWebhooks, openai_event, post_json};

/// How requests follow each other.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// Closed loop: each connection sends its next request when the last one is answered.
    Saturating,
    /// Open loop: so many a second, whatever the answers do. Latency counts from the time at which
    /// a request was due, so that a server which stalls can't slow the clock down.
    PerSecond(f64),
}

/// A load to put on a server.
#[derive(Debug, Clone)]
pub struct Load {
    /// The server.
    pub address: SocketAddr,
    /// What is sent.
    pub requests: Requests,
    /// How many connections are open.
    pub connections: usize,
    /// How they follow each other.
    pub pace: Pace,
    /// How long the load runs before answers count.
    pub warm_up: Duration,
    /// How long answers count. With less requests than fit, the load ends early.
    pub window: Duration,
}

/// What became of a load.
#[derive(Debug, Default)]
pub struct Answers {
    /// How many were 2xx, those before the window included.
    pub accepted: u64,
    /// How many had another status.
    pub refused: BTreeMap<u16, u64>,
    /// How many 2xx a second there were within the window.
    pub per_second: f64,
    /// Latencies of the 2xx within the window, in milliseconds, in no order.
    pub latencies: Vec<f64>,
}

impl Load {
    /// Runs the load on a thread of its own.
    ///
    /// # Errors
    /// When a connection breaks, an answer can't be read, or no request was answered in the window.
    pub async fn run(self) -> anyhow::Result<Answers> {
        tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            LocalSet::new().block_on(&runtime, self.drive())
        })
        .await?
    }

    async fn drive(self) -> anyhow::Result<Answers> {
        let mut connections = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            let connection = Connection::open(self.address).await;
            connections.push(connection.with_context(|| self.address.to_string())?);
        }
        let begin = Instant::now();
        let run = Rc::new(Run {
            requests: self.requests,
            next: Cell::new(0),
            counted_from: begin + self.warm_up,
            end: begin + self.warm_up + self.window,
            due: RefCell::default(),
            are_due: Semaphore::new(0),
            answers: RefCell::default(),
        });
        let tasks: Vec<_> = connections
            .into_iter()
            .map(|connection| {
                let run = run.clone();
                tokio::task::spawn_local(async move {
                    match self.pace {
                        Pace::Saturating => run.saturate(connection).await,
                        Pace::PerSecond(_) => run.answer_when_due(connection).await,
                    }
                })
            })
            .collect();
        if let Pace::PerSecond(rate) = self.pace {
            run.schedule(rate, self.connections).await?;
        }
        for task in tasks {
            task.await??;
        }
        let window = Instant::now().min(run.end) - run.counted_from;
        let mut answers = run.answers.take();
        ensure!(
            !answers.latencies.is_empty(),
            "no request was answered with 2xx in the window; other answers: {:?}",
            answers.refused
        );
        answers.per_second = answers.latencies.len() as f64 / window.as_secs_f64();
        Ok(answers)
    }
}

/// What the connections of one load share.
struct Run {
    requests: Requests,
    next: Cell<usize>,
    counted_from: Instant,
    end: Instant,
    due: RefCell<VecDeque<Instant>>,
    /// One permit for each time in `due`, and at the end one for each connection.
    are_due: Semaphore,
    answers: RefCell<Answers>,
}

impl Run {
    async fn saturate(&self, mut connection: Connection) -> anyhow::Result<()> {
        let mut began = Instant::now();
        while began < self.end
            && let Some(number) = self.take()
        {
            let status = connection.exchange(&self.requests, number).await?;
            let now = Instant::now();
            self.record(status, began, now);
            began = now;
        }
        Ok(())
    }

    async fn answer_when_due(&self, mut connection: Connection) -> anyhow::Result<()> {
        loop {
            self.are_due.acquire().await?.forget();
            let due = self.due.borrow_mut().pop_front();
            let (Some(due), Some(number)) = (due, self.take()) else {
                return Ok(());
            };
            let status = connection.exchange(&self.requests, number).await?;
            self.record(status, due, due);
        }
    }

    /// Makes requests due, evenly, until the end.
    async fn schedule(&self, rate: f64, connections: usize) -> anyhow::Result<()> {
        let mut pacer = Pacer::start(Duration::from_secs_f64(1.0 / rate))?;
        let mut scheduled = 0;
        while scheduled < self.requests.count() {
            let due = pacer.due().await?;
            if due.last().is_some_and(|due| *due > self.end) {
                break;
            }
            scheduled += due.len();
            self.are_due.add_permits(due.len());
            self.due.borrow_mut().extend(due);
        }
        // Nothing is due any more: whoever asks now ends.
        self.are_due.add_permits(connections);
        Ok(())
    }

    fn take(&self) -> Option<usize> {
        let number = self.next.get();
        self.next.set(number + 1);
        (number < self.requests.count()).then_some(number)
    }

    /// `at` says whether the answer lies in the window: of a saturated server its end, so that no
    /// more count than fit; of an open loop the time it was due, so that the slowest are not cut off.
    fn record(&self, status: u16, began: Instant, at: Instant) {
        let now = Instant::now();
        let mut answers = self.answers.borrow_mut();
        if !(200..300).contains(&status) {
            *answers.refused.entry(status).or_default() += 1;
            return;
        }
        answers.accepted += 1;
        if at >= self.counted_from && at <= self.end {
            let latency = now.saturating_duration_since(began);
            answers.latencies.push(latency.as_secs_f64() * 1000.0);
        }
    }
}
