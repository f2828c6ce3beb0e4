//! HighLevel's API: sending a message, reading a conversation, a contact's consent.
//!
//! Sending is not idempotent: after an unknown outcome look at [`Client::recent_messages`] for the
//! same text, outbound, source `api`, before sending again. Facts: `contracts/highlevel.md`.

mod channel;
mod contact;
mod conversations;
mod failure;
mod send;

use std::time::Duration;

use reqwest::{Method, RequestBuilder, header::ACCEPT};

pub use self::{
    channel::Channel,
    contact::{Contact, DndSetting},
    conversations::{ConversationMessage, Direction},
    send::{OutgoingMessage, SentMessage},
};
use crate::{
    Secret,
    error::{ClientError, Provider},
    http::{Answer, BaseUrl, Http},
};

const TIMEOUT: Duration = Duration::from_secs(15);

/// The `Version` header of the conversations API.
const CONVERSATIONS: &str = "2021-04-15";
/// The `Version` header of the contacts API.
const CONTACTS: &str = "2021-07-28";

/// How to reach HighLevel.
#[derive(Debug, Clone)]
pub struct HighlevelConfig {
    /// The host, such as `https://services.leadconnectorhq.com`.
    pub base_url: String,
    /// A private integration token.
    pub token: Secret,
    /// The sub-account.
    pub location_id: String,
}

/// The API client. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: Http,
    base: BaseUrl,
    token: Secret,
    location_id: String,
}

impl Client {
    /// Fails on an address that can't be used, or where the system trusts no authorities.
    pub fn new(config: HighlevelConfig) -> Result<Self, ClientError> {
        Ok(Self {
            http: Http::new(Provider::HighLevel)?,
            base: BaseUrl::parse(Provider::HighLevel, &config.base_url)?,
            token: config.token,
            location_id: config.location_id,
        })
    }

    fn request(&self, method: Method, version: &str, path: &[&str]) -> RequestBuilder {
        self.http
            .request(method, self.base.join(path.iter().copied()))
            .bearer_auth(self.token.expose())
            .header("Version", version)
            .header(ACCEPT, "application/json")
    }

    async fn call(
        &self,
        operation: &'static str,
        request: RequestBuilder,
    ) -> Result<Answer, ClientError> {
        self.http
            .send(operation, TIMEOUT, request)
            .await?
            .success_or(failure::read)
    }
}
