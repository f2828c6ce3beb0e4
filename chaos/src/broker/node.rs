//! One RabbitMQ node: started, killed, asked by rabbitmqctl(8).

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::sync::{Mutex, MutexGuard};

use crate::options::Options;
use crate::process::{Process, Program};
use crate::proxy::Proxy;

/// How long a node may take to come up.
const PATIENCE: Duration = Duration::from_secs(180);

/// How often rabbitmqctl is run until it succeeds: on a busy machine it may not reach its node.
const TRIES: u32 = 5;

/// A node and the proxy by which Millrace reaches it.
#[derive(Debug)]
pub(crate) struct Node {
    process: Mutex<Process>,
    address: SocketAddr,
    folder: PathBuf,
    control: PathBuf,
    pub(crate) proxy: Proxy,
}

impl Node {
    /// Starts a node; `place` says which of the options' nodes it is.
    pub(crate) async fn start(options: &Options, place: usize) -> anyhow::Result<Self> {
        let program = Program {
            path: options.broker_program[place].clone(),
            arguments: Vec::new(),
            environment: std::env::vars().collect(),
            folder: options.folder.clone(),
            log: options.folder.join(format!("logs/rabbitmq-{place}.log")),
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.amqp_port[place]));
        Ok(Self {
            process: Mutex::new(Process::start(program)?),
            address,
            folder: options.broker_folder[place].clone(),
            control: options.broker_control.clone(),
            proxy: Proxy::start(address).await?,
        })
    }

    pub(crate) async fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().await
    }

    /// Waits until the node speaks AMQP: it answers the protocol header with `connection.start`, a
    /// method frame (type 1).
    ///
    /// # Errors
    /// When it does not in time, or has ended: then somebody else may have its port.
    pub(crate) async fn until_it_answers(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        while !matches!(first_byte(self.address).await, Ok(1)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
            ensure!(
                began.elapsed() < PATIENCE,
                "RabbitMQ did not answer on {}",
                self.address
            );
        }
        let mut process = self.process.lock().await;
        match process.ended() {
            Some(how) => bail!("RabbitMQ ended ({how}): {}", process.log().display()),
            None => Ok(()),
        }
    }

    /// Runs rabbitmqctl on this node.
    ///
    /// # Errors
    /// When it fails, with what it says.
    pub(crate) async fn control(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let mut error = String::new();
        for _ in 0..TRIES {
            let mut command = Command::new(&self.control);
            command.arg("ctl").arg(&self.folder).args(arguments);
            let output = command.kill_on_drop(true).output().await?;
            if output.status.success() {
                return Ok(());
            }
            error = String::from_utf8_lossy(&output.stderr).into_owned();
        }
        bail!("rabbitmqctl {arguments:?} failed {TRIES} times: {error}")
    }
}

async fn first_byte(address: SocketAddr) -> std::io::Result<u8> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"AMQP\x00\x00\x09\x01").await?;
    stream.read_u8().await
}
