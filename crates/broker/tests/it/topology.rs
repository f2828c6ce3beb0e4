//! The topology as the broker sees it, and as its page describes it.

use broker::{DeadLetters, Lane, Outgoing, Publisher, WorkQueue};
use lapin::options::{BasicGetOptions, BasicRejectOptions};
use serde_json::json;

use crate::stage::{QUEUE, Stage, event, ready};

#[tokio::test(flavor = "multi_thread")]
async fn declaring_twice_is_harmless() {
    let stage = Stage::start().await;
    stage.put("kept").await;
    let second = Publisher::start(stage.broker.settings());
    ready(&second).await;
    DeadLetters::connect(&stage.broker.settings())
        .await
        .unwrap();
    assert_eq!(stage.take(QUEUE.name()).await.id(), "kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_queue_that_hands_on_does_so_at_least_once_to_a_named_target() {
    let stage = Stage::start().await;
    for queue in WorkQueue::ALL {
        let declared = stage.broker.queue(queue.name());
        assert_eq!(declared["durable"], true);
        assert_eq!(
            declared["arguments"],
            json!({
                "x-queue-type": "quorum",
                "x-delivery-limit": 20,
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": queue.parking_lot(),
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
            })
        );
        let parking_lot = stage.broker.queue(&queue.parking_lot());
        assert_eq!(
            parking_lot["arguments"],
            json!({"x-queue-type": "quorum", "x-delivery-limit": 1_000_000})
        );
    }
    let timer = Outgoing::delayed(Lane::seconds(30), QUEUE, event("timer"));
    stage.publisher.publish(&timer).await.unwrap();
    assert_eq!(
        stage.broker.queue("delay.30s")["arguments"],
        json!({
            "x-queue-type": "quorum",
            "x-delivery-limit": 1_000_000,
            "x-dead-letter-exchange": "",
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
            "x-message-ttl": 30_000,
        })
    );
}

/// The net for a message that kills its worker before anything can be counted.
#[tokio::test(flavor = "multi_thread")]
async fn the_broker_parks_a_message_that_comes_back_too_often() {
    let stage = Stage::start().await;
    stage.put("killer").await;
    let connection = stage.connect().await;
    let channel = connection.create_channel().await.unwrap();
    let mut returned = 0;
    while let Some(got) = channel
        .basic_get(QUEUE.name().into(), BasicGetOptions::default())
        .await
        .unwrap()
    {
        got.delivery
            .reject(BasicRejectOptions { requeue: true })
            .await
            .unwrap();
        returned += 1;
    }
    assert_eq!(returned, 21, "the first delivery and 20 more");
    assert_eq!(stage.take(&QUEUE.parking_lot()).await.id(), "killer");
}

/// `UPDATE_DOCS=1 cargo nextest run -p broker docs` writes the table anew.
#[test]
fn the_docs_hold_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/queues.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (before, rest) = page
        .split_once("<!-- topology -->\n")
        .expect("a start marker");
    let (_, after) = rest
        .split_once("<!-- /topology -->")
        .expect("an end marker");
    let table = broker::topology::markdown();
    let expected = format!("{before}<!-- topology -->\n{table}<!-- /topology -->{after}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &expected).unwrap();
    } else {
        assert_eq!(
            page, expected,
            "run UPDATE_DOCS=1 cargo nextest run -p broker docs"
        );
    }
}
