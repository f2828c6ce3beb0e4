//! Every fault with its time, in a file and for the report.

use std::fmt::{self, Display};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, SecondsFormat, Utc};

/// What was done to Millrace, and when.
#[derive(Debug)]
pub struct FaultLog {
    inner: Mutex<(File, Vec<Entry>)>,
}

/// One fault.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// When it struck.
    pub at: DateTime<Utc>,
    /// When it was over.
    pub until: DateTime<Utc>,
    /// Its kind.
    pub kind: Kind,
}

/// The kinds of faults, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "what each is called stands below")]
pub enum Kind {
    GatewayKilled,
    WorkerKilled,
    AllWorkersKilled,
    CrashedAt,
    WorkerFrozen,
    RollingRestart,
    BrokerKilled,
    BrokerRestarted,
    BrokerCut,
    BrokerFrozen,
    BrokerSlow,
    MemoryAlarm,
    DiskAlarm,
    TimersLost,
    ParkedReplayed,
    DatabaseStopped,
    DatabaseCut,
    DatabaseFrozen,
    DatabaseSlow,
    OpenAi,
    HubSpot,
    HighLevel,
    Google,
    Notify,
    Webhooks,
    AnswersLost,
}

impl Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::GatewayKilled => "gateway killed",
            Self::WorkerKilled => "worker killed",
            Self::AllWorkersKilled => "all workers killed",
            Self::CrashedAt => "died at a named point",
            Self::WorkerFrozen => "worker frozen",
            Self::RollingRestart => "rolling restart",
            Self::BrokerKilled => "broker killed",
            Self::BrokerRestarted => "broker restarted",
            Self::BrokerCut => "broker connections cut",
            Self::BrokerFrozen => "broker connections frozen",
            Self::BrokerSlow => "broker slow",
            Self::MemoryAlarm => "broker's memory alarm",
            Self::DiskAlarm => "broker's disk alarm",
            Self::TimersLost => "timers lost",
            Self::ParkedReplayed => "parked messages replayed",
            Self::DatabaseStopped => "database stopped",
            Self::DatabaseCut => "database connections cut",
            Self::DatabaseFrozen => "database connections frozen",
            Self::DatabaseSlow => "database slow",
            Self::OpenAi => "OpenAI's API",
            Self::HubSpot => "HubSpot's API",
            Self::HighLevel => "HighLevel's API",
            Self::Google => "Google's API",
            Self::Notify => "receiver of notifications",
            Self::Webhooks => "OpenAI's webhooks",
            Self::AnswersLost => "answers to webhooks lost",
        })
    }
}

impl Kind {
    /// Whether it can keep a worker from storing what it has just learned.
    #[must_use]
    pub fn strikes_workers(self) -> bool {
        matches!(
            self,
            Self::WorkerKilled
                | Self::AllWorkersKilled
                | Self::CrashedAt
                | Self::WorkerFrozen
                | Self::RollingRestart
                | Self::DatabaseStopped
                | Self::DatabaseCut
                | Self::DatabaseFrozen
                | Self::DatabaseSlow
        )
    }

    /// Whether messages that somebody had in hand are handed out again after it.
    #[must_use]
    pub fn leaves_work(self) -> bool {
        let restarts = matches!(
            self,
            Self::WorkerKilled | Self::AllWorkersKilled | Self::CrashedAt | Self::ParkedReplayed
        );
        restarts || self.stops_all_work()
    }

    /// Whether it keeps all workers from handling anything.
    #[must_use]
    pub fn stops_all_work(self) -> bool {
        matches!(
            self,
            Self::WorkerFrozen
                | Self::RollingRestart
                | Self::BrokerKilled
                | Self::BrokerRestarted
                | Self::BrokerCut
                | Self::BrokerFrozen
                | Self::BrokerSlow
                | Self::MemoryAlarm
                | Self::DiskAlarm
                | Self::DatabaseStopped
                | Self::DatabaseFrozen
                | Self::DatabaseSlow
        )
    }
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
    pub fn fault(&self, kind: Kind, detail: impl Display) {
        self.add(kind, Duration::ZERO, &format!("{kind} {detail}"));
    }

    /// Notes a fault that strikes now and lasts.
    pub fn fault_for(&self, kind: Kind, time: Duration, detail: impl Display) {
        self.add(kind, time, &format!("{kind} {detail} for {time:?}"));
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

    fn add(&self, kind: Kind, time: Duration, text: &str) {
        let at = Utc::now();
        self.write(at, text);
        let until = at + time;
        self.lock().1.push(Entry { at, until, kind });
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
