//! A program that is measured.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::process::{Child, Command};

/// How long a program may take to end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(30);

/// How to start a program.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// Its whole environment, besides PATH and HOME.
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) folder: PathBuf,
    /// Where what it writes is appended.
    pub(crate) log: PathBuf,
}

/// A running program; killed, with what it has started, when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    id: u32,
    log: PathBuf,
}

impl Program {
    /// Starts it.
    pub(crate) fn start(&self) -> anyhow::Result<Process> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| self.log.display().to_string())?;
        let child = self
            .command()
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| self.path.display().to_string())?;
        let id = child
            .id()
            .context("a process that has just started has an id")?;
        Ok(Process {
            child,
            id,
            log: self.log.clone(),
        })
    }

    /// Runs it to its end and returns what it printed.
    pub(crate) async fn run(&self) -> anyhow::Result<String> {
        let output = self.command().output().await;
        let output = output.with_context(|| self.path.display().to_string())?;
        ensure!(
            output.status.success(),
            "{} {} failed: {}",
            self.path.display(),
            self.arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(["PATH", "HOME"].map(|name| (name, std::env::var(name).unwrap_or_default())))
            .envs(&self.environment)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            // Ctrl-C ends the run in order; and a program is ended with all it has started.
            .process_group(0)
            .kill_on_drop(true);
        command
    }
}

impl Process {
    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// SIGTERM, and SIGKILL when that has not helped.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.signal(rustix::process::Signal::TERM);
        if tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .is_err()
        {
            self.child.kill().await?;
        }
        Ok(())
    }

    /// Fails when the process has ended, with the end of its log.
    pub(crate) fn still_runs(&mut self) -> anyhow::Result<()> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(());
        };
        anyhow::bail!("it ended ({status}). {}", end_of(&self.log));
    }

    fn signal(&self, signal: rustix::process::Signal) {
        // The whole group: some peers have processes of their own. It may be gone already.
        if let Some(group) = i32::try_from(self.id)
            .ok()
            .and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process_group(group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(rustix::process::Signal::KILL);
    }
}

/// The last lines of a log, and where the rest is.
fn end_of(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let end = lines[lines.len().saturating_sub(10)..].join("\n");
    format!("The end of {}:\n{end}", log.display())
}

/// A free port below those that the kernel gives to outgoing connections.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    // From a point of its own for each process and call, so that two that look at the same time
    // find different ones.
    let start = 19_000 + u16::try_from(rand_start() % 8000)?;
    (start..32_768)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .context("no free port")
}

fn rand_start() -> u128 {
    uuid::Uuid::new_v4().as_u128()
}
