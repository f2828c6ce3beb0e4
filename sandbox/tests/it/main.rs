//! The stand-ins, seen from outside: over HTTP, as Millrace's clients and gateway see them.

#![allow(
    clippy::unwrap_used,
    reason = "clippy allows it in test functions, but not in what they share"
)]

mod delivery;
mod demo;
mod faults;
mod google;
mod google_token;
mod highlevel;
mod hubspot;
mod openai;
mod program;
mod support;
