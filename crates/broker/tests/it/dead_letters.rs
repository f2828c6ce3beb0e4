//! Looking at parked messages and sending them back, by our own means and by the management UI's.

use std::sync::{Arc, Mutex};

use broker::{DeadLetters, Outgoing, ParkingLot, Verdict};
use lapin::options::{BasicGetOptions, BasicRejectOptions};

use crate::stage::{Diary, QUEUE, Reading, Stage, done, event, failure};

/// Parks these messages as a worker does.
async fn park(stage: &Stage, ids: &[&str]) {
    for id in ids {
        stage.put(id).await;
    }
    let reading = stage
        .read(|_, _| async { Verdict::GiveUp(failure()) })
        .await;
    parked(stage, ids.len()).await;
    reading.stop().await;
}

async fn parked(stage: &Stage, count: usize) {
    test_support::eventually("all are parked", crate::stage::SOON, async || {
        match stage.count(&QUEUE.parking_lot()).await as usize {
            found if found == count => Ok(()),
            found => Err(found),
        }
    })
    .await;
}

/// A worker that handles everything at the first attempt of two.
async fn succeeding(stage: &Stage) -> Reading {
    stage
        .read_with(|settings| settings.attempts = 2, |_, _| done())
        .await
}

fn sorted(diary: &Diary) -> Vec<(String, u32)> {
    let mut numbers = diary.numbers();
    numbers.sort();
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn listing_shows_what_is_parked_and_leaves_it_there() {
    let stage = Stage::start().await;
    park(&stage, &["a", "b"]).await;
    let dead_letters = DeadLetters::connect(&stage.broker.settings())
        .await
        .unwrap();
    for _ in 0..3 {
        let found = dead_letters.list(QUEUE).await.unwrap();
        let ids: Vec<_> = found
            .iter()
            .map(|letter| letter.id.as_deref().unwrap())
            .collect();
        assert_eq!(ids, ["a", "b"], "oldest first, each time");
        let letter = &found[0];
        assert_eq!(
            letter.event_type.as_deref(),
            Some(messages::event_type::BATCH_CLOSED)
        );
        assert_eq!(letter.reason.as_deref(), Some("provider_error"));
        assert_eq!(letter.detail.as_deref(), Some("the provider answered 500"));
        assert_eq!(letter.attempts.as_deref(), Some("1"));
        assert!(letter.first_seen.is_some());
        assert_eq!(messages::Envelope::decode(&letter.body).unwrap().id, "a");
    }
    assert_eq!(stage.count(&QUEUE.parking_lot()).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn replaying_sends_back_only_the_chosen_ones_with_clean_headers() {
    let stage = Stage::start().await;
    park(&stage, &["a", "b", "c"]).await;
    let dead_letters = DeadLetters::connect(&stage.broker.settings())
        .await
        .unwrap();
    let replayed = dead_letters
        .replay(QUEUE, &stage.publisher, |letter| {
            letter.id.as_deref() != Some("b")
        })
        .await
        .unwrap();
    let ids: Vec<_> = replayed
        .iter()
        .map(|letter| letter.id.as_deref().unwrap())
        .collect();
    assert_eq!(ids, ["a", "c"]);
    assert_eq!(stage.count(QUEUE.name()).await, 2);

    let taken = stage.take(QUEUE.name()).await;
    assert_eq!(taken.id(), "a");
    assert_eq!(
        taken.properties.message_id().as_ref().unwrap().as_str(),
        "a"
    );
    assert_eq!(*taken.properties.delivery_mode(), Some(2));
    let headers = taken.properties.headers().clone().unwrap_or_default();
    assert!(
        headers
            .inner()
            .keys()
            .all(|name| ["x-delivery-count", "x-replayed"].contains(&name.as_str())),
        "{headers:?}"
    );
    let left = dead_letters.list(QUEUE).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].id.as_deref(), Some("b"));
    assert_eq!(
        left[0].reason.as_deref(),
        Some("provider_error"),
        "with its reason"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn replaying_ends_although_the_message_fails_again_at_once() {
    let stage = Stage::start().await;
    park(&stage, &["a", "b"]).await;
    let reading = stage
        .read(|_, _| async { Verdict::GiveUp(failure()) })
        .await;
    let dead_letters = DeadLetters::connect(&stage.broker.settings())
        .await
        .unwrap();
    let replayed = dead_letters
        .replay(QUEUE, &stage.publisher, |_| true)
        .await
        .unwrap();
    assert_eq!(replayed.len(), 2);
    reading.diary.reaches(2).await;
    parked(&stage, 2).await;
    assert_eq!(
        sorted(&reading.diary),
        [("a".to_owned(), 1), ("b".to_owned(), 1)]
    );
    reading.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_messages_are_listed_and_replayed_too() {
    let stage = Stage::start().await;
    stage.put_raw(b"\xff", &[]).await;
    let reading = stage.read(|_, _| done()).await;
    parked(&stage, 1).await;
    reading.stop().await;

    let dead_letters = DeadLetters::connect(&stage.broker.settings())
        .await
        .unwrap();
    let found = dead_letters.list(QUEUE).await.unwrap();
    assert_eq!(
        (found[0].id.as_deref(), found[0].body.as_slice()),
        (None, b"\xff".as_slice())
    );
    assert_eq!(found[0].reason.as_deref(), Some("unreadable"));
    let unreadable = |letter: &broker::DeadLetter| letter.id.is_none();
    let replayed = dead_letters
        .replay(QUEUE, &stage.publisher, unreadable)
        .await
        .unwrap();
    assert_eq!(replayed.len(), 1);
    assert_eq!(stage.take(QUEUE.name()).await.body, b"\xff");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_parking_lot_is_no_error() {
    let stage = Stage::start().await;
    let dead_letters = DeadLetters::connect(&stage.broker.settings())
        .await
        .unwrap();
    assert!(dead_letters.list(QUEUE).await.unwrap().is_empty());
    assert!(
        dead_letters
            .replay(QUEUE, &stage.publisher, |_| true)
            .await
            .unwrap()
            .is_empty()
    );
}

/// What "Move messages" in the management UI does. The headers stay, so they must not count.
#[tokio::test(flavor = "multi_thread")]
async fn moved_messages_start_afresh_and_go_through_the_lanes_again() {
    let stage = Stage::start().await;
    park(&stage, &["moved"]).await;
    stage.broker.shovel(&QUEUE.parking_lot(), QUEUE.name());
    let reading = stage
        .read_with(
            |settings| settings.attempts = 2,
            |_, attempt| async move {
                match attempt.number {
                    1 => Verdict::RetryLater {
                        failure: failure(),
                        delay: None,
                    },
                    _ => done().await,
                }
            },
        )
        .await;
    reading.diary.reaches(2).await;
    assert_eq!(
        reading.diary.numbers(),
        [("moved".to_owned(), 1), ("moved".to_owned(), 2)]
    );
    reading.stop().await;
    assert_eq!(stage.count(QUEUE.name()).await, 0);
    assert_eq!(stage.count(&QUEUE.parking_lot()).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn moving_and_replaying_in_turn_is_harmless() {
    let stage = Stage::start().await;
    park(&stage, &["a", "b"]).await;
    stage.broker.shovel(&QUEUE.parking_lot(), QUEUE.name());
    parked(&stage, 0).await;
    let dead_letters = DeadLetters::connect(&stage.broker.settings())
        .await
        .unwrap();
    assert!(
        dead_letters
            .replay(QUEUE, &stage.publisher, |_| true)
            .await
            .unwrap()
            .is_empty()
    );
    let reading = succeeding(&stage).await;
    reading.diary.reaches(2).await;
    assert_eq!(
        sorted(&reading.diary),
        [("a".to_owned(), 1), ("b".to_owned(), 1)]
    );
    reading.stop().await;
    assert_eq!(stage.count(QUEUE.name()).await, 0);
}

/// The broker parks with the headers as they are: `x-attempt` stays, `x-death` is added.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_the_broker_parked_starts_afresh_too() {
    let stage = Stage::start().await;
    stage
        .put_raw(&event("killer").encode(), &[("x-attempt", "1")])
        .await;
    let connection = stage.connect().await;
    let channel = connection.create_channel().await.unwrap();
    while let Some(got) = channel
        .basic_get(QUEUE.name().into(), BasicGetOptions::default())
        .await
        .unwrap()
    {
        got.delivery
            .reject(BasicRejectOptions { requeue: true })
            .await
            .unwrap();
    }
    parked(&stage, 1).await;
    let dead_letters = DeadLetters::connect(&stage.broker.settings())
        .await
        .unwrap();
    assert_eq!(dead_letters.list(QUEUE).await.unwrap()[0].reason, None);

    stage.broker.shovel(&QUEUE.parking_lot(), QUEUE.name());
    let reading = succeeding(&stage).await;
    reading.diary.reaches(1).await;
    assert_eq!(reading.diary.numbers(), [("killer".to_owned(), 1)]);
    reading.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn purging_throws_away_only_the_chosen_ones() {
    let stage = Stage::start().await;
    park(&stage, &["a", "b"]).await;
    let dead_letters = DeadLetters::connect(&stage.broker.settings())
        .await
        .unwrap();
    let purged = dead_letters
        .purge(QUEUE, |letter| letter.id.as_deref() == Some("a"))
        .await
        .unwrap();
    assert_eq!(purged.len(), 1);
    assert!(purged[0].parked_at.is_some());
    let left = dead_letters.list(QUEUE).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].id.as_deref(), Some("b"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unrouted_message_reaches_whoever_reads_its_type_when_it_is_replayed() {
    let stage = Stage::start().await;
    let mut unknown = event("a");
    unknown.event_type = "highlevel.task_created".to_owned();
    stage
        .publisher
        .publish(&Outgoing::event(unknown))
        .await
        .unwrap();
    let dead_letters = DeadLetters::connect(&stage.broker.settings())
        .await
        .unwrap();

    // Nobody reads the type yet: it comes back, and the replay ends all the same.
    let all = |_: &broker::DeadLetter| true;
    let replayed = dead_letters
        .replay(ParkingLot::Unrouted, &stage.publisher, all)
        .await
        .unwrap();
    assert_eq!(replayed.len(), 1);
    assert_eq!(stage.count(broker::topology::UNROUTED).await, 1);

    // A worker for it is deployed.
    stage
        .bind(
            QUEUE.name(),
            broker::topology::EVENTS,
            "highlevel.task_created",
        )
        .await;
    dead_letters
        .replay(ParkingLot::Unrouted, &stage.publisher, all)
        .await
        .unwrap();
    assert_eq!(stage.count(broker::topology::UNROUTED).await, 0);
    assert_eq!(stage.count(QUEUE.name()).await, 1);
}

/// The same in the management UI: bind the new worker's queue, move what lies there.
#[tokio::test(flavor = "multi_thread")]
async fn an_unrouted_message_can_be_moved_to_the_queue_of_its_new_worker() {
    let stage = Stage::start().await;
    let mut unknown = event("a");
    unknown.event_type = "highlevel.task_created".to_owned();
    stage
        .publisher
        .publish(&Outgoing::event(unknown))
        .await
        .unwrap();
    assert_eq!(stage.count(broker::topology::UNROUTED).await, 1);
    let key = "highlevel.task_created";
    stage
        .bind(QUEUE.name(), broker::topology::EVENTS, key)
        .await;
    stage
        .broker
        .shovel(broker::topology::UNROUTED, QUEUE.name());
    let reading = succeeding(&stage).await;
    reading.diary.reaches(1).await;
    assert_eq!(reading.diary.numbers(), [("a".to_owned(), 1)]);
    reading.stop().await;
    assert_eq!(stage.count(broker::topology::UNROUTED).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_says_whether_it_comes_back() {
    let stage = Stage::start().await;
    park(&stage, &["parked"]).await;
    stage.put("left by a worker that died").await;
    let connection = stage.connect().await;
    let channel = connection.create_channel().await.unwrap();
    let options = BasicGetOptions::default();
    let got = channel.basic_get(QUEUE.name().into(), options).await;
    assert!(got.unwrap().is_some());
    connection.close(200, "dead".into()).await.unwrap();
    let dead_letters = DeadLetters::connect(&stage.broker.settings())
        .await
        .unwrap();
    dead_letters
        .replay(QUEUE, &stage.publisher, |_| true)
        .await
        .unwrap();
    stage.put("new").await;

    let seen = Arc::new(Mutex::new(Vec::new()));
    let seeing = seen.clone();
    let reading = stage
        .read(move |event, attempt| {
            seeing.lock().unwrap().push((event.id, attempt.came_back));
            done()
        })
        .await;
    reading.diary.reaches(3).await;
    reading.stop().await;
    let mut seen = seen.lock().unwrap().clone();
    seen.sort();
    let expected = [
        ("left by a worker that died", true),
        ("new", false),
        ("parked", true),
    ];
    assert_eq!(seen, expected.map(|(id, back)| (id.to_owned(), back)));
}
