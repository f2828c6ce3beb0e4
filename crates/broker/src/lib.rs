//! RabbitMQ as Millrace uses it. The only crate that knows lapin.
//!
//! - [`topology`]: every exchange, queue, binding and delay lane, as one table
//! - [`Publisher`]: publishes and waits for the confirm, on a connection of its own
//! - [`consume`]: the loop that reads a work queue and carries out the handlers' [`Verdict`]s
//! - [`trace`]: one trace from the webhook to the last outward call
//!
//! Both connections are rebuilt when the broker went away; lapin's own recovery is not used,
//! because it leaves a channel dead after a channel error and shows consumers no error at all.

mod call;
mod connection;
mod consumer;
mod dead_letters;
mod declare;
mod delivery;
mod depths;
mod expiry;
mod isolation;
mod live;
mod outcome;
mod outgoing;
mod parking;
mod processing;
mod publisher;
pub mod topology;
pub mod trace;
mod verdict;

/// The reader of message headers, for the package `hostile-input`.
#[doc(hidden)]
pub mod readers {
    pub use crate::delivery::attempt;
}

pub use connection::BrokerSettings;
pub use consumer::{ConsumerSettings, Handler, consume};
pub use dead_letters::{DeadLetter, DeadLetterError, DeadLetters};
pub use delivery::Attempt;
pub use depths::{DepthError, Depths};
pub use outgoing::Outgoing;
pub use publisher::{PublishError, Publisher, PublisherStatus};
pub use topology::{Lane, ParkingLot, WorkQueue};
pub use verdict::{Failure, Unavailable, Verdict};
