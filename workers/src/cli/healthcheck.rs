//! `healthcheck`: for container platforms, whose images have no HTTP client.

use anyhow::{Context as _, bail};
use config::Environment;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Asks this machine's worker for `/health`.
pub(crate) async fn healthcheck(mut environment: Environment) -> anyhow::Result<()> {
    let port = config::metrics_port(&mut environment, 9091);
    environment.finish()?;
    let mut stream = TcpStream::connect(("127.0.0.1", port))
        .await
        .with_context(|| format!("no worker listens on METRICS_PORT {port}"))?;
    let request = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    if !answer.starts_with("HTTP/1.1 200") {
        bail!("the worker does not read all of its queues");
    }
    println!("ready");
    Ok(())
}
