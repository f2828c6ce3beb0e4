//! What can be asked about batches.

use entities::{BatchId, ContactId, batch};

use crate::{
    database::{Fresh, on_both_databases},
    samples::{ada, at, closed_batch, receive},
};

on_both_databases!(
    batches_without_an_answer_are_those_since_the_last_one,
    the_open_batch_of_a_contact_is_found_and_no_other,
    open_batches_come_newest_first_and_are_counted,
    batches_that_still_wait_are_told_oldest_first,
    a_contacts_first_and_last_batch_are_told_whatever_became_of_them,
    overdue_batches_are_those_whose_timers_must_be_lost,
    stale_batches_have_waited_long_for_their_reply,
);

async fn the_open_batch_of_a_contact_is_found_and_no_other(fresh: Fresh) {
    let db = fresh.migrated().await;
    let old = closed_batch(&db, &ada(), "event 1", 0).await;
    receive(&db, &ContactId::from("bob"), "event 2", 1).await;
    let open_of_ada = async || batch::open_of_contact(&db, &ada()).await.unwrap();
    let latest_of_ada = async || {
        batch::latest_of_contact(&db, &ada())
            .await
            .unwrap()
            .unwrap()
    };

    assert_eq!(open_of_ada().await, None);
    assert_eq!(latest_of_ada().await.id, old);

    let new = receive(&db, &ada(), "event 3", 60).await.batch_id;
    assert_eq!(open_of_ada().await.unwrap().id, new);
    assert_eq!(latest_of_ada().await.id, new);
    assert_eq!(batch::find(&db, BatchId::new(at(0))).await.unwrap(), None);
}

async fn open_batches_come_newest_first_and_are_counted(fresh: Fresh) {
    let db = fresh.migrated().await;
    closed_batch(&db, &ada(), "event 0", 0).await;
    let mut opened = Vec::new();
    for number in 1..=3 {
        let contact = ContactId(format!("contact {number}"));
        let added = receive(&db, &contact, &format!("event {number}"), number).await;
        opened.push(added.batch_id);
    }

    let newest = batch::open_batches(&db, 2).await.unwrap();

    assert_eq!(ids(&newest), [opened[2], opened[1]]);
    assert_eq!(batch::count_open(&db).await.unwrap(), 3);
}

async fn batches_that_still_wait_are_told_oldest_first(fresh: Fresh) {
    let db = fresh.migrated().await;
    let first = closed_batch(&db, &ada(), "event 1", 0).await;
    let second = closed_batch(&db, &ada(), "event 2", 100).await;
    receive(&db, &ada(), "event 3", 200).await;
    closed_batch(&db, &ContactId::from("bob"), "event 4", 50).await;
    let waiting = async || ids(&batch::closed_of(&db, [&ada()]).await.unwrap());

    assert_eq!(waiting().await, [first, second]);
    batch::finish(&db, first, batch::Outcome::Replied, None, at(300))
        .await
        .unwrap();
    assert_eq!(waiting().await, [second]);
}

async fn a_contacts_first_and_last_batch_are_told_whatever_became_of_them(fresh: Fresh) {
    let db = fresh.migrated().await;
    let bob = ContactId::from("bob");
    closed_batch(&db, &ada(), "event 1", 0).await;
    closed_batch(&db, &bob, "event 2", 60).await;
    let contacts = [ada(), bob.clone(), ContactId::from("nobody")];
    let opened = async || batch::opened(&db, &contacts).await.unwrap();
    let between = |first, last| batch::Opened {
        first: at(first),
        last: at(last),
    };

    assert_eq!(opened().await[&ada()], between(0, 0));
    let second = closed_batch(&db, &ada(), "event 3", 90).await;
    batch::finish(&db, second, batch::Outcome::Replied, None, at(130))
        .await
        .unwrap();
    assert_eq!(opened().await[&ada()], between(0, 90));
    assert_eq!(opened().await[&bob], between(60, 60));
    assert_eq!(opened().await.len(), 2);
}

async fn overdue_batches_are_those_whose_timers_must_be_lost(fresh: Fresh) {
    let db = fresh.migrated().await;
    let talkative = receive(&db, &ContactId::from("talkative"), "event 1", 0)
        .await
        .batch_id;
    receive(&db, &ContactId::from("talkative"), "event 2", 990).await;
    let silent = receive(&db, &ContactId::from("silent"), "event 3", 500)
        .await
        .batch_id;
    receive(&db, &ContactId::from("young"), "event 4", 995).await;
    closed_batch(&db, &ada(), "event 5", 0).await;

    let overdue = async |limit| {
        ids(&batch::overdue_open(&db, at(900), at(400), at(950), limit)
            .await
            .unwrap())
    };

    assert_eq!(overdue(10).await, [talkative, silent]);
    assert_eq!(overdue(1).await, [talkative]);

    let sweep = async || {
        batch::sweep(&db, talkative, batch::State::Open, at(950), at(1000))
            .await
            .unwrap()
    };
    assert!(sweep().await);
    assert!(!sweep().await, "another sweeper was first");
    assert_eq!(overdue(10).await, [silent]);
}

async fn stale_batches_have_waited_long_for_their_reply(fresh: Fresh) {
    let db = fresh.migrated().await;
    let stale = closed_batch(&db, &ContactId::from("stale"), "event 1", 0).await;
    let staler = closed_batch(&db, &ContactId::from("staler"), "event 2", -10).await;
    closed_batch(&db, &ContactId::from("young"), "event 3", 100).await;
    let done = closed_batch(&db, &ContactId::from("done"), "event 4", 0).await;
    batch::finish(&db, done, batch::Outcome::Replied, None, at(40))
        .await
        .unwrap();
    receive(&db, &ContactId::from("open"), "event 5", 0).await;

    let stale_before =
        async |before, limit| ids(&batch::stale_closed(&db, at(before), limit).await.unwrap());

    assert_eq!(stale_before(100, 10).await, [staler, stale]);
    assert_eq!(stale_before(100, 1).await, [staler]);
    assert!(stale_before(20, 10).await.is_empty());

    batch::expect_back(&db, staler, at(150)).await.unwrap();
    assert_eq!(
        stale_before(100, 10).await,
        [stale],
        "its message is due back"
    );
    assert_eq!(stale_before(200, 1).await, [staler], "and did not come");
}

async fn batches_without_an_answer_are_those_since_the_last_one(fresh: Fresh) {
    let db = fresh.migrated().await;
    let end = async |event, second, outcome| {
        let id = closed_batch(&db, &ada(), event, second).await;
        batch::finish(&db, id, outcome, None, at(second + 1))
            .await
            .unwrap();
        id
    };
    end("event 1", 0, batch::Outcome::Superseded).await;
    end("event 2", 10, batch::Outcome::Replied).await;
    let superseded = end("event 3", 20, batch::Outcome::Superseded).await;
    let failed = end("event 4", 30, batch::Outcome::Failed).await;
    let last = closed_batch(&db, &ada(), "event 5", 40).await;

    let last = batch::find(&db, last).await.unwrap().unwrap();
    let unanswered = batch::unanswered_before(&db, &last).await.unwrap();

    assert_eq!(ids(&unanswered), [superseded, failed]);
}

fn ids(batches: &[batch::Model]) -> Vec<BatchId> {
    batches.iter().map(|batch| batch.id).collect()
}
