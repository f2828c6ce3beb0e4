//! The commands besides `run`.

pub(crate) mod api_key;
pub(crate) mod conservation;
pub(crate) mod contact;
pub(crate) mod dead_letters;
pub(crate) mod healthcheck;
pub(crate) mod migrate;
pub(crate) mod prune;
