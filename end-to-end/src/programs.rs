//! The programs that are shipped, started as a person starts them.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::World;
use crate::process::Process;

const GATEWAY: &str = "millrace-gateway";
const WORKER: &str = "millrace-worker";

impl World {
    /// Starts the gateway on a free port and waits until it listens. The sandbox sends its webhooks
    /// there from now on.
    pub async fn spawn_gateway(&self) -> Process {
        let mut gateway = self.spawn(GATEWAY, &[]);
        let start = "Listening on ";
        let output = gateway.says("Routes: ").await;
        let address = output
            .split_once(start)
            .and_then(|(_, rest)| rest.split_once(". Routes"))
            .map(|(address, _)| address.to_owned());
        self.set_gateway(address.unwrap_or_else(|| panic!("no address in {output}")));
        self.until_ready().await;
        gateway
    }

    /// Starts a worker with these roles and waits until it runs.
    pub async fn spawn_worker(&self, roles: &str) -> Process {
        let mut worker = self.spawn(WORKER, &["run", "--roles", roles]);
        worker.says("The workers are running").await;
        worker
    }

    /// Starts a worker without waiting for anything.
    #[must_use]
    pub fn spawn_unready_worker(&self) -> Process {
        self.spawn(WORKER, &["run", "--roles", "all"])
    }

    /// Runs a command of `millrace-worker` to its end.
    ///
    /// # Panics
    /// When it can't be run.
    pub async fn worker_command(&self, arguments: &[&str]) -> Output {
        let mut command = tokio::process::Command::from(self.command(WORKER, arguments));
        let output = command.kill_on_drop(true).output().await;
        output.expect("the program can be run")
    }

    fn spawn(&self, program: &str, arguments: &[&str]) -> Process {
        let log = self.log_file(program);
        let file = File::create(&log).expect("the temporary folder can be written to");
        let same_file = file.try_clone().expect("a file has a second handle");
        let child = self
            .command(program, arguments)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(same_file)
            .spawn()
            .expect("the program can be started");
        Process::new(program, child, log)
    }

    /// The settings of this world, and nothing of the caller's environment.
    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(path(program));
        command
            .args(arguments)
            .env_clear()
            .envs(self.settings())
            .current_dir(self.folder());
        command
    }
}

/// The program lies beside the folder of the test programs.
fn path(program: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let folder = test.parent().and_then(std::path::Path::parent);
    let path = folder
        .expect("tests lie in target/debug/deps")
        .join(program);
    assert!(
        path.is_file(),
        "{} is missing: run ./dev test -p end-to-end, which builds it",
        path.display()
    );
    path
}
