//! HubSpot's CRM API: deals, companies, notes. Facts: `contracts/hubspot.md`.
//!
//! Updating a deal may be repeated freely; creating a note makes a second one, so after an unknown
//! outcome look for it first ([`Client::find_note`]).

mod failure;
mod notes;
mod objects;

use std::time::Duration;

use reqwest::{Method, RequestBuilder};

pub use self::objects::{Company, Deal};
use crate::{
    Secret,
    error::{ClientError, Provider},
    http::{Answer, BaseUrl, Http},
};

const TIMEOUT: Duration = Duration::from_secs(30);

/// The paths, in one place: the numbered versions lose support in 2027, and dates
/// (`crm/objects/2026-09`) replace them.
mod paths {
    pub(super) const OBJECTS: [&str; 3] = ["crm", "v3", "objects"];
    pub(super) const ASSOCIATIONS: [&str; 3] = ["crm", "v4", "objects"];
}

/// How to reach HubSpot.
#[derive(Debug, Clone)]
pub struct HubspotConfig {
    /// The host, such as `https://api.hubapi.com`.
    pub base_url: String,
    /// Token of a private app, or a service key.
    pub access_token: Secret,
}

/// The API client. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: Http,
    base: BaseUrl,
    access_token: Secret,
}

impl Client {
    /// Fails on an address that can't be used, or where the system trusts no authorities.
    pub fn new(config: HubspotConfig) -> Result<Self, ClientError> {
        Ok(Self {
            http: Http::new(Provider::HubSpot)?,
            base: BaseUrl::parse(Provider::HubSpot, &config.base_url)?,
            access_token: config.access_token,
        })
    }

    fn request(&self, method: Method, version: [&str; 3], path: &[&str]) -> RequestBuilder {
        let url = self
            .base
            .join(version.into_iter().chain(path.iter().copied()));
        self.http
            .request(method, url)
            .bearer_auth(self.access_token.expose())
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
