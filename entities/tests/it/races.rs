//! Two pods at the same contact at the same moment.

use std::sync::Arc;

use entities::{batch, message};
use tokio::sync::Barrier;

use crate::{
    database::{Fresh, on_both_databases},
    samples::{ada, at, batch, receive},
};

on_both_databases!(
    a_burst_over_two_pods_is_one_batch_and_every_message_has_its_number,
    a_message_at_the_moment_of_the_close_is_in_one_batch_and_never_lost,
    of_many_who_close_a_batch_at_once_one_wins,
    the_same_event_on_two_pods_is_one_message,
);

async fn a_burst_over_two_pods_is_one_batch_and_every_message_has_its_number(fresh: Fresh) {
    let pods = [fresh.migrated().await, fresh.migrated().await];
    let start = Arc::new(Barrier::new(20));
    let senders: Vec<_> = (0..20)
        .map(|number| {
            let (db, start) = (pods[number % 2].clone(), start.clone());
            tokio::spawn(async move {
                start.wait().await;
                receive(&db, &ada(), &format!("event {number}"), 0).await
            })
        })
        .collect();

    let mut added = Vec::new();
    for sender in senders {
        added.push(sender.await.unwrap());
    }

    added.sort_by_key(|added| added.sequence);
    let sequences: Vec<_> = added.iter().map(|added| added.sequence).collect();
    assert_eq!(sequences, (1..=20).collect::<Vec<_>>());
    assert!(added.iter().all(|one| one.batch_id == added[0].batch_id));
    assert_eq!(batch::count_open(&pods[0]).await.unwrap(), 1);
    let stored = message::of_batch(&pods[0], added[0].batch_id)
        .await
        .unwrap();
    let stored: Vec<_> = stored
        .iter()
        .filter_map(|message| message.sequence)
        .collect();
    assert_eq!(stored, sequences);
}

/// Whoever wins, the batch that closed holds exactly the messages its sequence tells of.
async fn a_message_at_the_moment_of_the_close_is_in_one_batch_and_never_lost(fresh: Fresh) {
    let pods = [fresh.migrated().await, fresh.migrated().await];
    for round in 0..20 {
        let first = receive(&pods[0], &ada(), &format!("first of {round}"), round).await;
        let start = Arc::new(Barrier::new(2));
        let closer = {
            let (db, start) = (pods[0].clone(), start.clone());
            tokio::spawn(async move {
                start.wait().await;
                batch::close_if_quiet(&db, first.batch_id, 1, at(round))
                    .await
                    .unwrap()
            })
        };
        let sender = {
            let db = pods[1].clone();
            tokio::spawn(async move {
                start.wait().await;
                receive(&db, &ada(), &format!("second of {round}"), round).await
            })
        };

        let closed = closer.await.unwrap();
        let second = sender.await.unwrap();

        let of_first = message::of_batch(&pods[0], first.batch_id)
            .await
            .unwrap()
            .len();
        if closed {
            assert_ne!(second.batch_id, first.batch_id);
            assert_eq!((second.sequence, of_first), (1, 1));
        } else {
            assert_eq!(second.batch_id, first.batch_id);
            assert_eq!((second.sequence, of_first), (2, 2));
        }
        let open = batch::open_of_contact(&pods[0], &ada())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(open.id, second.batch_id);
        batch::close(&pods[0], open.id, batch::ClosedBy::Deadline, at(round))
            .await
            .unwrap();
    }
}

async fn of_many_who_close_a_batch_at_once_one_wins(fresh: Fresh) {
    let db = fresh.migrated().await;
    let id = receive(&db, &ada(), "event", 0).await.batch_id;
    let closers: Vec<_> = (0..20)
        .map(|number| {
            let db = db.clone();
            tokio::spawn(async move {
                if number % 2 == 0 {
                    batch::close_if_quiet(&db, id, 1, at(30)).await.unwrap()
                } else {
                    batch::close(&db, id, batch::ClosedBy::Deadline, at(30))
                        .await
                        .unwrap()
                }
            })
        })
        .collect();

    let mut winners = 0;
    for closer in closers {
        winners += u32::from(closer.await.unwrap());
    }
    assert_eq!(winners, 1);
}

async fn the_same_event_on_two_pods_is_one_message(fresh: Fresh) {
    let pods = [fresh.migrated().await, fresh.migrated().await];
    let start = Arc::new(Barrier::new(2));
    let deliveries = pods.clone().map(|db| {
        let start = start.clone();
        tokio::spawn(async move {
            start.wait().await;
            receive(&db, &ada(), "event", 0).await
        })
    });

    let [first, second] = deliveries;
    let (first, second) = (first.await.unwrap(), second.await.unwrap());

    assert_eq!(first, second);
    assert_eq!(batch(&pods[0], first.batch_id).await.sequence, 1);
}
