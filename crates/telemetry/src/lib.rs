//! Logs, traces, metrics and the shutdown signal: what every Millrace process does alike.

mod operations;
mod shutdown;

use std::io::IsTerminal as _;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use prometheus::Registry;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

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
    /// The address or protocol in an `OTEL_EXPORTER_OTLP_*` variable can't be used.
    #[error("traces can't be sent to OTEL_EXPORTER_OTLP_ENDPOINT")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The metrics registry refused the exporter.
    #[error("the metrics exporter could not start")]
    Metrics(#[from] opentelemetry_sdk::error::OTelSdkError),
    /// Another logger is installed already.
    #[error("logging is set up already")]
    Logging(#[from] tracing_subscriber::util::TryInitError),
}

/// Starts logs (`RUST_LOG`, default `info`; JSON with `LOG_FORMAT=json`), traces (sent by
/// OTLP over HTTP where `OTEL_EXPORTER_OTLP_ENDPOINT` is set) and metrics.
///
/// Trace context is carried through messages whether or not traces are sent anywhere.
///
/// # Errors
/// [`TelemetryError`]
pub fn init(service: &'static str) -> Result<Telemetry, TelemetryError> {
    let resource = Resource::builder()
        .with_service_name(service)
        .with_attribute(opentelemetry::KeyValue::new(
            "service.version",
            env!("CARGO_PKG_VERSION"),
        ))
        .build();

    let mut tracers = SdkTracerProvider::builder().with_resource(resource.clone());
    if std::env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT").is_some_and(|value| !value.is_empty()) {
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .build()?;
        tracers = tracers.with_batch_exporter(exporter);
    }
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

    // lapin and the HTTP stack describe their inner life at debug level and errors of connections
    // that we rebuild anyway at error level.
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,lapin=off,sqlx=warn,opentelemetry=warn"));
    let json = std::env::var("LOG_FORMAT").is_ok_and(|format| format == "json");
    // Colours are for people, not for files.
    let ansi = std::io::stdout().is_terminal();
    let logs = if json {
        fmt::layer().json().boxed()
    } else {
        fmt::layer().with_ansi(ansi).boxed()
    };
    let traces = tracing_opentelemetry::layer().with_tracer(tracers.tracer("millrace"));
    tracing_subscriber::registry()
        .with(filter)
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
