//! Millrace's workers: one binary, one module for each worker, roles chosen on the command line.
//!
//! - `chat`: intake, flush and reply
//! - `research`: submission and completion
//! - `notification`: news for people and for the CRM
//! - `sweeper`: finds what was forgotten
//! - [`retention`]: removes what has been kept for its time; [`erasure`]: one contact's data, on request
//! - [`conservation`]: whether everything that was accepted is accounted for
//!
//! Every handler answers the same questions in its module's first comment: what it reads and
//! writes, why running it twice is harmless, and what to do with its parked messages.

mod chat;
mod config;
pub mod conservation;
pub mod erasure;
mod follow_ups;
mod group_commit;
mod halt;
mod notification;
mod prices;
#[cfg(test)]
mod properties;
mod research;
pub mod retention;
mod roles;
mod run;
mod sweeper;
mod text;
mod time;

/// The readers of what models and web pages write, for the package `hostile-input`.
#[doc(hidden)]
pub mod readers {
    pub use crate::chat::reply::check_reply;
    pub use crate::research::{harmless, research};
}

pub use config::Config;
pub use roles::{Role, UnknownRole, parse_roles};
pub use run::{RunError, Running, eraser, open_books, pruner, start};
