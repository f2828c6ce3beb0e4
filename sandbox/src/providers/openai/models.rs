//! The models that exist, and when they end (contracts/openai.md section 3.1).

use chrono::{NaiveDate, Utc};
use serde_json::{Value, json};

/// Every known model with its announced date of shutdown.
const MODELS: &[(&str, Option<&str>)] = &[
    ("o3-deep-research", Some("2026-07-23")),
    ("o3-deep-research-2025-06-26", Some("2026-07-23")),
    ("o4-mini-deep-research", Some("2026-07-23")),
    ("o4-mini-deep-research-2025-06-26", Some("2026-07-23")),
    ("o4-mini", Some("2026-10-23")),
    ("gpt-4", Some("2026-10-23")),
    ("gpt-3.5-turbo", Some("2026-10-23")),
    ("o1", Some("2026-10-23")),
    ("o3-mini", Some("2026-10-23")),
    ("gpt-5", Some("2026-12-11")),
    ("gpt-5-mini", Some("2026-12-11")),
    ("gpt-5-nano", Some("2026-12-11")),
    ("gpt-5-pro", Some("2026-12-11")),
    ("o3", Some("2026-12-11")),
    ("o3-pro", Some("2026-12-11")),
    ("gpt-4o", Some("2027-01-14")),
    ("gpt-4o-mini", Some("2027-01-14")),
    ("gpt-4.1", Some("2027-01-14")),
    ("gpt-4.1-mini", Some("2027-01-14")),
    ("gpt-5.1", Some("2027-04-01")),
    ("gpt-5.4-nano", Some("2027-04-01")),
    ("gpt-5.4", None),
    ("gpt-5.4-mini", None),
    ("gpt-5.4-pro", None),
    ("gpt-5.5", None),
    ("gpt-5.5-2026-04-23", None),
    ("gpt-5.5-pro", None),
    ("gpt-6-astra", None),
    ("gpt-6-sol", None),
    ("gpt-6-luna", None),
    ("gpt-6.1-sol", None),
    ("gpt-6.1-terra", None),
    ("gpt-6.2-astra", None),
    ("gpt-6.2-sol", None),
];

/// The model object, also of a model that has been shut down, so that its date can be read.
pub(crate) fn describe(model: &str) -> Option<Value> {
    let (id, shutdown_date) = MODELS.iter().find(|(id, _)| *id == model)?;
    Some(json!({
        "id": id, "object": "model", "created": 1_750_000_000, "owned_by": "openai",
        "shutdown_date": shutdown_date,
    }))
}

/// Whether a request may name this model today.
pub(crate) fn is_served(model: &str) -> bool {
    let today = Utc::now().date_naive();
    MODELS.iter().any(|(id, shutdown_date)| {
        *id == model
            && shutdown_date
                .and_then(parse_date)
                .is_none_or(|date| today < date)
    })
}

/// The dated name that an answer carries.
pub(crate) fn snapshot(model: &str) -> &str {
    if model == "gpt-5.5" {
        "gpt-5.5-2026-04-23"
    } else {
        model
    }
}

fn parse_date(text: &str) -> Option<NaiveDate> {
    text.parse().ok()
}
