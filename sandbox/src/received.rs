//! Everything the stand-ins received, in order.

use std::sync::Mutex;

use serde::Serialize;
use serde_json::Value;

use crate::app::lock;
use crate::faults::FaultKind;
use crate::providers::Provider;

/// One request that a stand-in received.
#[derive(Debug, Clone, Serialize)]
pub struct Received {
    /// Its place in the order of everything that happened in this sandbox.
    pub number: u64,
    /// When it arrived, RFC 3339.
    pub at: String,
    /// Which stand-in it came to.
    pub provider: Provider,
    /// The HTTP method.
    pub method: String,
    /// The path and query as the provider itself would see them.
    pub path: String,
    /// The body: JSON where it is JSON, else text; null when empty or secret.
    pub body: Value,
    /// The status answered; `None` while it is being answered, or when the connection was dropped.
    pub status: Option<u16>,
    /// The scripted fault that it met.
    pub fault: Option<FaultKind>,
}

/// The log of received requests.
#[derive(Debug, Default)]
pub struct ReceivedLog(Mutex<Vec<Received>>);

impl ReceivedLog {
    pub(crate) fn push(&self, received: Received) {
        lock(&self.0).push(received);
    }

    pub(crate) fn answered(&self, number: u64, status: u16) {
        if let Some(entry) = lock(&self.0)
            .iter_mut()
            .rev()
            .find(|entry| entry.number == number)
        {
            entry.status = Some(status);
        }
    }

    /// Everything received, oldest first; of one provider only where one is given.
    pub fn list(&self, provider: Option<Provider>) -> Vec<Received> {
        let log = lock(&self.0);
        let wanted = log
            .iter()
            .filter(|entry| provider.is_none_or(|p| entry.provider == p));
        wanted.cloned().collect()
    }

    pub(crate) fn clear(&self) {
        lock(&self.0).clear();
    }
}
