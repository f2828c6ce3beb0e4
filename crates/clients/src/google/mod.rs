//! Google Drive and Docs with a service account. Facts: `contracts/google.md`.
//!
//! A document is made in two steps, each safe to repeat: find or create the file that carries our
//! job id ([`Client::find_file_by_job`], [`Client::copy_template`]), then fill it
//! ([`Client::fill_template`], which does nothing once no placeholder is left).

mod docs;
mod drive;
mod failure;
mod key;
pub mod markdown;
mod token;

use std::{sync::Arc, time::Duration};

use reqwest::{Method, RequestBuilder, Url};

use self::token::TokenSource;
pub use self::{
    docs::{Filled, Section},
    drive::DriveFile,
    key::ServiceAccountKey,
};
use crate::{
    error::{ClientError, Provider},
    http::{Answer, BaseUrl, Http},
};

/// Copying and converting take seconds.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How to reach Google.
#[derive(Debug, Clone)]
pub struct GoogleConfig {
    /// The service account.
    pub credentials: ServiceAccountKey,
    /// The user to act as, with domain-wide delegation. Without one, files must lie in a shared
    /// drive: a service account owns no storage.
    pub impersonate: Option<String>,
    /// The part before `/drive/v3`, such as `https://www.googleapis.com`.
    pub drive_base_url: String,
    /// The part before `/v1/documents`, such as `https://docs.googleapis.com`.
    pub docs_base_url: String,
}

/// The API client. Clones share one access token.
#[derive(Debug, Clone)]
pub struct Client {
    http: Http,
    drive: BaseUrl,
    docs: BaseUrl,
    tokens: Arc<TokenSource>,
}

impl Client {
    /// Fails on a key or an address that can't be used, or where the system trusts no authorities.
    pub fn new(config: GoogleConfig) -> Result<Self, ClientError> {
        let http = Http::new(Provider::Google)?;
        Ok(Self {
            drive: BaseUrl::parse(Provider::Google, &config.drive_base_url)?,
            docs: BaseUrl::parse(Provider::Google, &config.docs_base_url)?,
            tokens: Arc::new(TokenSource::new(
                http.clone(),
                &config.credentials,
                config.impersonate,
            )?),
            http,
        })
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// Sends with the current token; after a 401 once more with a new one.
    async fn call(
        &self,
        operation: &'static str,
        request: RequestBuilder,
    ) -> Result<Answer, ClientError> {
        let again = request
            .try_clone()
            .expect("bodies are texts, never streams");
        let token = self.tokens.current().await?;
        let first = self
            .http
            .send(operation, TIMEOUT, request.bearer_auth(token.expose()))
            .await?;
        let answer = if first.status() == 401 {
            let token = self.tokens.replace(&token).await?;
            self.http
                .send(operation, TIMEOUT, again.bearer_auth(token.expose()))
                .await?
        } else {
            first
        };
        answer.success_or(|answer| failure::read(answer, self.tokens.account()))
    }
}
