//! Consuming through broken connections and deleted queues.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use test_support::eventually;
use tokio_util::sync::CancellationToken;

use crate::stage::{QUEUE, SOON, Stage, done};

/// The handler that still runs when its connection goes finishes; its ack comes too late and is no
/// error. The message comes again, to find its work done, and not while the first is at it.
#[tokio::test(flavor = "multi_thread")]
async fn a_closed_connection_brings_the_unacked_message_again_when_its_handler_is_done() {
    let stage = Stage::start().await;
    stage.put("first").await;
    let go = CancellationToken::new();
    let (running, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let act = {
        let (go, running, most) = (go.clone(), running.clone(), most.clone());
        move |_, _| {
            let (go, running, most) = (go.clone(), running.clone(), most.clone());
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                go.cancelled().await;
                running.fetch_sub(1, Ordering::SeqCst);
                done().await
            }
        }
    };
    let mut reading = stage.read(act).await;
    reading.diary.reaches(1).await;

    stage.close_connections(2).await;
    reading
        .consuming
        .wait_for(|consuming| !consuming)
        .await
        .unwrap();
    reading
        .consuming
        .wait_for(|consuming| *consuming)
        .await
        .unwrap();
    eventually(
        "the message is handed out again",
        SOON,
        async || match stage.count(QUEUE.name()).await {
            0 => Ok(()),
            waiting => Err(waiting),
        },
    )
    .await;
    go.cancel();
    reading.diary.reaches(2).await;
    assert_eq!(reading.diary.ids(), ["first", "first"]);
    assert_eq!(
        most.load(Ordering::SeqCst),
        1,
        "one at a time, also across connections"
    );

    eventually("publishing is back as well", SOON, async || {
        let event = crate::stage::event("second");
        stage
            .publisher
            .publish(&broker::Outgoing::event(event))
            .await
    })
    .await;
    reading.diary.reaches(3).await;
    reading.stop().await;
    assert_eq!(stage.count(QUEUE.name()).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_queue_is_declared_and_read_again() {
    let stage = Stage::start().await;
    let reading = stage.read(|_, _| done()).await;
    stage.broker.delete_queue(QUEUE.name());
    // Until it is declared again, what is published goes to `unrouted`.
    eventually("the queue is back", SOON, async || {
        if stage.broker.queue(QUEUE.name()).is_null() {
            Err("absent")
        } else {
            Ok(())
        }
    })
    .await;
    eventually("it is read", SOON, async || {
        stage.put("back").await;
        let ids = reading.diary.ids();
        if ids.is_empty() { Err(ids) } else { Ok(()) }
    })
    .await;
    reading.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_parking_lot_loses_nothing() {
    let stage = Stage::start().await;
    let reading = stage.read(|_, _| done()).await;
    stage.broker.delete_queue(&QUEUE.parking_lot());
    stage.put_raw(b"poison", &[]).await;
    assert_eq!(stage.take("unrouted").await.body, b"poison");
    reading.stop().await;
}
