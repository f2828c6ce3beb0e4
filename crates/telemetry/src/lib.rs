//! Logs, traces, metrics and the shutdown signal: what every Millrace process does alike.

mod healthcheck;
mod operations;
mod sampling;
mod shutdown;

use std::io::IsTerminal as _;

use config::{Environment, Secret};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use prometheus::Registry;
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

pub use healthcheck::healthcheck;
pub use operations::ServeError;
pub use shutdown::shutdown_on_signal;

/// Logs, traces and metrics of this process. Traces that wait are sent when it is dropped.
pub struct Telemetry {
    registry: Registry,
    tracers: SdkTracerProvider,
}

/// Why telemetry could not start. A retry can't help.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The address or protocol in an `OTEL_EXPORTER_OTLP_*` variable can't be used. The exporter's own
    /// words would repeat the address, which can hold a password.
    #[error("traces can't be sent: OTEL_EXPORTER_OTLP_ENDPOINT is not an address that can be used")]
    Exporter,
    /// The metrics registry refused the exporter.
    #[error("the metrics exporter could not start")]
    Metrics(#[from] opentelemetry_sdk::error::OTelSdkError),
    /// `RUST_LOG` can't be read.
    #[error("RUST_LOG is not a log filter, such as info or info,broker=debug")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Another logger is installed already.
    #[error("logging is set up already")]
    Logging(#[from] tracing_subscriber::util::TryInitError),
}

/// lapin reports as errors the end of connections that we rebuild anyway.
const USUAL_FILTER: &str = "info,lapin=off,sqlx=warn,opentelemetry=warn";

/// What the logs show and where traces go.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Which log lines are written: a level, and others as `target=level`, separated by commas; `None`
    /// means level info.
    pub log_filter: Option<String>,
    /// Log lines as JSON instead of text.
    pub log_json: bool,
    /// Where traces are sent by OTLP over HTTP, the part before `/v1/traces`; `None` sends none.
    /// The other `OTEL_*` variables are read from the process's environment by the exporter.
    pub otlp_endpoint: Option<Secret>,
}

impl Settings {
    /// Reads `RUST_LOG`, `LOG_FORMAT` and `OTEL_EXPORTER_OTLP_ENDPOINT`.
    #[must_use]
    pub fn read(environment: &Environment) -> Self {
        Self {
            log_filter: environment.optional("RUST_LOG"),
            log_json: environment.optional("LOG_FORMAT").as_deref() == Some("json"),
            otlp_endpoint: environment
                .optional("OTEL_EXPORTER_OTLP_ENDPOINT")
                .map(Secret::new),
        }
    }
}

/// Starts logs, traces and metrics. Trace context is carried through messages whether or not traces
/// are sent anywhere.
///
/// # Errors
/// [`TelemetryError`]
pub fn init(service: &'static str, settings: &Settings) -> Result<Telemetry, TelemetryError> {
    let resource = Resource::builder()
        .with_service_name(service)
        .with_attribute(opentelemetry::KeyValue::new(
            "service.version",
            env!("CARGO_PKG_VERSION"),
        ))
        .build();

    let mut tracers = SdkTracerProvider::builder().with_resource(resource.clone());
    if let Some(endpoint) = &settings.otlp_endpoint {
        // The exporter's HTTP client has TLS without a provider of its own. Somebody else may have
        // installed one before us.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_endpoint(format!(
                "{}/v1/traces",
                endpoint.expose().trim_end_matches('/')
            ))
            .build()
            .map_err(|_| TelemetryError::Exporter)?;
        tracers = tracers.with_batch_exporter(exporter);
        if std::env::var_os("OTEL_TRACES_SAMPLER").is_none() {
            tracers = tracers.with_sampler(sampling::as_many_as_can_be_sent());
        }
    }
    let sent = settings.otlp_endpoint.is_some();
    let tracers = tracers.build();

    let registry = Registry::new();
    let exporter = opentelemetry_prometheus::exporter()
        .with_registry(registry.clone())
        .build()?;
    let meters = SdkMeterProvider::builder()
        .with_resource(resource)
        .with_reader(exporter)
        .build();
    opentelemetry::global::set_meter_provider(meters);

    let filter = settings.log_filter.as_deref().unwrap_or(USUAL_FILTER);
    let filter: Targets = filter.parse()?;
    // Colours are for people, not for files.
    let ansi = std::io::stdout().is_terminal();
    let logs = if settings.log_json {
        fmt::layer().json().with_filter(filter).boxed()
    } else {
        fmt::layer().with_ansi(ansi).with_filter(filter).boxed()
    };
    // What a span costs each time it is entered or left is paid only for what somebody reads: nobody asks
    // OpenTelemetry for the current context, it is taken from the span.
    let traces = tracing_opentelemetry::layer()
        .with_tracer(tracers.tracer("millrace"))
        .with_context_activation(false)
        .with_tracked_inactivity(false)
        .with_threads(false)
        .with_location(false)
        // Whatever the logs show: a trace goes on through messages. Log lines are noted on spans only where
        // they tell more than the span itself, and only when somebody gets to see them: each costs as much
        // as the span. lapin's one span would last as long as its connection.
        .with_filter(
            filter_fn(move |metadata| {
                !metadata.target().starts_with("lapin")
                    && (metadata.is_span() || (sent && *metadata.level() <= Level::WARN))
            })
            .with_max_level_hint(LevelFilter::DEBUG),
        );
    tracing_subscriber::registry()
        .with(logs)
        .with(traces)
        .try_init()?;

    Ok(Telemetry { registry, tracers })
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        // The process ends; what can't be sent now is lost, and nobody is left to be told.
        let _ = self.tracers.shutdown();
    }
}
