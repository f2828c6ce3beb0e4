//! `millrace-sandbox`: serves the stand-ins, prints the settings that point Millrace at them, and
//! plays both flows against a running gateway.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use sandbox::environment::{self, Service};
use sandbox::{Sandbox, SandboxConfig, demo};

#[derive(Parser)]
#[command(name = "millrace-sandbox", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the stand-ins until stopped.
    Serve(Serve),
    /// Print the settings that point Millrace at a sandbox, one NAME=value on a line.
    Env(Env),
    /// Play the research and the chat flow against a running gateway.
    Demo(Demo),
}

#[derive(Args)]
struct Serve {
    /// Address to listen on.
    #[arg(long, env = "SANDBOX_HOST", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// Port to listen on.
    #[arg(long, env = "SANDBOX_PORT", default_value_t = 8090)]
    port: u16,
    /// Where webhooks go.
    #[arg(long, env = "SANDBOX_GATEWAY", default_value = "http://127.0.0.1:8080")]
    gateway: String,
    /// Base address that HubSpot's signatures cover [default: the gateway].
    #[arg(long, env = "SANDBOX_HUBSPOT_PUBLIC_BASE")]
    hubspot_public_base: Option<String>,
    /// How long research takes.
    #[arg(long, env = "SANDBOX_RESEARCH_SECONDS", default_value_t = 2.0)]
    research_seconds: f64,
    /// The wait before a webhook's first retry; it doubles with each.
    #[arg(long, env = "SANDBOX_RETRY_MILLISECONDS", default_value_t = 500)]
    retry_milliseconds: u64,
    /// Leave Google without a shared drive: every new document is refused for lack of storage.
    #[arg(long, env = "SANDBOX_WITHOUT_SHARED_DRIVE")]
    without_shared_drive: bool,
    /// List HighLevel's messages flat, as its specification says.
    #[arg(long, env = "SANDBOX_FLAT_MESSAGES")]
    flat_messages: bool,
    /// Send no OutboundMessage webhook for messages sent through HighLevel's API.
    #[arg(long, env = "SANDBOX_WITHOUT_ECHO")]
    without_echo: bool,
}

#[derive(Args)]
struct Env {
    /// The sandbox's port.
    #[arg(long, env = "SANDBOX_PORT", default_value_t = 8090)]
    port: u16,
    /// Only the settings of these services.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Service>,
    /// Write a service account's key file into the directory, so that documents go to Google's
    /// stand-in.
    #[arg(long, requires = "directory")]
    google: bool,
    /// Where the key file goes.
    #[arg(long)]
    directory: Option<PathBuf>,
}

#[derive(Args)]
struct Demo {
    /// The gateway's address.
    #[arg(long, env = "SANDBOX_GATEWAY", default_value = "http://127.0.0.1:8080")]
    gateway: String,
    /// A key of the gateway's API_KEYS.
    #[arg(long, env = "MILLRACE_API_KEY", hide_env_values = true)]
    api_key: String,
    /// The sandbox's address.
    #[arg(long, env = "SANDBOX_URL", default_value = "http://127.0.0.1:8090")]
    sandbox: String,
    /// The stage that starts research.
    #[arg(long, default_value = environment::TRIGGER_STAGE)]
    stage: String,
    /// The gateway's MESSAGE_BATCH_WAIT_TIME.
    #[arg(long, default_value_t = 5)]
    wait_seconds: u64,
    /// Give up after this many seconds.
    #[arg(long, default_value_t = 60)]
    timeout: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Serve(options) => serve(options).await.map(|()| ExitCode::SUCCESS),
        Command::Env(options) => print_env(&options).map(|()| ExitCode::SUCCESS),
        Command::Demo(options) => Ok(play(options).await),
    }
}

async fn serve(options: Serve) -> anyhow::Result<()> {
    tracing_subscriber::fmt::init();
    let config = SandboxConfig {
        host: options.host,
        port: options.port,
        gateway: options.gateway,
        hubspot_public_base: options.hubspot_public_base,
        research_time: Duration::try_from_secs_f64(options.research_seconds)
            .context("--research-seconds")?,
        retry_delay: Duration::from_millis(options.retry_milliseconds),
        google_shared_drive: !options.without_shared_drive,
        highlevel_nested_messages: !options.flat_messages,
        highlevel_echo_outbound: !options.without_echo,
    };
    let address = format!("{}:{}", config.host, config.port);
    let mut sandbox = Sandbox::start(config)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    tracing::info!(
        "the sandbox listens; what it receives: {}/sandbox",
        sandbox.base_url()
    );
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        served = sandbox.serve() => served.context("the listener failed"),
        _ = tokio::signal::ctrl_c() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

fn print_env(options: &Env) -> anyhow::Result<()> {
    use Service::{Google, Highlevel, Hubspot, Notify, Openai};
    let base_url = environment::base_url(options.port);
    let mut services = options.only.clone();
    if services.is_empty() {
        services = vec![Openai, Hubspot, Highlevel, Google, Notify];
    }
    for service in services {
        for (name, value) in environment::settings(&base_url, service) {
            println!("{name}={value}");
        }
    }
    if let (true, Some(directory)) = (options.google, &options.directory) {
        let path = environment::write_service_account(&base_url, directory)
            .with_context(|| format!("cannot write a key file into {}", directory.display()))?;
        println!("GOOGLE_APPLICATION_CREDENTIALS={path}");
    }
    Ok(())
}

async fn play(options: Demo) -> ExitCode {
    let options = demo::DemoOptions {
        gateway: options.gateway.trim_end_matches('/').to_owned(),
        api_key: options.api_key,
        sandbox: options.sandbox.trim_end_matches('/').to_owned(),
        stage: options.stage,
        wait: Duration::from_secs(options.wait_seconds),
        timeout: Duration::from_secs(options.timeout),
    };
    if demo::run(&options).await {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
