//! Every parser of Millrace that meets the outside, as a function that takes any bytes and panics
//! where the parser breaks a promise.
//!
//! The fuzzers in `fuzz/` call these functions for hours (`./dev fuzz`), the tests of this crate for
//! seconds: with the corpus that the fuzzers start from, and with bytes made up by proptest.

mod broker_headers;
mod documents;
mod events;
mod replies;
mod research;
mod retry_after;
mod signatures;
mod webhooks;

use chrono::{DateTime, Utc};

/// A parser under attack. Its name is that of its corpus folder and of its fuzz target.
pub struct Target {
    /// Such as `chat_payload`.
    pub name: &'static str,
    /// Panics where the parser breaks a promise.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "signature_headers",
        run: signatures::signature_headers,
    },
    Target {
        name: "chat_payload",
        run: webhooks::chat_payload,
    },
    Target {
        name: "hubspot_events",
        run: webhooks::hubspot_events,
    },
    Target {
        name: "openai_event",
        run: webhooks::openai_event,
    },
    Target {
        name: "envelope",
        run: events::envelope,
    },
    Target {
        name: "broker_headers",
        run: broker_headers::broker_headers,
    },
    Target {
        name: "openai_response",
        run: research::openai_response,
    },
    Target {
        name: "research_result",
        run: research::research_result,
    },
    Target {
        name: "markdown",
        run: documents::markdown,
    },
    Target {
        name: "reply",
        run: replies::reply,
    },
    Target {
        name: "retry_after",
        run: retry_after::retry_after,
    },
];

/// Runs one target; for the fuzzers.
///
/// # Panics
/// When there is none of this name, and where its parser breaks a promise.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.expect("a target of this name").run)(data);
}

/// A time for what is read now: the 22nd of November 2026.
fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_350_000, 0).unwrap_or_default()
}

/// The first line and the rest.
fn first_line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[]),
    }
}
