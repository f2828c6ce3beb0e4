//! Who sent this? One module for each sender; pure functions over headers and raw bytes.
//!
//! Verification is a type: a [`Verified`] can be made in this module only, by the extractors in
//! `extract` and `client`, and [`crate::publish::Ingress::publish`] asks for one. A handler without it can't
//! publish.

mod client;
mod extract;
pub mod highlevel;
pub mod hubspot;
mod problems;
mod public_key;
mod rejection;
mod shared_secret;
pub mod standard_webhooks;
pub mod workflow_secret;

use std::ops::Deref;

pub use client::{Access, Client, Operate, Read, Submit};
pub use extract::{HighLevelDelivery, HubSpotDelivery, HubSpotWorkflowDelivery, OpenAiDelivery};
pub use highlevel::HighLevelKeys;
pub use public_key::{Ed25519Key, KeyError, RsaKey};
pub use rejection::Rejection;
pub use standard_webhooks::{SecretError, SigningSecret};

/// Something whose sender has proved who they are.
#[derive(Debug)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    fn new(content: T) -> Self {
        Self(content)
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
