//! The chat flow: messages are batched per contact, a batch gets one reply.

pub(crate) mod flush;
pub(crate) mod intake;
pub(crate) mod opt_out;
pub(crate) mod precedence;
pub(crate) mod reply;
pub(crate) mod store;
pub(crate) mod timers;
