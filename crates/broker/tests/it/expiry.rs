//! Parked messages go when their time is over; the others keep their place.

use broker::DeadLetters;
use chrono::{DateTime, TimeDelta, Utc};
use lapin::BasicProperties;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::AMQPValue;

use crate::stage::{QUEUE, Stage, event};

/// Parks messages as they would lie there after these days.
async fn parked_for(stage: &Stage, messages: &[(&str, i64)]) {
    let connection = stage.connect().await;
    let channel = connection.create_channel().await.unwrap();
    let confirms = ConfirmSelectOptions::default();
    channel.confirm_select(confirms).await.unwrap();
    for (id, days) in messages {
        let parked_at = days_ago(*days).timestamp() as u64;
        let properties = BasicProperties::default().with_timestamp(parked_at);
        let body = event(id).encode();
        let lot = QUEUE.parking_lot();
        let options = BasicPublishOptions::default();
        let publish =
            channel.basic_publish("".into(), lot.as_str().into(), options, &body, properties);
        assert!(publish.await.unwrap().await.unwrap().is_ack());
    }
    connection.close(200, "done".into()).await.unwrap();
}

fn days_ago(days: i64) -> DateTime<Utc> {
    Utc::now() - TimeDelta::days(days)
}

fn ids(letters: &[broker::DeadLetter]) -> Vec<&str> {
    letters
        .iter()
        .map(|letter| letter.id.as_deref().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_too_old_goes_and_the_rest_stays_in_order() {
    let stage = Stage::start().await;
    parked_for(
        &stage,
        &[("a", 50), ("b", 31), ("c", 29), ("d", 10), ("e", 1)],
    )
    .await;
    let letters = DeadLetters::connect(&stage.broker.settings())
        .await
        .unwrap();

    let would = letters.expire(QUEUE, days_ago(30), true).await.unwrap();
    assert_eq!(ids(&would), ["a", "b"]);
    assert_eq!(
        stage.count(&QUEUE.parking_lot()).await,
        5,
        "a dry run removes nothing"
    );

    let gone = letters.expire(QUEUE, days_ago(30), false).await.unwrap();
    assert_eq!(ids(&gone), ["a", "b"]);
    assert!(
        letters
            .expire(QUEUE, days_ago(30), false)
            .await
            .unwrap()
            .is_empty()
    );
    let left = letters.list(QUEUE).await.unwrap();
    assert_eq!(ids(&left), ["c", "d", "e"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_for_old_ones_does_not_touch_those_behind_the_first_young_one() {
    let stage = Stage::start().await;
    parked_for(&stage, &[("a", 1), ("b", 1)]).await;
    let letters = DeadLetters::connect(&stage.broker.settings())
        .await
        .unwrap();
    for _ in 0..3 {
        assert!(
            letters
                .expire(QUEUE, days_ago(30), false)
                .await
                .unwrap()
                .is_empty()
        );
    }
    let lot = QUEUE.parking_lot();
    let first = stage.take(&lot).await;
    assert_eq!(first.id(), "a");
    let second = stage.take(&lot).await;
    // RabbitMQ 3.10 writes 0 at the first delivery, later versions nothing.
    let headers = second.properties.headers().clone().unwrap_or_default();
    let deliveries = headers.inner().get("x-delivery-count");
    let deliveries = deliveries.map_or(Some(0), AMQPValue::as_long_long_int);
    assert_eq!(deliveries, Some(0), "never handed out before");
}
