//! What each client really sends, and what it makes of the documented answers. The other side is a
//! scripted HTTP server ([`stand_in`]).

#![allow(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    reason = "helpers of tests are tests too"
)]

mod google;
mod google_token;
mod highlevel;
mod hubspot;
mod notify;
mod openai;
mod stand_in;
