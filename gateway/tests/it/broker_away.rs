//! Without a broker nothing is accepted, and each sender gets the status on which it tries again.

use std::time::{Duration, Instant};

use tokio::join;

use crate::gateway::{Gateway, highlevel, hubspot, openai, unproven, workflow};

/// Senders give up after 5 s (HubSpot); the answer must be there well before.
const DEADLINE: Duration = Duration::from_secs(3);

const STAGE_EVENT: &str = r#"[{"portalId":1,"objectId":2,"occurredAt":3,
    "subscriptionType":"deal.propertyChange","propertyName":"dealstage","propertyValue":"won"}]"#;

#[tokio::test]
async fn each_sender_gets_the_status_on_which_it_tries_again() {
    let message = r#"{"contact_id":"c","message":"Hi"}"#;
    let native = r#"{"type":"InboundMessage","contactId":"c","body":"Hi"}"#;
    let completed = r#"{"type":"response.completed","data":{"id":"resp_1"}}"#;
    let gateway = Gateway::alone();
    let expect = async |request, status| {
        let started = Instant::now();
        let answer = gateway.send(request).await;
        assert!(started.elapsed() < DEADLINE, "{:?}", started.elapsed());
        assert_eq!(answer.problem(status), "not-confirmed");
        assert!(answer.retry_after() > 0);
    };
    join!(
        expect(openai("wh_1", completed), 503),
        expect(hubspot("/webhook/hubspot", STAGE_EVENT), 503),
        expect(highlevel("/webhook", native), 429),
        expect(workflow("application/json", message), 429),
    );
}

#[tokio::test]
async fn clients_get_503() {
    let (gateway, started) = (Gateway::alone(), Instant::now());
    let answer = gateway
        .call("POST", "/generate", r#"{"companyId":1}"#)
        .await;
    assert!(started.elapsed() < DEADLINE, "{:?}", started.elapsed());
    assert_eq!(answer.problem(503), "not-confirmed");
    assert!(answer.retry_after() > 0);
}

#[tokio::test]
async fn after_a_while_requests_stop_waiting_for_the_broker() {
    let gateway = Gateway::alone();
    let completed = r#"{"type":"response.completed","data":{"id":"resp_1"}}"#;
    assert_eq!(gateway.send(openai("wh_1", completed)).await.status, 503);
    let started = Instant::now();
    assert_eq!(gateway.send(openai("wh_2", completed)).await.status, 503);
    // One that waits takes 1.8 s.
    assert!(
        started.elapsed() < Duration::from_millis(1500),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn it_is_alive_and_says_that_it_is_not_ready() {
    let gateway = Gateway::alone();
    let answer = gateway.send(unproven("GET", "/health", "")).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.body["status"]),
        (200, &"healthy".into())
    );
    let answer = gateway.send(unproven("GET", "/health/ready", "")).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.body["broker"]["status"], "disconnected");
    assert_eq!(answer.body["database"]["status"], "down");
    let answer = gateway.send(unproven("GET", "/test-webhook", "")).await;
    assert_eq!(answer.problem(503), "not-confirmed");
}

#[tokio::test]
async fn without_a_database_questions_get_503() {
    let gateway = Gateway::alone();
    let expect = async |path| {
        let answer = gateway.call("GET", path, "").await;
        assert_eq!(answer.problem(503), "database-unavailable", "{path}");
    };
    join!(
        expect("/job-status/resp_1"),
        expect("/batch-config"),
        expect("/queue-status"),
        expect("/batch-status/c"),
    );
}
