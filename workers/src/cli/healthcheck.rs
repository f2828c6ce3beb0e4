//! `healthcheck`: asks this machine's worker whether it reads its queues.

use anyhow::Context as _;
use config::Environment;

/// Asks the worker that listens on `HOST` and `METRICS_PORT`.
pub(crate) fn healthcheck(mut environment: Environment) -> anyhow::Result<()> {
    let host = config::host(&environment);
    let port = config::metrics_port(&mut environment, 9091);
    environment.finish()?;
    telemetry::healthcheck(&host, port).with_context(|| {
        format!("the worker on METRICS_PORT {port} does not read all of its queues")
    })?;
    println!("ready");
    Ok(())
}
