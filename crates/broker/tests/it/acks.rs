//! Acking with many in hand: what is done never comes again, what is not does.

use std::time::Duration;

use crate::stage::{QUEUE, Stage, done};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_early_late_or_together_is_acked_once() {
    const DONE: usize = 600;
    const IN_HAND: usize = 200;
    let stage = Stage::start().await;
    for number in 0..DONE + IN_HAND {
        stage.put(&number.to_string()).await;
    }
    let reading = stage
        .read_with(
            |settings| {
                settings.concurrency = IN_HAND.try_into().unwrap();
                settings.grace = Duration::ZERO;
            },
            |event, attempt| async move {
                assert!(!attempt.came_back, "its channel was closed");
                // They are done in another order than they came.
                let number: usize = event.id.parse().unwrap();
                if number >= DONE {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(Duration::from_millis((number * 7 % 31) as u64)).await;
                done().await
            },
        )
        .await;
    // The broker hands out the last ones only when it has taken the acks of all the others. At a stop, what has just
    // been acked may come again: RabbitMQ's channel sends a quorum queue the acks of more than 32 messages bit by
    // bit, and forgets what is left when it is closed.
    reading.diary.reaches(DONE + IN_HAND).await;
    reading.stop().await;

    let mut left: Vec<usize> = Vec::new();
    for _ in 0..IN_HAND {
        left.push(stage.take(QUEUE.name()).await.id().parse().unwrap());
    }
    left.sort_unstable();
    assert!(left.into_iter().eq(DONE..DONE + IN_HAND));
    assert_eq!(stage.count(QUEUE.name()).await, 0);
    assert_eq!(stage.count(&QUEUE.parking_lot()).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_in_hand_only_what_is_not_done_goes_back() {
    const MESSAGES: usize = 60;
    let endless = [0, 25, 26, 59];
    let stage = Stage::start().await;
    for number in 0..MESSAGES {
        stage.put(&number.to_string()).await;
    }
    let reading = stage
        .read_with(
            |settings| {
                settings.concurrency = 100;
                settings.grace = Duration::from_secs(1);
            },
            move |event, _| async move {
                let number: usize = event.id.parse().unwrap();
                if endless.contains(&number) {
                    std::future::pending::<()>().await;
                }
                // They are done in another order than they came.
                for _ in 0..number * 7 % 11 {
                    tokio::task::yield_now().await;
                }
                done().await
            },
        )
        .await;
    reading.diary.reaches(MESSAGES).await;
    reading.stop().await;

    let mut left: Vec<usize> = Vec::new();
    for _ in endless {
        left.push(stage.take(QUEUE.name()).await.id().parse().unwrap());
    }
    left.sort_unstable();
    assert_eq!(left, endless);
    assert_eq!(stage.count(QUEUE.name()).await, 0);
}
