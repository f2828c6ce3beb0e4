//! A broker behind a network that breaks.

use std::time::{Duration, Instant};

use broker::{Outgoing, PublishError, Publisher, PublisherStatus};
use chrono::Utc;
use futures_util::future::join_all;
use messages::Envelope;
use messages::event_type::BATCH_CLOSED;
use test_support::eventually;
use tokio_util::sync::CancellationToken;

use crate::proxy::{Network, Proxy};
use crate::stage::{QUEUE, SOON, Stage, done, event, ready, settings_at};

const DEADLINE: Duration = Duration::from_millis(500);

/// A publisher that reaches the broker through a proxy, and notices silence after two seconds.
async fn behind_a_proxy(stage: &Stage) -> (Proxy, Publisher) {
    let url = stage.broker.amqp_url();
    let proxy = Proxy::before(url).await;
    let address = format!("{}?heartbeat=1", proxy.url(url));
    let publisher = Publisher::start(settings_at(&address, DEADLINE));
    ready(&publisher).await;
    (proxy, publisher)
}

async fn publishes_again(publisher: &Publisher) {
    eventually("publishing works again", SOON, async || {
        publisher.publish(&Outgoing::event(event("after"))).await
    })
    .await;
}

/// What failed without an answer may have reached the broker all the same, as `PublishError` says.
/// What found no connection has not.
async fn only_after_arrives(stage: &Stage, error: &PublishError) {
    let mut arrived = stage.take(QUEUE.name()).await.id();
    if !matches!(error, PublishError::NotConnected) && arrived == "during" {
        arrived = stage.take(QUEUE.name()).await.id();
    }
    assert_eq!(arrived, "after");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_fails_publishing_within_the_deadline_and_heals() {
    let stage = Stage::start().await;
    let (proxy, publisher) = behind_a_proxy(&stage).await;
    proxy.set(Network::Cut);
    let started = Instant::now();
    let error = publisher
        .publish(&Outgoing::event(event("during")))
        .await
        .unwrap_err();
    assert!(
        matches!(error, PublishError::Broken(_) | PublishError::NotConnected),
        "{error:?}"
    );
    assert!(started.elapsed() < DEADLINE * 10, "{:?}", started.elapsed());
    eventually("the loss is noticed", SOON, async || {
        match publisher.status() {
            PublisherStatus::Disconnected => Ok(()),
            other => Err(other),
        }
    })
    .await;

    proxy.set(Network::Up);
    publishes_again(&publisher).await;
    only_after_arrives(&stage, &error).await;
}

/// Two addresses of one broker stand for two nodes of a cluster (for a real one see `cluster`).
#[tokio::test(flavor = "multi_thread")]
async fn whoever_loses_one_node_goes_to_the_next() {
    let stage = Stage::start().await;
    let url = stage.broker.amqp_url();
    let nodes = [Proxy::before(url).await, Proxy::before(url).await];
    let addresses = nodes.each_ref().map(|node| node.url(url)).join(", ");
    let publisher = Publisher::start(settings_at(&addresses, DEADLINE));
    let reading = stage
        .read_with(|settings| settings.broker.url = addresses, |_, _| done())
        .await;
    for away in [0, 1, 0] {
        nodes[away].set(Network::Cut);
        publishes_again(&publisher).await;
        let handled = reading.diary.ids().len();
        eventually("what comes now is read", SOON, async || {
            stage.put("read").await;
            match reading.diary.ids().len() {
                more if more > handled + 1 => Ok(()),
                other => Err(other),
            }
        })
        .await;
        nodes[away].set(Network::Up);
    }
    reading.stop().await;
}

/// Half-open: the other side is gone and nobody says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_fails_publishing_within_the_deadline_and_heals() {
    let stage = Stage::start().await;
    let (proxy, publisher) = behind_a_proxy(&stage).await;
    proxy.set(Network::Silent);
    let started = Instant::now();
    let error = publisher
        .publish(&Outgoing::event(event("during")))
        .await
        .unwrap_err();
    assert!(
        matches!(error, PublishError::TimedOut | PublishError::Broken(_)),
        "{error:?}"
    );
    assert!(started.elapsed() < DEADLINE * 10, "{:?}", started.elapsed());

    proxy.set(Network::Up);
    publishes_again(&publisher).await;
    only_after_arrives(&stage, &error).await;
}

/// Also what has missed its deadline takes room, as long as it lies in memory.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_its_confirm_is_bounded() {
    let stage = Stage::start().await;
    let url = stage.broker.amqp_url();
    let proxy = Proxy::before(url).await;
    // No heartbeat ends this connection; that nothing is confirmed must be enough.
    let address = format!("{}?heartbeat=600", proxy.url(url));
    let publisher = Publisher::start(settings_at(&address, DEADLINE));
    ready(&publisher).await;
    proxy.set(Network::Silent);
    let mebibyte = "x".repeat(1 << 20);
    let large = Envelope::new(BATCH_CLOSED, "large", "/test", Utc::now(), &mebibyte);
    let mut outcomes = Vec::new();
    for _ in 0..2 {
        let all = (0..50)
            .map(|_| Outgoing::event(large.clone()))
            .collect::<Vec<_>>();
        let all = all.iter().map(|message| publisher.publish(message));
        outcomes.extend(join_all(all).await);
    }
    let count = |wanted: fn(&PublishError) -> bool| {
        let errors = outcomes.iter().map(|outcome| outcome.as_ref().unwrap_err());
        errors.filter(|error| wanted(error)).count()
    };
    let tried = count(|error| matches!(error, PublishError::TimedOut));
    assert!((60..=64).contains(&tried), "{tried} of 64 MiB were tried");
    let full = count(|error| matches!(error, PublishError::Full));
    assert_eq!(tried + full, outcomes.len(), "{outcomes:?}");

    proxy.set(Network::Up);
    publishes_again(&publisher).await;
}

/// How a worker publishes: it has nobody to send an error to.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_publishes_until_the_broker_is_back_or_it_is_stopped() {
    let stage = Stage::start().await;
    let (proxy, publisher) = behind_a_proxy(&stage).await;
    proxy.set(Network::Cut);
    let messages = [Outgoing::event(event("patient"))];

    let stopped = CancellationToken::new();
    stopped.cancel();
    publisher
        .publish_all_until(&messages, &stopped)
        .await
        .unwrap_err();

    let never = CancellationToken::new();
    let publishing = publisher.publish_all_until(&messages, &never);
    let restoring = async { proxy.set(Network::Up) };
    let (published, ()) = tokio::join!(publishing, restoring);
    published.unwrap();
    assert_eq!(stage.take(QUEUE.name()).await.id(), "patient");
}
