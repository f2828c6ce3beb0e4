//! The command line. `./dev bench` fills in what names a part of its private servers.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

/// Measures Millrace beside what else one could use, in one run.
#[derive(Debug, Clone, Parser)]
#[command(name = "./dev bench")]
pub struct Options {
    /// Another measurement than the table of targets.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Everything small, to try the bench: its figures are worth little.
    #[arg(long, global = true)]
    pub short: bool,
    /// Measure only this row (1 to 9); may be given several times.
    #[arg(long = "row", value_name = "N", value_parser = clap::value_parser!(u8).range(1..=9))]
    pub rows: Vec<u8>,
    /// How often everything is measured, contenders taking turns.
    #[arg(long)]
    pub rounds: Option<usize>,
    /// How long one measurement of a server counts.
    #[arg(long)]
    pub seconds: Option<u64>,

    /// What belongs to the run's private servers.
    #[command(flatten)]
    pub place: Place,
}

/// Another measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// The cost of a message against queue depth, rows in the tables and number of workers.
    Growth,
    /// Whether a rate has collapsed: debug builds, no peers, under a minute. A part of `./dev test`.
    Guard,
}

/// Where everything is.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// The project.
    #[arg(long, hide = true, global = true, default_value = ".")]
    pub root: PathBuf,
    /// Where this run keeps its state.
    #[arg(long, hide = true, global = true, default_value = ".dev/bench")]
    pub folder: PathBuf,
    /// Where Millrace's programs and the bench's own are.
    #[arg(long, hide = true, global = true, default_value = "target/release")]
    pub programs: PathBuf,
    /// Where the peers are installed.
    #[arg(long, hide = true, global = true, default_value = ".dev/bench/peers")]
    pub peers: PathBuf,
    /// Where RabbitMQ listens for AMQP.
    #[arg(long, hide = true, global = true, default_value_t = 5682)]
    pub amqp_port: u16,
    /// Where RabbitMQ listens for its management API.
    #[arg(long, hide = true, global = true, default_value_t = 15682)]
    pub management_port: u16,
    /// A trial of the bench with debug builds: its result stays in the folder, for nobody to publish.
    #[arg(long, hide = true, global = true)]
    pub trial: bool,
    /// RabbitMQ's process.
    #[arg(long, hide = true, global = true, default_value_t = 0)]
    pub broker_process: u32,
    /// Where PostgreSQL listens.
    #[arg(long, hide = true, global = true, default_value_t = 25432)]
    pub database_port: u16,
    /// PostgreSQL's first process.
    #[arg(long, hide = true, global = true, default_value_t = 0)]
    pub database_process: u32,
}

impl std::ops::Deref for Options {
    type Target = Place;

    fn deref(&self) -> &Place {
        &self.place
    }
}

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Scale {
    /// How often, contenders taking turns.
    pub rounds: usize,
    /// How long a load runs before it counts.
    pub warm_up: Duration,
    /// How long it counts.
    pub window: Duration,
    /// Connections of a load.
    pub connections: usize,
    /// Messages of one round of the chat pipeline.
    pub chat_messages: usize,
    /// Tasks of one round of Celery.
    pub celery_tasks: usize,
    /// Messages of one round of the bare consumer.
    pub bare_messages: usize,
    /// Batches that become due within two seconds.
    pub due_batches: Vec<usize>,
    /// Open batches.
    pub open_batches: Vec<usize>,
    /// Further messages for open batches.
    pub further_messages: usize,
    /// Research jobs of one round.
    pub jobs: usize,
    /// Messages ready in a queue (growth).
    pub depths: Vec<usize>,
    /// Messages in the tables (growth).
    pub table_rows: Vec<usize>,
    /// Worker processes (growth).
    pub workers: Vec<usize>,
}

impl Options {
    /// Whether this row is to be measured.
    #[must_use]
    pub fn wants(&self, row: u8) -> bool {
        self.rows.is_empty() || self.rows.contains(&row)
    }

    /// Whether the whole table is measured in full, so that the result is worth publishing.
    #[must_use]
    pub fn is_full(&self) -> bool {
        !self.short && !self.trial && self.rows.is_empty()
    }

    /// Where results go.
    #[must_use]
    pub fn results(&self) -> PathBuf {
        if self.trial {
            return self.folder.clone();
        }
        self.root.join("bench/results")
    }

    /// How much is measured.
    #[must_use]
    pub fn scale(&self) -> Scale {
        let small = self.short || self.command == Some(Command::Guard);
        let mut scale = if small { short() } else { full() };
        scale.rounds = self.rounds.unwrap_or(scale.rounds).max(1);
        if let Some(seconds) = self.seconds {
            scale.window = Duration::from_secs(seconds.max(1));
        }
        scale
    }
}

fn full() -> Scale {
    Scale {
        rounds: 3,
        warm_up: Duration::from_secs(2),
        window: Duration::from_secs(6),
        connections: 64,
        chat_messages: 60_000,
        celery_tasks: 20_000,
        bare_messages: 100_000,
        due_batches: vec![100, 10_000],
        open_batches: vec![1_000, 10_000, 100_000],
        further_messages: 2_000,
        jobs: 2_000,
        depths: vec![0, 100_000, 1_000_000],
        table_rows: vec![1_000, 100_000, 1_000_000, 10_000_000],
        workers: vec![1, 2, 4],
    }
}

fn short() -> Scale {
    Scale {
        rounds: 1,
        warm_up: Duration::from_millis(500),
        window: Duration::from_secs(2),
        connections: 64,
        chat_messages: 1_500,
        celery_tasks: 1_000,
        bare_messages: 10_000,
        due_batches: vec![100, 500],
        open_batches: vec![300, 3_000],
        further_messages: 300,
        jobs: 100,
        depths: vec![0, 5_000],
        table_rows: vec![300, 3_000],
        workers: vec![1, 2],
    }
}
