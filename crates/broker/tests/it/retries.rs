//! What comes again later: failures, which are counted, and messages that are not due, which
//! aren't.

use std::time::{Duration, Instant};

use broker::{Lane, Verdict};

use crate::stage::{FOLLOW_UP_QUEUE, QUEUE, Stage, done, failure};

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_comes_again_after_its_lane_with_the_attempt_counted() {
    let stage = Stage::start().await;
    stage.put("retried").await;
    let started = Instant::now();
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
    assert!(
        started.elapsed() >= Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    let attempts = reading.diary.attempts();
    assert_eq!((attempts[0].1.number, attempts[1].1.number), (1, 2));
    assert_eq!(attempts[1].1.first_seen, attempts[0].1.first_seen);
    assert!(reading.diary.given_up().is_empty());
    reading.stop().await;
    assert_eq!(stage.count(QUEUE.name()).await, 0);
    assert_eq!(stage.count(&QUEUE.parking_lot()).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_longer_wait_that_the_provider_asks_for_is_kept() {
    let stage = Stage::start().await;
    stage.put("throttled").await;
    let reading = stage
        .read_with(
            |settings| settings.attempts = 2,
            |_, _| async {
                let delay = Some(Duration::from_secs(6));
                Verdict::RetryLater {
                    failure: failure(),
                    delay,
                }
            },
        )
        .await;
    let lane = Lane::for_retry(1, Some(Duration::from_secs(6)), "throttled");
    let waiting = stage.take(&lane.name()).await;
    assert_eq!(waiting.id(), "throttled");
    assert_eq!(waiting.header("x-attempt").unwrap(), "1");
    assert!(waiting.header("x-first-seen").is_some());
    reading.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shorter_wait_than_ours_is_not() {
    let stage = Stage::start().await;
    // As it would come out of a lane after three failures.
    let body = crate::stage::event("fourth").encode();
    stage.put_raw(&body, &[("x-attempt", "3")]).await;
    let reading = stage
        .read_with(
            |settings| settings.attempts = 6,
            |_, _| async {
                let delay = Some(Duration::from_secs(1));
                Verdict::RetryLater {
                    failure: failure(),
                    delay,
                }
            },
        )
        .await;
    let waiting = stage.take(&Lane::for_retry(4, None, "fourth").name()).await;
    assert_eq!(waiting.header("x-attempt").unwrap(), "4");
    reading.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_attempt_gives_up_once_and_parks() {
    let stage = Stage::start().await;
    let body = crate::stage::event("last").encode();
    let headers = [
        ("x-attempt", "1"),
        ("x-first-seen", "2026-01-02T03:04:05+00:00"),
    ];
    stage.put_raw(&body, &headers).await;
    let reading = stage
        .read_with(
            |settings| settings.attempts = 2,
            |_, _| async {
                Verdict::RetryLater {
                    failure: failure(),
                    delay: None,
                }
            },
        )
        .await;
    let parked = stage.take(&QUEUE.parking_lot()).await;
    assert_eq!(parked.body, body);
    assert_eq!(parked.header("x-failure-reason").unwrap(), "provider_error");
    assert_eq!(
        parked.header("x-failure-detail").unwrap(),
        "the provider answered 500"
    );
    assert_eq!(parked.header("x-attempts").unwrap(), "2");
    assert_eq!(
        parked.header("x-first-seen").unwrap(),
        "2026-01-02T03:04:05+00:00"
    );
    assert_eq!(parked.header("x-attempt"), None);
    assert_eq!(stage.take(FOLLOW_UP_QUEUE.name()).await.id(), "last-failed");
    assert_eq!(reading.diary.given_up(), [("last".to_owned(), failure())]);
    reading.stop().await;
    assert_eq!(stage.count(QUEUE.name()).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn snoozing_is_no_attempt() {
    let stage = Stage::start().await;
    stage.put("early").await;
    let calls = std::sync::atomic::AtomicU32::new(0);
    let reading = stage
        .read(move |_, _| {
            let call = calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            async move {
                if call < 2 {
                    let delay = Duration::from_millis(700);
                    Verdict::Snooze {
                        reason: "not_due",
                        delay,
                    }
                } else {
                    done().await
                }
            }
        })
        .await;
    reading.diary.reaches(3).await;
    assert_eq!(reading.diary.numbers(), vec![("early".to_owned(), 1); 3]);
    let attempts = reading.diary.attempts();
    assert_eq!(attempts[2].1.first_seen, attempts[0].1.first_seen);
    assert!(reading.diary.given_up().is_empty());
    reading.stop().await;
    assert_eq!(stage.count(QUEUE.name()).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_never_due_is_parked() {
    let stage = Stage::start().await;
    let body = crate::stage::event("never").encode();
    stage
        .put_raw(&body, &[("x-first-seen", "2026-01-02T03:04:05+00:00")])
        .await;
    let delay = Duration::from_secs(60);
    let reading = stage
        .read(move |_, _| async move {
            Verdict::Snooze {
                reason: "not_due",
                delay,
            }
        })
        .await;
    let parked = stage.take(&QUEUE.parking_lot()).await;
    assert_eq!(parked.header("x-failure-reason").unwrap(), "never_due");
    reading.stop().await;
}
