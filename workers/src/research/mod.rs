//! The research flow: a deal or a request becomes a job, a background response, a document.

mod adoption;
pub(crate) mod completion;
pub(crate) mod document;
pub(crate) mod input;
mod markdown;
mod new_job;
pub(crate) mod result;
pub(crate) mod submission;

use std::collections::BTreeMap;

use clients::openai::Citation;

pub use markdown::harmless;

/// The sections in a response's text.
#[must_use]
pub fn research(text: &str, citations: &[Citation]) -> BTreeMap<&'static str, String> {
    result::Research::read(text, citations).sections
}
