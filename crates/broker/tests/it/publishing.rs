//! Publishing: what a confirm means, where messages go, and what happens without a broker.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use broker::{Lane, Outgoing, PublishError, Publisher, PublisherStatus, WorkQueue};
use messages::event_type;
use test_support::eventually;

use crate::stage::{QUEUE, SOON, Stage, event, settings_at, typed};

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmed_event_lies_in_the_queue_of_its_type_with_its_facts_as_properties() {
    let stage = Stage::start().await;
    let event = event("batch-1");
    let body = event.encode();
    stage
        .publisher
        .publish(&Outgoing::event(event))
        .await
        .unwrap();

    let taken = stage.take(QUEUE.name()).await;
    assert_eq!(taken.body, body);
    let properties = &taken.properties;
    assert_eq!(
        properties.message_id().as_ref().unwrap().as_str(),
        "batch-1"
    );
    assert_eq!(
        properties.kind().as_ref().unwrap().as_str(),
        event_type::BATCH_CLOSED
    );
    assert_eq!(
        properties.content_type().as_ref().unwrap().as_str(),
        "application/cloudevents+json"
    );
    assert_eq!(*properties.delivery_mode(), Some(2), "persistent");
    assert!(properties.timestamp().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_type_reaches_the_queue_that_takes_it() {
    let stage = Stage::start().await;
    for queue in WorkQueue::ALL {
        for key in queue.event_types() {
            let event_type = key.replace('*', "completed");
            let event = Outgoing::event(typed(&event_type, &event_type));
            stage.publisher.publish(&event).await.unwrap();
            assert_eq!(stage.take(queue.name()).await.id(), event_type);
        }
    }
    assert_eq!(stage.count("unrouted").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_nobody_reads_is_kept() {
    let stage = Stage::start().await;
    let unknown = typed("highlevel.task.completed", "unknown");
    stage
        .publisher
        .publish(&Outgoing::event(unknown))
        .await
        .unwrap();
    assert_eq!(stage.take("unrouted").await.id(), "unknown");
}

/// The default exchange would confirm it and drop it.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_for_a_queue_that_was_deleted_is_kept() {
    let stage = Stage::start().await;
    stage.broker.delete_queue(QUEUE.name());
    stage
        .publisher
        .publish(&Outgoing::to_queue(QUEUE, event("kept")))
        .await
        .unwrap();
    assert_eq!(stage.take("unrouted").await.id(), "kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_too_long_for_a_property_still_travels_in_the_body() {
    let stage = Stage::start().await;
    let id = "x".repeat(300);
    stage.put(&id).await;
    let taken = stage.take(QUEUE.name()).await;
    assert_eq!(taken.id(), id);
    assert!(taken.properties.message_id().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_is_declared_on_first_use_delays_and_hands_over_to_the_named_queue() {
    let stage = Stage::start().await;
    let lane = Lane::seconds(2);
    assert!(stage.broker.queue(&lane.name()).is_null());

    let started = Instant::now();
    let message = Outgoing::delayed(lane, WorkQueue::ChatFlush, event("timer"));
    stage.publisher.publish(&message).await.unwrap();
    assert_eq!(stage.count(&lane.name()).await, 1);
    assert_eq!(stage.take(WorkQueue::ChatFlush.name()).await.id(), "timer");
    let delay = started.elapsed();
    assert!(delay >= lane.delay(), "{delay:?}");
    assert_eq!(
        stage.count(QUEUE.name()).await,
        0,
        "the event's own type is not looked at"
    );
}

/// RabbitMQ 3.10 may take the first message of a new lane before it knows the lane's TTL.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_lane_a_message_has_a_time_of_its_own_and_none_after_it() {
    let stage = Stage::start().await;
    let waiting = Outgoing::delayed(Lane::seconds(300), QUEUE, event("waiting"));
    stage.publisher.publish(&waiting).await.unwrap();
    let taken = stage.take(&Lane::seconds(300).name()).await;
    let time = taken.properties.expiration().as_ref();
    assert_eq!(time.map(lapin::types::ShortString::as_str), Some("300000"));

    let due = Outgoing::delayed(Lane::seconds(1), QUEUE, event("due"));
    stage.publisher.publish(&due).await.unwrap();
    let taken = stage.take(QUEUE.name()).await;
    assert_eq!(taken.id(), "due");
    assert!(taken.properties.expiration().is_none());
}

/// With one TTL for each lane, nothing waits behind a slower message.
#[tokio::test(flavor = "multi_thread")]
async fn a_short_delay_does_not_wait_behind_a_long_one() {
    let stage = Stage::start().await;
    for (seconds, id) in [(300, "slow"), (1, "fast")] {
        let message = Outgoing::delayed(Lane::seconds(seconds), QUEUE, event(id));
        stage.publisher.publish(&message).await.unwrap();
    }
    assert_eq!(stage.take(QUEUE.name()).await.id(), "fast");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_messages_are_published_at_once_each_confirmed() {
    let stage = Stage::start().await;
    let messages: Vec<Outgoing> = (0..200)
        .map(|number| Outgoing::event(event(&format!("event-{number}"))))
        .collect();
    stage.publisher.publish_all(&messages).await.unwrap();
    assert_eq!(stage.count(QUEUE.name()).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_heals_by_itself_after_the_connection_was_closed() {
    let stage = Stage::start().await;
    stage.close_connections(1).await;
    eventually("publishing works again", SOON, async || {
        stage
            .publisher
            .publish(&Outgoing::event(event("after")))
            .await
    })
    .await;
    assert_eq!(stage.publisher.status(), PublisherStatus::Ready);
    assert_eq!(stage.take(QUEUE.name()).await.id(), "after");
}

#[tokio::test]
async fn without_a_broker_publishing_fails_within_its_deadline() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let deadline = Duration::from_millis(300);
    let publisher = Publisher::start(settings_at(&format!("amqp://{free}/%2f"), deadline));
    let started = Instant::now();
    let error = publisher
        .publish(&Outgoing::event(event("lost")))
        .await
        .unwrap_err();
    assert!(matches!(error, PublishError::NotConnected), "{error:?}");
    assert!(started.elapsed() < deadline * 4, "{:?}", started.elapsed());
    assert_eq!(publisher.status(), PublisherStatus::Disconnected);
}
