//! What clients and operators ask of the gateways, and of RabbitMQ.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::subject;
use crate::world::{API_KEY, World};

/// How long a caller goes on asking.
const PATIENCE: Duration = Duration::from_secs(120);

/// Asks for research. Returns the job that the gateway names.
pub(super) async fn request(world: &World, number: u32, twice: bool) -> Option<String> {
    let key = format!("chaos-{number}");
    let company = json!({"name": subject::company(number)});
    let body = json!({"companyId": format!("company-{number}"), "company": company});
    let ask = || call(world, "/generate", &body, Some(&key));
    let answer = if twice {
        let (first, second) = tokio::join!(ask(), ask());
        first.or(second)
    } else {
        ask().await
    };
    answer?["job_id"].as_str().map(str::to_owned)
}

/// Has a contact's batch closed. That there is none is an answer too.
pub(super) async fn close_batch(world: &World, contact: u32) -> Option<String> {
    let path = format!("/force-process-batch/{}", subject::contact(contact));
    let answer = call(world, &path, &Value::Null, None).await;
    answer.map(|answer| answer.to_string())
}

/// Changes the wait before a batch closes.
pub(super) async fn change_wait(world: &World, seconds: u32) -> Option<String> {
    let wait = json!({"batch_wait_time": seconds});
    let answer = call(world, "/batch-config", &wait, None).await;
    answer.map(|answer| answer.to_string())
}

/// Puts bytes that are no event into a work queue.
pub(super) async fn put_unreadable(world: &World, number: u32, queue: &str) -> Option<String> {
    let payload = subject::unreadable(number);
    let put = || async { world.management.publish(queue, &payload).await.ok() };
    until_some(put).await?;
    Some(queue.to_owned())
}

async fn call(world: &World, path: &str, body: &Value, key: Option<&str>) -> Option<Value> {
    let url = format!("{}{path}", world.relay.url());
    let ask = || async {
        let mut request = world.http.post(&url).bearer_auth(API_KEY).json(body);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let answer = request.send().await.ok()?;
        let status = answer.status();
        let answered = status.is_success() || status == StatusCode::NOT_FOUND;
        let body = answer.bytes().await.ok().filter(|_| answered)?;
        serde_json::from_slice(&body).ok()
    };
    until_some(ask).await
}

/// Tries, ever more slowly, until there is an answer or the caller's patience is over.
async fn until_some<T, F: Future<Output = Option<T>>>(try_once: impl Fn() -> F) -> Option<T> {
    let began = Instant::now();
    let mut wait = Duration::from_millis(250);
    while began.elapsed() < PATIENCE {
        if let Some(answer) = try_once().await {
            return Some(answer);
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(Duration::from_secs(4));
    }
    None
}
