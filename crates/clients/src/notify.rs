//! The operator's own endpoint for notifications (`NOTIFY_WEBHOOK_URL`).

use std::time::Duration;

use reqwest::{Method, Url};
use serde::Serialize;

use crate::{
    error::{ClientError, Provider},
    http::Http,
};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Posts notifications. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: Http,
}

impl Client {
    /// Fails where the system has no certificate authorities.
    pub fn new() -> Result<Self, ClientError> {
        Ok(Self {
            http: Http::new(Provider::Notify)?,
        })
    }

    /// Posts `body` as JSON. `id` goes into the header `webhook-id`, by which the receiver knows a
    /// repeat. Any 2xx is success; redirects are not followed.
    pub async fn post<T: Serialize + ?Sized>(
        &self,
        url: &str,
        id: &str,
        body: &T,
    ) -> Result<(), ClientError> {
        let operation = "take the notification";
        let url: Url = url.parse().map_err(|error: url::ParseError| {
            ClientError::set_up(Provider::Notify, operation, error.to_string())
        })?;
        let request = self
            .http
            .request(Method::POST, url)
            .header("webhook-id", id)
            .json(body);
        self.http
            .send(operation, TIMEOUT, request)
            .await?
            .success_or(|answer| answer.failure(answer.usual_kind(), answer.usual_message()))?;
        Ok(())
    }
}
