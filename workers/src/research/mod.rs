//! The research flow: a deal or a request becomes a job, a background response, a document.

pub(crate) mod completion;
pub(crate) mod document;
pub(crate) mod input;
mod markdown;
pub(crate) mod result;
pub(crate) mod submission;
