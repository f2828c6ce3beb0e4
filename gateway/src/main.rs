//! `millrace-gateway`: see the library's documentation. Configuration: the environment, or `.env`.

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use config::Environment;
use gateway::Config;
use telemetry::Settings;
use tokio::net::TcpListener;
use tracing::{info, warn};

/// Verifies webhooks, publishes them to RabbitMQ, answers questions about jobs and batches.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve (the default).
    Serve,
    /// Ask the gateway on this machine whether it is alive; exit code 0 means yes.
    Healthcheck,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        None | Some(Command::Serve) => serve(),
        Some(Command::Healthcheck) => {
            let config = Config::load()?;
            telemetry::healthcheck(&config.host, config.port).context("the gateway is not healthy")
        }
    }
}

#[tokio::main]
async fn serve() -> anyhow::Result<()> {
    let environment = Environment::load();
    let telemetry = telemetry::init("millrace-gateway", &Settings::read(&environment))?;
    let config = Config::read(environment)?;
    let shutdown = telemetry::shutdown_on_signal();
    telemetry
        .serve(&config.host, config.metrics_port, || true, shutdown.clone())
        .await?;

    let (host, port) = (config.host.as_str(), config.port);
    let listener = TcpListener::bind((host, port))
        .await
        .with_context(|| format!("can't listen on {host}:{port}; set HOST and PORT"))?;
    announce(&config, &listener)?;
    gateway::serve(config, listener, shutdown).await
}

/// Says where the gateway listens, which routes are closed, and what opens them.
fn announce(config: &Config, listener: &TcpListener) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    info!(
        %address,
        "Listening on http://{address}. Routes: http://{address}/openapi.json; is the broker there: \
         http://{address}/health/ready"
    );
    for (routes, variable) in config.closed_routes() {
        warn!("Closed (every request gets 503): {routes}. Set {variable} to open.");
    }
    if config.public_base_url_is_guessed && !config.hubspot_secrets.is_empty() {
        warn!(
            "PUBLIC_BASE_URL is not set. HubSpot signs the address that it calls, so its webhooks \
             fail unless that is {}.",
            config.public_base_url
        );
    }
    if config.hubspot_workflow_signatures {
        warn!(
            "HUBSPOT_WORKFLOW_SIGNATURES is on: POST /webhook/hubspot/workflow accepts signatures \
             without a timestamp, which can be replayed."
        );
    }
    Ok(())
}
