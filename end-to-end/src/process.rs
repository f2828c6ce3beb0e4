//! One running program.

use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use test_support::eventually;

/// A program that was started for a test. Killed when this is dropped.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    pub(crate) fn new(name: &str, child: Child, log: PathBuf) -> Self {
        Self {
            name: name.to_owned(),
            child,
            log,
        }
    }

    /// SIGKILL. Returns when the process is gone.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    /// Whether it runs.
    ///
    /// # Panics
    /// When the system does not say.
    pub fn is_running(&mut self) -> bool {
        let ended = self.child.try_wait();
        ended.expect("a child can be waited for").is_none()
    }

    /// The most memory that it has ever used at once, in MiB (Linux: `VmHWM`).
    ///
    /// # Panics
    /// When the system does not say.
    #[must_use]
    pub fn peak_memory_mib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("a running process has a status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kib: u64 = kib
            .and_then(|kib| kib.trim().parse().ok())
            .expect("the status names the peak in kB");
        kib / 1024
    }

    /// SIGTERM. Returns at once.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn terminate(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.expect("kill(1) can be run").success());
    }

    /// Waits until the process ends by itself.
    ///
    /// # Panics
    /// When it does not in time.
    pub async fn ended(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        let Self { child, .. } = self;
        let child = std::cell::RefCell::new(child);
        eventually(&what, Duration::from_secs(40), async || {
            let ended = child.borrow_mut().try_wait();
            ended.expect("a child can be waited for").ok_or(())
        })
        .await
    }

    /// Everything that it has written so far, to stdout and stderr.
    ///
    /// # Panics
    /// When its log can't be read.
    #[must_use]
    pub fn output(&self) -> String {
        let bytes = std::fs::read(&self.log).expect("the log can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until it has written a text, and returns its output.
    ///
    /// # Panics
    /// When it does not in time, or ends before.
    pub async fn says(&mut self, text: &str) -> String {
        let what = format!("{} says {text:?}", self.name);
        let mut ended = false;
        for _ in 0..2 {
            let Self { child, log, .. } = self;
            let child = std::cell::RefCell::new(child);
            let found = eventually(&what, Duration::from_secs(40), async || {
                let bytes = std::fs::read(&*log).unwrap_or_default();
                let output = String::from_utf8_lossy(&bytes).into_owned();
                let exited = child.borrow_mut().try_wait().ok().flatten();
                match (output.contains(text), exited) {
                    (true, _) => Ok(Some(output)),
                    (false, Some(_)) => Ok(None),
                    (false, None) => Err(output),
                }
            })
            .await;
            match found {
                Some(output) => return output,
                None if ended => break,
                // Its last words may have come between the two looks.
                None => ended = true,
            }
        }
        panic!("{} ended: {}", self.name, self.output());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("--- {}\n{}", self.name, self.output());
        }
    }
}
