//! A program that is started, killed, and started again.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::process::{Child, Command};

/// How to start a program.
#[derive(Debug, Clone)]
pub struct Program {
    /// The file to run.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its whole environment.
    pub environment: BTreeMap<String, String>,
    /// Where it runs.
    pub folder: PathBuf,
    /// Where what it writes is appended.
    pub log: PathBuf,
}

/// A running program; killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    program: Program,
    child: Child,
}

impl Process {
    /// Starts it.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(program: Program) -> anyhow::Result<Self> {
        let child = spawn(&program)?;
        Ok(Self { program, child })
    }

    /// SIGKILL. Returns when the process is gone.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("SIGKILL")
    }

    /// SIGTERM, and SIGKILL when that has not helped in this time. Whether it ended by itself.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn stop(&mut self, patience: Duration) -> anyhow::Result<bool> {
        self.signal("TERM").await?;
        let ended = self.ends_within(patience).await;
        if !ended {
            self.kill().await?;
        }
        Ok(ended)
    }

    /// Waits for its end, at most this long. Whether it has ended.
    pub async fn ends_within(&mut self, patience: Duration) -> bool {
        let end = tokio::time::timeout(patience, self.child.wait());
        end.await.is_ok()
    }

    /// Sends a signal by its name without `SIG`; nothing when the process has ended already.
    ///
    /// # Errors
    /// When kill(1) can't be run or refuses.
    pub async fn signal(&self, name: &str) -> anyhow::Result<()> {
        let Some(id) = self.child.id() else {
            return Ok(());
        };
        let mut kill = Command::new("kill");
        kill.args([format!("-{name}"), id.to_string()]);
        let sent = kill.status().await.context("kill(1)")?;
        ensure!(sent.success(), "kill -{name} {id} failed");
        Ok(())
    }

    /// Starts it again after its end.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        self.child = spawn(&self.program)?;
        Ok(())
    }

    /// Starts it again after its end, with one more variable in its environment for this life.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start_again_with(&mut self, name: &str, value: &str) -> anyhow::Result<()> {
        let mut program = self.program.clone();
        program
            .environment
            .insert(name.to_owned(), value.to_owned());
        self.child = spawn(&program)?;
        Ok(())
    }

    /// How it ended, when it has.
    pub fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(status.to_string())
    }

    /// Where it writes its log.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.program.log
    }
}

fn spawn(program: &Program) -> anyhow::Result<Child> {
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&program.log)
        .with_context(|| program.log.display().to_string())?;
    let child = Command::new(&program.path)
        .args(&program.arguments)
        .env_clear()
        .envs(&program.environment)
        .current_dir(&program.folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // Ctrl-C ends the run in order.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| program.path.display().to_string())?;
    remember(program, &child)?;
    Ok(child)
}

/// Writes down who runs, in the way of scripts/processes.sh, so that ./dev ends what a killed run left
/// behind: the process's id, and its start time (field 22 of /proc/ID/stat, proc(5)), since ids are
/// given out again.
fn remember(program: &Program, child: &Child) -> anyhow::Result<()> {
    let id = child
        .id()
        .context("a process that was just started has an id")?;
    let status = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let fields = status.rsplit_once(") ").map(|(_, fields)| fields);
    let started = fields.and_then(|fields| fields.split(' ').nth(19));
    let record = program.log.with_extension("process");
    let record = program.folder.join(record.file_name().unwrap_or_default());
    std::fs::write(&record, format!("{id} {}\n", started.unwrap_or_default()))
        .with_context(|| record.display().to_string())
}
