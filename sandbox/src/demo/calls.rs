//! The demo's calls to the gateway and to the sandbox's control interface.

use std::time::Duration;

use reqwest::Client;
use serde_json::Value;

use super::{DemoOptions, Failure, Step};

/// The two servers.
pub(crate) struct Calls {
    http: Client,
    gateway: String,
    sandbox: String,
    api_key: String,
}

impl Calls {
    pub(crate) fn new(options: &DemoOptions) -> Self {
        // Fails only when another provider is installed already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder()
            .timeout(Duration::from_secs(10))
            .no_proxy()
            .build()
            .expect("the HTTP client has no setting that can fail");
        Self {
            http,
            gateway: options.gateway.clone(),
            sandbox: options.sandbox.clone(),
            api_key: options.api_key.clone(),
        }
    }

    /// Reads from the sandbox's control interface.
    pub(crate) async fn ask(&self, path: &str) -> Step<Value> {
        let url = format!("{}{path}", self.sandbox);
        json(&url, self.http.get(&url)).await
    }

    /// Has the sandbox do something.
    pub(crate) async fn tell(&self, path: &str, body: &Value) -> Step<Value> {
        let url = format!("{}{path}", self.sandbox);
        json(&url, self.http.post(&url).json(body)).await
    }

    /// Sends a webhook straight to the gateway and gives the status of its answer.
    pub(crate) async fn forge(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Step<u16> {
        let url = format!("{}{path}", self.gateway);
        let mut request = self.http.post(&url).json(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request
            .send()
            .await
            .map_err(|error| unreachable_server(&url, &error))?;
        Ok(answer.status().as_u16())
    }

    /// `GET /job-status/{id}`; `None` while the gateway does not know the job.
    pub(crate) async fn job_status(&self, id: &str) -> Step<Option<Value>> {
        let url = format!("{}/job-status/{id}", self.gateway);
        let request = self.http.get(&url).bearer_auth(&self.api_key);
        let answer = request
            .send()
            .await
            .map_err(|error| unreachable_server(&url, &error))?;
        match answer.status().as_u16() {
            404 | 503 => Ok(None),
            200 => answer
                .json()
                .await
                .map(Some)
                .map_err(|error| unreachable_server(&url, &error)),
            status => {
                let expected = "200 (is --api-key one of the gateway's API_KEYS?)";
                Err(Failure::new(&url, expected, &format!("status {status}")))
            }
        }
    }

    /// The number of the newest effect: what comes later belongs to this run.
    pub(crate) async fn newest_effect(&self) -> Step<u64> {
        let effects = self.ask("/sandbox/effects").await?;
        let newest = effects["log"].as_array().and_then(|log| log.last());
        Ok(newest
            .and_then(|effect| effect["number"].as_u64())
            .unwrap_or_default())
    }
}

async fn json(url: &str, request: reqwest::RequestBuilder) -> Step<Value> {
    let answer = request
        .send()
        .await
        .map_err(|error| unreachable_server(url, &error))?;
    let status = answer.status();
    if !status.is_success() {
        let text = answer.text().await.unwrap_or_default();
        return Err(Failure::new(
            url,
            "status 200",
            &format!("{status}: {}", text.trim()),
        ));
    }
    answer
        .json()
        .await
        .map_err(|error| unreachable_server(url, &error))
}

fn unreachable_server(url: &str, error: &reqwest::Error) -> Failure {
    let mut saw = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        saw = format!("{saw}: {cause}");
        source = cause.source();
    }
    Failure::new(url, "an answer", &saw)
}
