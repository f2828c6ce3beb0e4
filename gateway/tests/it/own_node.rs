//! A broker that is blocked, killed and started again: each sender is asked to try again in time, and
//! the gateway goes on by itself. The node is the test's own, so that other tests are not disturbed.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;
use test_support::{Node, eventually};
use tokio::join;

use crate::gateway::{Gateway, NO_DATABASE, SOON, highlevel, hubspot, openai, workflow};

/// Within two seconds, and some for a busy machine: HubSpot, the least patient, waits for five.
const DEADLINE: Duration = Duration::from_secs(4);

const STAGE_EVENT: &str = r#"[{"portalId":1,"objectId":2,"occurredAt":3,
    "subscriptionType":"deal.propertyChange","propertyName":"dealstage","propertyValue":"won"}]"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_is_answered_in_time_and_over_by_itself() {
    let node = Node::start(&[]).await;
    let broker = node.broker();
    let gateway = Gateway::connected(&broker, NO_DATABASE).await;
    node.control(&["set_vm_memory_high_watermark", "0.000001"]);
    // The first ones find out, the next ones are told.
    refused(&gateway).await;
    refused(&gateway).await;
    node.control(&["set_vm_memory_high_watermark", "0.6"]);
    accepted_again(&gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_broker_is_answered_in_time_and_comes_back_with_what_it_has_confirmed() {
    let mut node = Node::start(&[]).await;
    let broker = node.broker();
    let gateway = Gateway::connected(&broker, NO_DATABASE).await;
    assert_eq!(gateway.send(ended("confirmed")).await.status, 202);
    node.kill();
    refused(&gateway).await;
    refused(&gateway).await;
    node.restart().await;
    accepted_again(&gateway).await;
    let waiting = tokio::task::block_in_place(|| broker.waiting("research.completion"));
    let first = waiting[0]["payload"].as_str().unwrap();
    assert!(first.contains("\"confirmed\""), "{first}");
}

/// Every kind of sender gets the status on which it tries again, and in time.
async fn refused(gateway: &Gateway) {
    let message = r#"{"contact_id":"c","message":"Hi"}"#;
    let native = r#"{"type":"InboundMessage","contactId":"c","body":"Hi"}"#;
    let expect = async |request, status| {
        let started = Instant::now();
        let answer = gateway.send(request).await;
        assert!(started.elapsed() < DEADLINE, "{:?}", started.elapsed());
        assert_eq!(answer.problem(status), "not-confirmed");
        assert!(answer.retry_after() > 0);
    };
    join!(
        expect(ended("during"), 503),
        expect(hubspot("/webhook/hubspot", STAGE_EVENT), 503),
        expect(highlevel("/webhook", native), 429),
        expect(workflow("application/json", message), 429),
    );
}

async fn accepted_again(gateway: &Gateway) {
    let started = Instant::now();
    eventually("webhooks are accepted again", SOON, async || match gateway
        .send(ended("after"))
        .await
        .status
        .as_u16()
    {
        202 => Ok(()),
        status => Err(status),
    })
    .await;
    println!("Accepted again after {:?}.", started.elapsed());
}

fn ended(id: &str) -> Request<Body> {
    openai(
        id,
        r#"{"type":"response.completed","data":{"id":"resp_1"}}"#,
    )
}
