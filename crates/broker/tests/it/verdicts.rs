//! The verdicts that end a message, and what is published before its ack.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use broker::{Failure, Lane, Unavailable, Verdict};
use chrono::Utc;
use test_support::eventually;
use tokio_util::sync::CancellationToken;

use crate::proxy::{Network, Proxy};
use crate::stage::{
    Diary, FOLLOW_UP_QUEUE, QUEUE, SOON, Stage, done, event, follow_up, ready, settings_at,
};

#[tokio::test(flavor = "multi_thread")]
async fn done_and_duplicate_publish_their_follow_ups_and_skipped_has_none() {
    let stage = Stage::start().await;
    for id in ["done", "duplicate", "skipped"] {
        stage.put(id).await;
    }
    let reading = stage
        .read(|event, _| async move {
            match event.id.as_str() {
                "done" => Verdict::Done(vec![follow_up("first"), follow_up("second")]),
                "duplicate" => Verdict::Duplicate(vec![follow_up("again")]),
                _ => Verdict::Skipped("not_wanted"),
            }
        })
        .await;
    let mut published = Vec::new();
    for _ in 0..3 {
        published.push(stage.take(FOLLOW_UP_QUEUE.name()).await.id());
    }
    published.sort();
    assert_eq!(published, ["again", "first", "second"]);
    reading.diary.reaches(3).await;
    assert_eq!(reading.diary.ids(), ["done", "duplicate", "skipped"]);
    reading.stop().await;
    assert_eq!(stage.count(QUEUE.name()).await, 0, "all three were acked");
    assert_eq!(stage.count(FOLLOW_UP_QUEUE.name()).await, 0);
}

/// The order that makes an outbox unnecessary.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_acked_before_its_follow_ups_are_confirmed() {
    let mut stage = Stage::start().await;
    let url = stage.broker.amqp_url().to_owned();
    let proxy = Proxy::before(&url).await;
    let direct = stage.publisher.clone();
    let deadline = std::time::Duration::from_millis(200);
    stage.publisher = broker::Publisher::start(settings_at(&proxy.url(&url), deadline));
    ready(&stage.publisher).await;
    proxy.set(Network::Cut);

    direct
        .publish(&broker::Outgoing::event(event("cause")))
        .await
        .unwrap();
    let act = |_, _| async { Verdict::Done(vec![follow_up("effect")]) };
    let reading = stage
        .read_with(|settings| settings.grace = deadline, act)
        .await;
    reading.diary.reaches(1).await;
    reading.stop().await;
    assert_eq!(
        stage.count(FOLLOW_UP_QUEUE.name()).await,
        0,
        "the follow-up could not go out"
    );

    proxy.set(Network::Up);
    let reading = stage.read(act).await;
    assert_eq!(stage.take(FOLLOW_UP_QUEUE.name()).await.id(), "effect");
    reading.diary.reaches(1).await;
    assert_eq!(
        reading.diary.numbers(),
        [("cause".to_owned(), 1)],
        "the message came again"
    );
    reading.stop().await;
    assert_eq!(stage.count(QUEUE.name()).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn giving_up_tells_people_and_parks_the_message_with_the_reason() {
    let stage = Stage::start().await;
    let before = Utc::now();
    stage.put("hopeless").await;
    let failure = || Failure::new("contact_unknown", "contact 17 does not exist");
    let reading = stage
        .read_with(
            |settings| settings.attempts = 6,
            move |_, _| async move { Verdict::GiveUp(failure()) },
        )
        .await;

    let parked = stage.take(&QUEUE.parking_lot()).await;
    assert_eq!(parked.id(), "hopeless");
    assert_eq!(
        parked.header("x-failure-reason").unwrap(),
        "contact_unknown"
    );
    assert_eq!(
        parked.header("x-failure-detail").unwrap(),
        "contact 17 does not exist"
    );
    assert_eq!(parked.header("x-attempts").unwrap(), "1");
    let first_seen = parked.header("x-first-seen").unwrap();
    let first_seen = chrono::DateTime::parse_from_rfc3339(&first_seen).unwrap();
    assert!(before <= first_seen && first_seen <= Utc::now());
    assert_eq!(parked.header("x-attempt"), None, "a replay starts afresh");
    assert_eq!(
        parked.properties.message_id().as_ref().unwrap().as_str(),
        "hopeless"
    );

    assert_eq!(
        stage.take(FOLLOW_UP_QUEUE.name()).await.id(),
        "hopeless-failed"
    );
    assert_eq!(
        reading.diary.given_up(),
        [("hopeless".to_owned(), failure())]
    );
    reading.stop().await;
    assert_eq!(stage.count(QUEUE.name()).await, 0);
}

/// An outage of our database burns no attempts, and holds up nothing that is already in hand.
#[tokio::test(flavor = "multi_thread")]
async fn hold_tries_again_in_place_without_counting() {
    let stage = Stage::start().await;
    stage.put("patient").await;
    let calls = AtomicU32::new(0);
    let reading = stage
        .read(move |_, _| {
            let call = calls.fetch_add(1, Ordering::SeqCst);
            async move {
                if call < 3 {
                    Verdict::Hold(Unavailable("the database is away".to_owned()))
                } else {
                    done().await
                }
            }
        })
        .await;
    reading.diary.reaches(4).await;
    assert_eq!(reading.diary.numbers(), vec![("patient".to_owned(), 1); 4]);
    reading.stop().await;
    assert_eq!(stage.count(QUEUE.name()).await, 0);
    let lane = Lane::for_retry(1, None, "patient").name();
    assert!(
        stage.broker.queue(&lane).is_null(),
        "it never left the queue"
    );
}

/// While the database is away, a shutdown returns the message.
#[tokio::test(flavor = "multi_thread")]
async fn hold_ends_with_the_grace() {
    let stage = Stage::start().await;
    stage.put("held").await;
    let reading = stage
        .read_with(
            |settings| settings.grace = std::time::Duration::from_millis(100),
            |_, _| async { Verdict::Hold(Unavailable("the database is away".to_owned())) },
        )
        .await;
    reading.diary.reaches(2).await;
    reading.stop().await;
    assert_eq!(stage.take(QUEUE.name()).await.id(), "held");
}

/// A handler whose database is away, or that is broken, when it has to give up.
struct Unlucky {
    diary: Diary,
    calls: AtomicU32,
    recovers: bool,
}

impl broker::Handler for Unlucky {
    async fn handle(&self, _: &messages::Envelope, _: broker::Attempt) -> Verdict {
        Verdict::GiveUp(crate::stage::failure())
    }

    async fn give_up(
        &self,
        event: &messages::Envelope,
        failure: &Failure,
    ) -> Result<Vec<broker::Outgoing>, Unavailable> {
        self.diary.note_given_up(event, failure);
        assert!(self.recovers, "a handler that can't even give up");
        match self.calls.fetch_add(1, Ordering::SeqCst) {
            0 => Err(Unavailable("the database is away".to_owned())),
            1 => std::future::pending().await,
            _ => Ok(vec![follow_up("told")]),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn giving_up_is_tried_until_the_row_is_marked() {
    let stage = Stage::start().await;
    let diary = Diary::default();
    let handler = Unlucky {
        diary: diary.clone(),
        calls: AtomicU32::new(0),
        recovers: true,
    };
    stage.put("row").await;
    let short = std::time::Duration::from_millis(200);
    let reading = stage
        .read_as(|settings| settings.handler_deadline = short, handler, diary)
        .await;
    assert_eq!(stage.take(&QUEUE.parking_lot()).await.id(), "row");
    assert_eq!(stage.take(FOLLOW_UP_QUEUE.name()).await.id(), "told");
    assert_eq!(
        reading.diary.given_up().len(),
        3,
        "away, then a hang, then done"
    );
    reading.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_while_giving_up_still_parks_the_message_and_frees_its_place() {
    let stage = Stage::start().await;
    let diary = Diary::default();
    let handler = Unlucky {
        diary: diary.clone(),
        calls: AtomicU32::new(0),
        recovers: false,
    };
    stage.put("first").await;
    stage.put("second").await;
    let reading = stage.read_as(|_| {}, handler, diary).await;
    for id in ["first", "second"] {
        let parked = stage.take(&QUEUE.parking_lot()).await;
        assert_eq!(parked.id(), id);
        assert_eq!(parked.header("x-failure-reason").unwrap(), "provider_error");
    }
    reading.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_handled_side_by_side_up_to_the_setting_and_never_more() {
    let stage = Stage::start().await;
    for number in 0..30 {
        stage.put(&number.to_string()).await;
    }
    let (running, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let go = CancellationToken::new();
    let act = {
        let (running, most, go) = (running.clone(), most.clone(), go.clone());
        move |_, _| {
            let (running, most, go) = (running.clone(), most.clone(), go.clone());
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                go.cancelled().await;
                tokio::task::yield_now().await;
                running.fetch_sub(1, Ordering::SeqCst);
                done().await
            }
        }
    };
    let reading = stage
        .read_with(|settings| settings.concurrency = 5, act)
        .await;
    eventually("five handlers run", SOON, async || {
        match running.load(Ordering::SeqCst) {
            5 => Ok(()),
            other => Err(other),
        }
    })
    .await;
    assert_eq!(
        stage.count(QUEUE.name()).await,
        25,
        "nothing waits inside the process"
    );
    go.cancel();
    reading.diary.reaches(30).await;
    reading.stop().await;
    assert_eq!(most.load(Ordering::SeqCst), 5);
    assert_eq!(stage.count(QUEUE.name()).await, 0);
}
