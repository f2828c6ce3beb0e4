//! OpenAI's Responses API: background research, one-shot replies, models.
//!
//! Creating a response is not idempotent, so an [`ErrorKind::Unknown`](crate::ErrorKind::Unknown)
//! from [`Client::submit_research`] may stand for a response that runs and is billed; it makes
//! itself known by its webhook and `metadata`. Facts: `contracts/openai.md`.

mod failure;
mod reply;
mod request;
mod response;

use std::time::Duration;

use chrono::NaiveDate;
use reqwest::{Method, RequestBuilder};
use serde::Deserialize;

pub use self::{
    reply::{InputItem, Reply, ReplyRequest, Role},
    request::{ResearchRequest, Submitted},
    response::{Citation, Response, ResponseStatus, Usage},
};
use crate::{
    Secret,
    error::{ClientError, Provider},
    http::{Answer, BaseUrl, Http},
    lenient,
};

/// Asked for when submitting and when fetching: the pages that a web search has read.
const SOURCES: &str = "web_search_call.action.sources";

const SHORT_TIMEOUT: Duration = Duration::from_secs(30);
/// Creating a background response answers at once, but the request is checked first.
const SUBMIT_TIMEOUT: Duration = Duration::from_secs(60);
/// A finished research can be megabytes of JSON; a reply is generated while we wait.
const LONG_TIMEOUT: Duration = Duration::from_secs(120);

/// How to reach OpenAI.
#[derive(Debug, Clone)]
pub struct OpenaiConfig {
    /// Ends in `/v1`.
    pub base_url: String,
    /// The project's API key.
    pub api_key: Secret,
}

/// The API client. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: Http,
    base: BaseUrl,
    api_key: Secret,
}

/// A fetched response, as text to keep and as an object to read.
#[derive(Debug, Clone)]
pub struct FetchedResponse {
    /// The exact JSON text: store it before anything else, the provider deletes its copy.
    pub raw: String,
    /// The same, parsed.
    pub response: Response,
}

/// A model that the project may use.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Model {
    /// Its name.
    pub id: String,
    /// The day on which it will stop answering, if announced.
    #[serde(default, deserialize_with = "lenient::misfit_as_default")]
    pub shutdown_date: Option<NaiveDate>,
}

impl Client {
    /// Fails on an address that can't be used, or where the system trusts no authorities.
    pub fn new(config: OpenaiConfig) -> Result<Self, ClientError> {
        Ok(Self {
            http: Http::new(Provider::OpenAi)?,
            base: BaseUrl::parse(Provider::OpenAi, &config.base_url)?,
            api_key: config.api_key,
        })
    }

    /// Starts a stored background response and returns at once.
    pub async fn submit_research(
        &self,
        request: &ResearchRequest,
    ) -> Result<Submitted, ClientError> {
        let call = self
            .request(Method::POST, &["responses"])
            .json(&request.body());
        self.call("submit the research", SUBMIT_TIMEOUT, call)
            .await?
            .parse()
    }

    /// Fetches a response in whatever state it is.
    /// [`NotFound`](crate::ErrorKind::NotFound) is final: it has been deleted.
    pub async fn fetch_response(&self, id: &str) -> Result<FetchedResponse, ClientError> {
        let call = self
            .request(Method::GET, &["responses", id])
            .query(&[("include[]", SOURCES)]);
        let answer = self.call("fetch the response", LONG_TIMEOUT, call).await?;
        let response = answer.parse()?;
        Ok(FetchedResponse {
            raw: answer.into_body(),
            response,
        })
    }

    /// Cancels a background response; returns its final state. Harmless when repeated.
    pub async fn cancel_response(&self, id: &str) -> Result<Response, ClientError> {
        let call = self.request(Method::POST, &["responses", id, "cancel"]);
        self.call("cancel the response", SHORT_TIMEOUT, call)
            .await?
            .parse()
    }

    /// Generates one reply while the caller waits. Nothing is stored there, so also an
    /// `Unknown` may be repeated; it costs tokens and no more.
    pub async fn generate_reply(&self, request: &ReplyRequest) -> Result<Reply, ClientError> {
        let call = self
            .request(Method::POST, &["responses"])
            .json(&request.body());
        let answer = self.call("generate the reply", LONG_TIMEOUT, call).await?;
        Reply::from_answer(&answer)
    }

    /// Looks a model up, to learn in time that it will be shut down.
    pub async fn model(&self, id: &str) -> Result<Model, ClientError> {
        let call = self.request(Method::GET, &["models", id]);
        self.call("look up the model", SHORT_TIMEOUT, call)
            .await?
            .parse()
    }

    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        self.http
            .request(method, self.base.join(path.iter().copied()))
            .bearer_auth(self.api_key.expose())
    }

    async fn call(
        &self,
        operation: &'static str,
        timeout: Duration,
        call: RequestBuilder,
    ) -> Result<Answer, ClientError> {
        self.http
            .send(operation, timeout, call)
            .await?
            .success_or(failure::read)
    }
}
