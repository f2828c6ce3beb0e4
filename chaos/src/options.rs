//! The command line. `./dev chaos` fills in what names a part of its private servers.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Makes everything go wrong while events come in, and counts what is lost or done twice.
#[derive(Debug, Parser)]
#[command(name = "./dev chaos")]
pub struct Options {
    /// Decides every event and every fault; printed with the result.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How long events and faults go on.
    #[arg(long, default_value_t = 2.0)]
    pub minutes: f64,
    /// How many events come in.
    #[arg(long, default_value_t = 300)]
    pub events: u32,
    /// How many faults strike; twenty a minute unless set.
    #[arg(long)]
    pub faults: Option<u32>,
    /// Two workers on PostgreSQL, or one on SQLite.
    #[arg(long, value_enum, default_value_t = Database::Postgres)]
    pub database: Database,
    /// Three RabbitMQ nodes in place of one; any of them is killed and comes back.
    #[arg(long)]
    pub cluster: bool,
    /// In place of a schedule of faults: each program dies once at each of its named points.
    #[arg(long)]
    pub crash_points: bool,
    /// With --crash-points: at the first, second, ... passage of each point, up to this one.
    #[arg(long, default_value_t = 1)]
    pub times: u32,
    /// How long to wait for quiet at the end, in seconds.
    #[arg(long, default_value_t = 600)]
    pub settle: u64,
    /// A run that misses a target for the time to recover fails too.
    #[arg(long)]
    pub strict_times: bool,
    /// Does damage behind Millrace's back halfway through; the run passes if the account reports it.
    #[arg(long)]
    pub sabotage: bool,

    /// Where this run keeps its state.
    #[arg(long, hide = true)]
    pub folder: PathBuf,
    /// Where millrace-gateway and millrace-worker are.
    #[arg(long, hide = true)]
    pub programs: PathBuf,
    /// Becomes a RabbitMQ node of this run; given once for each node, as are the three below.
    #[arg(long, hide = true, required = true)]
    pub broker_program: Vec<PathBuf>,
    /// The node's own folder.
    #[arg(long, hide = true, required = true)]
    pub broker_folder: Vec<PathBuf>,
    /// Where the node listens for AMQP.
    #[arg(long, hide = true, required = true)]
    pub amqp_port: Vec<u16>,
    /// Where the node listens for its management API.
    #[arg(long, hide = true, required = true)]
    pub management_port: Vec<u16>,
    /// `scripts/rabbitmq-node`, for rabbitmqctl.
    #[arg(long, hide = true)]
    pub broker_control: PathBuf,
    /// The password by which the nodes are known to be those of this run.
    #[arg(long, hide = true)]
    pub broker_password: String,
    /// Stops (`stop`) and starts (`start`) the PostgreSQL server of this run.
    #[arg(long, hide = true)]
    pub database_program: Option<PathBuf>,
    /// Where PostgreSQL listens.
    #[arg(long, hide = true)]
    pub database_port: Option<u16>,
}

/// The database of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Database {
    /// A PostgreSQL server of its own.
    Postgres,
    /// A file.
    Sqlite,
}
