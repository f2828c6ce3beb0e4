//! The HTTP clients of Millrace's workers: [`openai`], [`hubspot`], [`highlevel`], [`google`] and
//! [`notify`], over one thin layer. This crate is the only user of reqwest.
//!
//! A call either succeeds or gives a [`ClientError`], whose [`ErrorKind`] says what the caller may
//! do: repeat, ask first, give up, or wait for a person. No client repeats a call by itself (one
//! exception: Google's access token is renewed once after a 401); repeating is the workers'
//! business, which know what they have recorded. What the services promise stands in the contract
//! notes under `docs/`.

mod echo;
mod error;
pub mod google;
pub mod highlevel;
mod http;
pub mod hubspot;
mod lenient;
pub mod notify;
pub mod openai;
mod retry_after;
mod secret;

/// The reader of `Retry-After`, for the package `hostile-input`.
#[doc(hidden)]
pub mod readers {
    pub use crate::retry_after::retry_after;
}

pub use error::{ClientError, ErrorKind, Provider, Reason};
pub use http::install_crypto_provider;
pub use secret::Secret;
