//! The stand-ins, seen from outside: over HTTP, as Millrace's clients and gateway see them.

mod delivery;
mod demo;
mod faults;
mod google;
mod highlevel;
mod hubspot;
mod openai;
mod program;
mod support;
