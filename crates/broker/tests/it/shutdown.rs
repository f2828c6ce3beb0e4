//! Shutting down: what runs is finished, what waits goes back, and the grace is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use test_support::eventually;
use tokio::sync::Semaphore;

use crate::stage::{QUEUE, SOON, Stage, done};

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_is_finished_and_the_rest_goes_back() {
    let stage = Stage::start().await;
    for number in 0..10 {
        stage.put(&number.to_string()).await;
    }
    let go = Arc::new(Semaphore::new(0));
    let waiting = go.clone();
    let reading = stage
        .read_with(
            |settings| settings.concurrency = 3,
            move |_, _| {
                let go = waiting.clone();
                async move {
                    go.acquire().await.unwrap().forget();
                    done().await
                }
            },
        )
        .await;
    reading.diary.reaches(3).await;
    let diary = reading.diary.clone();
    let consuming = reading.consuming.clone();
    reading.shutdown.cancel();
    go.add_permits(10);
    reading.stop().await;
    assert!(!*consuming.borrow());

    let handled = diary.ids();
    let mut left = Vec::new();
    for _ in 0..stage.count(QUEUE.name()).await {
        left.push(stage.take(QUEUE.name()).await.id());
    }
    assert!(
        handled.iter().all(|id| !left.contains(id)),
        "{handled:?} {left:?}"
    );
    let mut all = [handled, left].concat();
    all.sort();
    assert_eq!(
        all,
        (0..10).map(|number| number.to_string()).collect::<Vec<_>>()
    );
}

/// Tells that the handler's future is gone.
struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_grace_an_unfinished_message_goes_back_and_its_handler_ends() {
    let stage = Stage::start().await;
    stage.put("endless").await;
    let gone = Arc::new(AtomicBool::new(false));
    let grace = Duration::from_millis(300);
    let guard = gone.clone();
    let reading = stage
        .read_with(
            |settings| settings.grace = grace,
            move |_, _| {
                let guard = Gone(guard.clone());
                async move {
                    let _guard = guard;
                    std::future::pending().await
                }
            },
        )
        .await;
    reading.diary.reaches(1).await;
    let started = Instant::now();
    reading.stop().await;
    let took = started.elapsed();
    assert!(
        took >= grace && took < grace + Duration::from_secs(5),
        "{took:?}"
    );
    eventually("the handler ends", SOON, async || {
        if gone.load(Ordering::SeqCst) {
            Ok(())
        } else {
            Err("it still runs")
        }
    })
    .await;
    assert_eq!(stage.take(QUEUE.name()).await.id(), "endless");
    assert_eq!(stage.count(&QUEUE.parking_lot()).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_consumer_stops_at_once() {
    let stage = Stage::start().await;
    let reading = stage.read(|_, _| done()).await;
    let started = Instant::now();
    reading.stop().await;
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}
