//! Messages that can't be handled: parked with their bytes, and no trouble to their neighbours.

use std::time::Duration;

use broker::{Failure, Outgoing, Verdict};

use crate::stage::{QUEUE, Stage, done, event, failure};

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_bytes_are_parked_as_they_are_and_block_nobody() {
    let stage = Stage::start().await;
    let deep = "[".repeat(100_000);
    let unknown_version = br#"{"specversion":"9.0","id":"1","source":"s","type":"t",
        "time":"2026-01-01T00:00:00Z","data":{}}"#;
    let poisons: [&[u8]; 6] = [
        b"{ not json",
        b"",
        b"\xff\xfe\x00",
        deep.as_bytes(),
        b"17",
        unknown_version,
    ];
    for (number, poison) in poisons.iter().enumerate() {
        stage.put_raw(poison, &[]).await;
        stage.put(&number.to_string()).await;
    }
    let reading = stage.read(|_, _| done()).await;
    for poison in poisons {
        let parked = stage.take(&QUEUE.parking_lot()).await;
        assert!(
            parked.body == poison,
            "{:?}",
            String::from_utf8_lossy(&parked.body)
        );
        assert_eq!(parked.header("x-failure-reason").unwrap(), "unreadable");
        assert!(!parked.header("x-failure-detail").unwrap().is_empty());
        assert_eq!(parked.header("x-attempts").unwrap(), "1");
    }
    reading.diary.reaches(poisons.len()).await;
    assert_eq!(reading.diary.ids(), ["0", "1", "2", "3", "4", "5"]);
    assert!(
        reading.diary.given_up().is_empty(),
        "there is no row to mark"
    );
    reading.stop().await;
    assert_eq!(stage.count(QUEUE.name()).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_can_call_a_readable_message_poison() {
    let stage = Stage::start().await;
    let body = event("odd").encode();
    stage.put_raw(&body, &[("x-attempt", "1")]).await;
    let reading = stage
        .read_with(
            |settings| settings.attempts = 6,
            |_, _| async { Verdict::Poison(Failure::new("bad_data", "a field is missing")) },
        )
        .await;
    let parked = stage.take(&QUEUE.parking_lot()).await;
    assert_eq!(parked.body, body);
    assert_eq!(parked.header("x-failure-reason").unwrap(), "bad_data");
    assert_eq!(parked.header("x-attempts").unwrap(), "2");
    assert_eq!(parked.header("x-attempt"), None);
    reading.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_failed_attempt_and_the_worker_lives_on() {
    let stage = Stage::start().await;
    stage.put("bomb").await;
    stage.put("neighbour").await;
    let reading = stage
        .read(|event, _| async move {
            assert!(event.id != "bomb", "a bug in the handler");
            done().await
        })
        .await;
    let parked = stage.take(&QUEUE.parking_lot()).await;
    assert_eq!(parked.id(), "bomb");
    assert_eq!(parked.header("x-failure-reason").unwrap(), "handler_panic");
    reading.diary.reaches(2).await;
    assert_eq!(reading.diary.ids(), ["bomb", "neighbour"]);
    assert_eq!(
        reading.diary.given_up().len(),
        1,
        "the row is marked failed"
    );
    reading.stop().await;
    assert_eq!(stage.count(QUEUE.name()).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_hangs_is_a_failed_attempt() {
    let stage = Stage::start().await;
    stage.put("stuck").await;
    stage.put("neighbour").await;
    let reading = stage
        .read_with(
            |settings| settings.handler_deadline = Duration::from_millis(100),
            |event, _| async move {
                if event.id == "stuck" {
                    std::future::pending().await
                } else {
                    done().await
                }
            },
        )
        .await;
    let parked = stage.take(&QUEUE.parking_lot()).await;
    assert_eq!(parked.id(), "stuck");
    assert_eq!(
        parked.header("x-failure-reason").unwrap(),
        "handler_deadline"
    );
    reading.diary.reaches(2).await;
    reading.stop().await;
    assert_eq!(stage.count(QUEUE.name()).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_message_says_which_trace_tells_its_story() {
    let stage = Stage::start().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traced = event("traced").with_traceparent(Some(format!("00-{trace}-00f067aa0ba902b7-01")));
    stage
        .publisher
        .publish_all(&[Outgoing::event(traced), Outgoing::event(event("untraced"))])
        .await
        .unwrap();
    let reading = stage
        .read(|_, _| async { Verdict::GiveUp(failure()) })
        .await;
    for _ in 0..2 {
        let parked = stage.take(&QUEUE.parking_lot()).await;
        let expected = (parked.id() == "traced").then_some(trace);
        assert_eq!(parked.header("x-trace-id").as_deref(), expected);
    }
    reading.stop().await;
}

/// Headers share one frame with the rest; a stack of causes must not make a message unparkable.
#[tokio::test(flavor = "multi_thread")]
async fn an_endless_detail_is_cut() {
    let stage = Stage::start().await;
    stage.put("wordy").await;
    let reading = stage
        .read(|_, _| async { Verdict::Poison(Failure::new("bad_data", "é".repeat(500_000))) })
        .await;
    let parked = stage.take(&QUEUE.parking_lot()).await;
    assert_eq!(parked.header("x-failure-detail").unwrap(), "é".repeat(2000));
    reading.stop().await;
}
