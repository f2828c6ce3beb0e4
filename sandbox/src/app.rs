//! What the stand-ins share: one order of events, the logs, the faults, the webhook sender, and
//! each provider's own store.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{SecondsFormat, Utc};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::config::SandboxConfig;
use crate::effects::{Effect, EffectKind, Effects};
use crate::faults::Faults;
use crate::providers::google::GoogleStore;
use crate::providers::highlevel::HighLevelStore;
use crate::providers::hubspot::HubSpotStore;
use crate::providers::openai::OpenAiStore;
use crate::received::ReceivedLog;
use crate::webhooks::Webhooks;

/// The state of one sandbox.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) config: SandboxConfig,
    /// The sandbox's own address, `http://host:port`.
    pub(crate) base_url: String,
    pub(crate) received: ReceivedLog,
    pub(crate) effects: Effects,
    pub(crate) faults: Faults,
    pub(crate) webhooks: Webhooks,
    pub(crate) openai: Mutex<OpenAiStore>,
    pub(crate) hubspot: Mutex<HubSpotStore>,
    pub(crate) highlevel: Mutex<HighLevelStore>,
    pub(crate) google: Mutex<GoogleStore>,
    sequence: AtomicU64,
}

impl App {
    pub(crate) fn new(
        config: SandboxConfig,
        base_url: String,
        stop: &CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            received: ReceivedLog::default(),
            effects: Effects::default(),
            faults: Faults::default(),
            webhooks: Webhooks::new(&config, stop),
            openai: Mutex::default(),
            hubspot: Mutex::default(),
            highlevel: Mutex::new(HighLevelStore::new(&config)),
            google: Mutex::new(GoogleStore::new(config.google_shared_drive)),
            sequence: AtomicU64::new(0),
            base_url,
            config,
        })
    }

    /// The next place in the order of events.
    pub(crate) fn next_number(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Counts an outward effect.
    pub(crate) fn effect(&self, kind: EffectKind, subject: Option<&str>, detail: Value) {
        let subject = subject.unwrap_or("-").to_owned();
        self.effects.push(Effect {
            number: self.next_number(),
            at: now_text(),
            kind,
            subject,
            detail,
        });
    }

    /// Everything as it was at the start, but for the gateway's address and the event numbers.
    pub(crate) fn reset(&self) {
        self.webhooks.reset();
        self.received.clear();
        self.effects.clear();
        self.faults.clear();
        *lock(&self.openai) = OpenAiStore::default();
        *lock(&self.hubspot) = HubSpotStore::default();
        *lock(&self.highlevel) = HighLevelStore::new(&self.config);
        *lock(&self.google) = GoogleStore::new(self.config.google_shared_drive);
    }
}

/// Locks; a panic elsewhere does not matter, since no holder of these locks leaves work half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Now, RFC 3339 with milliseconds.
pub(crate) fn now_text() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A new id with a prefix, as the providers make them.
pub(crate) fn new_id(prefix: &str) -> String {
    format!("{prefix}{}", Uuid::new_v4().simple())
}
