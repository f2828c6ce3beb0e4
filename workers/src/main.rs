//! `millrace-worker`: runs the workers, migrates the database, handles parked messages.

mod cli;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use config::Environment;
use mimalloc::MiMalloc;
use workers::{Config, parse_roles, start};

use crate::cli::api_key::{self, ApiKeyCommand};
use crate::cli::conservation::{ConservationArguments, conservation};
use crate::cli::contact::{self, ContactCommand};
use crate::cli::dead_letters::{self, DeadLettersCommand};
use crate::cli::{healthcheck, migrate, prune};

/// A quarter of a worker's time went into the system's allocator (docs/performance.md).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Millrace's workers. Configuration comes from the environment; .env.example lists the variables.
#[derive(Parser)]
#[command(name = "millrace-worker", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the workers until SIGTERM.
    Run {
        /// all, or some of research, completion, batching, reply, notification, sweeper.
        #[arg(long, default_value = "all", value_name = "LIST")]
        roles: String,
    },
    /// Bring the database's schema up to date.
    Migrate,
    /// Make, list and revoke the keys of clients and operators.
    ApiKey {
        #[command(subcommand)]
        command: ApiKeyCommand,
    },
    /// List, show, replay or purge parked messages.
    DeadLetters {
        #[command(subcommand)]
        command: DeadLettersCommand,
    },
    /// Remove what has been kept for its time (RETENTION_*_DAYS), once.
    Prune {
        /// Say how much would be removed, and remove nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Delete what is stored about a contact.
    Contact {
        #[command(subcommand)]
        command: ContactCommand,
    },
    /// Compare what was accepted with what became of it; exit status 0 means that nothing is missing.
    Conservation(ConservationArguments),
    /// Ask the worker on this machine whether it reads its queues; exit status 0 means yes.
    Healthcheck,
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run { roles } => run(&roles).await,
        Command::Migrate => migrate::migrate(Environment::load()).await,
        Command::ApiKey { command } => api_key::run(command, Environment::load()).await,
        Command::DeadLetters { command } => dead_letters::run(command, Environment::load()).await,
        Command::Prune { dry_run } => prune::prune(dry_run, Environment::load()).await,
        Command::Contact { command } => contact::run(command, Environment::load()).await,
        Command::Conservation(arguments) => conservation(&arguments, Environment::load()).await,
        Command::Healthcheck => healthcheck::healthcheck(Environment::load()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("millrace-worker: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(roles: &str) -> anyhow::Result<()> {
    let roles = parse_roles(roles)?;
    let environment = Environment::load();
    let settings = telemetry::Settings::read(&environment);
    let config = Config::read(environment)?;
    let telemetry = telemetry::init("millrace-worker", &settings)?;
    let shutdown = telemetry::shutdown_on_signal();
    let (host, metrics_port) = config.operations();
    let starting = start(config, &roles, shutdown.clone());
    let running = tokio::select! {
        running = starting => running?,
        () = shutdown.cancelled() => return Ok(()),
    };
    telemetry
        .serve(&host, metrics_port, running.health(), shutdown)
        .await?;
    tracing::info!(
        ?roles,
        "The workers are running; stop them with Ctrl-C or SIGTERM."
    );
    running.stopped().await;
    tracing::info!("Stopped.");
    Ok(())
}
