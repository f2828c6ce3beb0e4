//! A client and operator of the gateway.

use reqwest::Method;
use serde_json::Value;
use test_support::eventually;

use crate::World;
use crate::watching::PATIENCE;

/// The key that opens the routes of clients and operators.
pub const API_KEY: &str = "key-of-the-end-to-end-tests";

/// An answer of the gateway, read whole.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; null where it is no JSON.
    pub body: Value,
}

impl World {
    /// Asks with the API key.
    pub async fn get(&self, path: &str) -> Answer {
        self.ask(self.request(Method::GET, path).bearer_auth(API_KEY))
            .await
    }

    /// Posts JSON with the API key.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self.request(Method::POST, path).bearer_auth(API_KEY);
        self.ask(request.json(body)).await
    }

    /// Asks for research, with an `Idempotency-Key` where one is given, and returns the job's id.
    ///
    /// # Panics
    /// When the gateway does not accept it.
    pub async fn generate(&self, body: &Value, idempotency_key: Option<&str>) -> String {
        let mut request = self.request(Method::POST, "/generate").json(body);
        request = request.bearer_auth(API_KEY);
        if let Some(key) = idempotency_key {
            request = request.header("idempotency-key", key);
        }
        let answer = self.ask(request).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        let job_id = answer.body["job_id"].as_str();
        job_id.expect("the answer names the job").to_owned()
    }

    /// A request to the gateway without any proof of who sends it.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.gateway_url());
        self.http.request(method, url)
    }

    /// Sends a request and reads its answer. While the answer is 503, which a busy machine can cause,
    /// the request is sent again, as a client should.
    ///
    /// # Panics
    /// When there is no answer, or none but 503.
    pub async fn ask(&self, request: reqwest::RequestBuilder) -> Answer {
        eventually("an answer but 503", PATIENCE, async || {
            let request = request.try_clone().expect("the body is no stream");
            let response = request.send().await.expect("the gateway answers");
            let status = response.status().as_u16();
            let body = response.text().await.expect("the answer is complete");
            let body = serde_json::from_str(&body).unwrap_or_default();
            let answer = Answer { status, body };
            if status == 503 {
                Err(answer)
            } else {
                Ok(answer)
            }
        })
        .await
    }
}
