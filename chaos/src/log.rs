//! Every fault with its time, in a file and for the report.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use chrono::{DateTime, SecondsFormat, Utc};

/// What was done to Millrace, and when.
#[derive(Debug)]
pub struct FaultLog {
    inner: Mutex<(File, Vec<Entry>)>,
}

/// One fault.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When it struck.
    pub at: DateTime<Utc>,
    /// Its kind, for counting.
    pub kind: &'static str,
}

impl FaultLog {
    /// Starts an empty log.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        let inner = Mutex::new((file, Vec::new()));
        Ok(Self { inner })
    }

    /// Notes a fault that strikes now.
    pub fn fault(&self, kind: &'static str, detail: &str) {
        let at = Utc::now();
        self.write(at, &format!("{kind} {detail}"));
        self.lock().1.push(Entry { at, kind });
    }

    /// Notes something else that helps to read the log: a part is back, the load has ended.
    pub fn note(&self, text: &str) {
        self.write(Utc::now(), &format!("  {text}"));
    }

    /// All faults so far.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().1.clone()
    }

    fn write(&self, at: DateTime<Utc>, text: &str) {
        let at = at.to_rfc3339_opts(SecondsFormat::Millis, true);
        // A full disk must not end the run; what counts is in memory.
        let _ = writeln!(self.lock().0, "{at} {}", text.trim_end());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (File, Vec<Entry>)> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
