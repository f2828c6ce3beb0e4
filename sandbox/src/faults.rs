//! Scripted faults: what a stand-in does wrong, how often, on which route.

use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use crate::app::lock;
use crate::providers::Provider;

/// The ways a request can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Answers `status` in the provider's error shape; the work is not done.
    Status,
    /// Does the work, then answers `status`.
    StatusAfter,
    /// Drops the connection; the work is not done.
    DropBefore,
    /// Does the work, then drops the connection.
    DropAfter,
    /// Waits `delay_ms`, then does the work and answers as usual.
    Delay,
    /// Does the work, then answers half of the JSON under the content type `text/html`.
    Garbage,
}

/// A fault and where it strikes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The stand-in that misbehaves.
    pub provider: Provider,
    /// Part of `METHOD path`, for example `POST /v1/responses`; the empty text fits everything.
    #[serde(default)]
    pub route: String,
    /// What goes wrong.
    pub kind: FaultKind,
    /// The status for `status` and `status_after` (default 500).
    #[serde(default = "internal_server_error")]
    pub status: u16,
    /// What the error says for `status` and `status_after`, in place of the usual words. Providers
    /// repeat in their errors what they were sent.
    #[serde(default)]
    pub message: Option<String>,
    /// Value of a `Retry-After` header.
    #[serde(default)]
    pub retry_after: Option<String>,
    /// Milliseconds for `delay`.
    #[serde(default)]
    pub delay_ms: u64,
    /// How many requests it strikes (default 1).
    #[serde(default = "once")]
    pub times: u32,
}

/// The faults still to come.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    /// Adds a fault behind those already scripted.
    pub fn add(&self, fault: Fault) {
        lock(&self.0).push(fault);
    }

    /// The faults that have not struck as often as asked.
    pub fn pending(&self) -> Vec<Fault> {
        lock(&self.0).clone()
    }

    /// The fault for a request, if one was scripted; uses up one of its times.
    pub(crate) fn take(&self, provider: Provider, routes: &[String]) -> Option<Fault> {
        let mut faults = lock(&self.0);
        let index = faults.iter().position(|fault| {
            fault.provider == provider && routes.iter().any(|route| route.contains(&fault.route))
        })?;
        let fault = faults[index].clone();
        if fault.times <= 1 {
            faults.remove(index);
        } else {
            faults[index].times -= 1;
        }
        Some(fault)
    }

    pub(crate) fn clear(&self) {
        lock(&self.0).clear();
    }
}

fn internal_server_error() -> u16 {
    500
}

fn once() -> u32 {
    1
}
