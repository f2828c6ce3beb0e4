//! A sandbox with a gateway that writes down every webhook, and a client for both.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use reqwest::{Method, Response};
use sandbox::{Sandbox, SandboxConfig};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

const PATIENCE: Duration = Duration::from_secs(10);

/// A webhook as the gateway received it.
#[derive(Debug, Clone)]
pub(crate) struct Delivered {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Delivered {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A gateway that answers as told, 202 by default.
#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) url: String,
    answers: Arc<Mutex<VecDeque<u16>>>,
    delivered: watch::Sender<Vec<Delivered>>,
}

impl Gateway {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let gateway = Self {
            url,
            answers: Arc::default(),
            delivered: watch::Sender::default(),
        };
        let router = Router::new().fallback(receive).with_state(gateway.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        gateway
    }

    /// The statuses of the next answers.
    pub(crate) fn answer_with(&self, statuses: &[u16]) {
        self.answers.lock().unwrap().extend(statuses);
    }

    /// Waits until so many webhooks have arrived, and gives them all.
    pub(crate) async fn delivered(&self, count: usize) -> Vec<Delivered> {
        let mut receiver = self.delivered.subscribe();
        let enough = receiver.wait_for(|delivered| delivered.len() >= count);
        let delivered = tokio::time::timeout(PATIENCE, enough).await;
        delivered
            .expect("the webhooks should have arrived by now")
            .unwrap()
            .clone()
    }

    /// How many webhooks have arrived.
    pub(crate) fn count(&self) -> usize {
        self.delivered.borrow().len()
    }
}

async fn receive(
    State(gateway): State<Gateway>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let delivered = Delivered {
        path: uri.path().to_owned(),
        headers,
        body,
    };
    gateway.delivered.send_modify(|all| all.push(delivered));
    let status = gateway.answers.lock().unwrap().pop_front().unwrap_or(202);
    StatusCode::from_u16(status).unwrap()
}

/// A sandbox with its gateway.
pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) gateway: Gateway,
    pub(crate) http: reqwest::Client,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut SandboxConfig)) -> Self {
        let gateway = Gateway::start().await;
        let mut config = SandboxConfig {
            gateway: gateway.url.clone(),
            research_time: Duration::from_millis(20),
            retry_delay: Duration::from_millis(10),
            ..SandboxConfig::default()
        };
        change(&mut config);
        let sandbox = Sandbox::start(config).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            sandbox,
            gateway,
            http,
        }
    }

    /// A call to the control interface, which must succeed.
    pub(crate) async fn control(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.sandbox.base_url());
        let answer = self.http.post(url).json(body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.unwrap()
    }

    /// What the control interface shows.
    pub(crate) async fn show(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.sandbox.base_url());
        self.http
            .get(url)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }

    /// A call to a stand-in with a bearer token; status and JSON.
    pub(crate) async fn call(
        &self,
        method: Method,
        url: &str,
        token: &str,
        body: Option<&Value>,
    ) -> (u16, Value) {
        let mut request = self.http.request(method, url).bearer_auth(token);
        if url.contains("/highlevel/") {
            let contacts = url.contains("/contacts/");
            request = request.header(
                "version",
                if contacts { "2021-07-28" } else { "2021-04-15" },
            );
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        status_and_json(request.send().await.unwrap()).await
    }
}

pub(crate) async fn status_and_json(answer: Response) -> (u16, Value) {
    (answer.status().as_u16(), answer.json().await.unwrap())
}
