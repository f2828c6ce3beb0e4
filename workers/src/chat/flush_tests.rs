//! Timers that were armed together: each is for itself.

use std::sync::Arc;

use broker::{Attempt, Handler as _, Outgoing, Verdict, WorkQueue};
use entities::batch::{self, State};
use entities::{BatchId, ContactId};
use messages::{
    BatchClosed, Envelope, FlushRequested, FlushTrigger, MessageReceived, Timer, TimersDue,
    event_type,
};
use sea_orm::{ConnectionTrait as _, DatabaseConnection};
use serde_json::json;
use test_support::Database;
use uuid::Uuid;

use super::Flush;
use crate::chat::store::{Received, Stored, store};
use crate::chat::timers::{BatchWaits, Together};
use crate::group_commit::GroupCommit;
use crate::properties::nowhere;
use crate::time::now;

const WAITS: BatchWaits = BatchWaits {
    default_seconds: 30,
    longest_seconds: 300,
};

/// A trace for each contact.
fn trace(contact: &str) -> String {
    let number = contact.bytes().map(u128::from).sum::<u128>();
    format!("00-{number:032x}-00f067aa0ba902b7-01")
}

fn flush(db: &DatabaseConnection) -> Flush {
    Flush {
        db: db.clone(),
        publisher: nowhere(),
        closing: GroupCommit::default(),
        closings: Arc::default(),
    }
}

/// What the contacts write, stored together.
async fn written(db: &DatabaseConnection, contacts: &[&str]) -> Vec<Stored> {
    let received = contacts.iter().enumerate().map(|(number, contact)| {
        let data = json!({
            "contact_id": contact, "channel": "SMS", "text": "Hello!", "sent_at": now(),
        });
        let id = format!("event-{number}");
        let event = Envelope::new(event_type::MESSAGE_RECEIVED, id, "/webhook", now(), &data);
        assert!(event.data::<MessageReceived>().is_ok());
        Received::read(&event).unwrap()
    });
    let tx = entities::begin(db).await.unwrap();
    store(tx, WAITS, received.collect()).await.unwrap()
}

async fn open_batch(db: &DatabaseConnection, contact: &str) -> Uuid {
    let contact = ContactId(contact.to_owned());
    batch::open_of_contact(db, &contact)
        .await
        .unwrap()
        .unwrap()
        .id
        .0
}

fn timer(contact: &str, batch: Uuid, sequence: i32) -> Timer {
    Timer {
        flush: FlushRequested {
            contact_id: contact.to_owned(),
            batch_id: Some(batch),
            trigger: FlushTrigger::Quiet { sequence },
        },
        traceparent: Some(trace(contact)),
    }
}

async fn due(flush: &Flush, timers: &[Timer]) -> Verdict {
    let data = TimersDue {
        timers: timers.to_vec(),
    };
    let event = Envelope::new(event_type::TIMERS_DUE, "timers", "/test", now(), &data);
    let attempt = Attempt {
        number: 1,
        limit: 6,
        first_seen: now(),
        replayed: false,
        came_back: false,
    };
    flush.handle(&event, attempt).await
}

fn closed(follow_ups: &[Outgoing]) -> Vec<Uuid> {
    let batch = |message: &Outgoing| {
        let event = Envelope::decode(message.body()).unwrap();
        event.data::<BatchClosed>().unwrap().batch_id
    };
    follow_ups.iter().map(batch).collect()
}

#[tokio::test]
async fn timers_that_are_due_together_close_each_its_own_batch_if_no_newer_message_came() {
    let database = Database::sqlite().await;
    let db = database.connect().await;
    // Bob has written once more than his timer knows.
    written(&db, &["ada", "bob", "bob", "cyd"]).await;
    let [ada, bob, cyd] = [
        open_batch(&db, "ada").await,
        open_batch(&db, "bob").await,
        open_batch(&db, "cyd").await,
    ];
    let flush = flush(&db);
    let timers = [
        timer("ada", ada, 1),
        timer("bob", bob, 1),
        timer("nobody", Uuid::from_u128(7), 1),
        timer("cyd", cyd, 1),
    ];

    let Verdict::Done(follow_ups) = due(&flush, &timers).await else {
        panic!("nothing was done");
    };
    assert_eq!(closed(&follow_ups), [ada, cyd]);
    let bob = batch::find(&db, BatchId(bob)).await.unwrap().unwrap();
    assert_eq!(bob.state, State::Open);

    // They come again: whoever died after closing them has told nobody.
    let Verdict::Duplicate(again) = due(&flush, &timers).await else {
        panic!("it was done twice");
    };
    assert_eq!(closed(&again), [ada, cyd]);
    let stale = due(&flush, &[timer("bob", bob.id.0, 1)]).await;
    assert!(
        matches!(stale, Verdict::Skipped("newer_message")),
        "{stale:?}"
    );
}

#[tokio::test]
async fn a_timer_that_fails_is_tried_again_alone() {
    let database = Database::sqlite().await;
    let db = database.connect().await;
    written(&db, &["ada"]).await;
    let ada = open_batch(&db, "ada").await;
    // Not away: it answers that it can't.
    db.execute_unprepared("ALTER TABLE batches RENAME TO hidden")
        .await
        .unwrap();
    let timers = [timer("ada", ada, 1), timer("bob", Uuid::from_u128(7), 1)];

    let Verdict::Duplicate(follow_ups) = due(&flush(&db), &timers).await else {
        panic!("they are not tried again");
    };
    let events = follow_ups.iter().map(|message| {
        assert_eq!(message.queues(), [WorkQueue::ChatFlush]);
        Envelope::decode(message.body()).unwrap()
    });
    for (event, timer) in events.zip(&timers) {
        assert_eq!(event.traceparent, timer.traceparent);
        assert_eq!(event.data::<FlushRequested>().unwrap(), timer.flush);
    }
    assert_eq!(follow_ups.len(), timers.len());
}

#[tokio::test]
async fn messages_that_are_stored_together_have_their_timers_together() {
    let database = Database::sqlite().await;
    let db = database.connect().await;
    let stored = written(&db, &["ada", "bob", "bob"]).await;
    let of_all: Vec<&Arc<Together>> = stored
        .iter()
        .map(|stored| match stored {
            Stored::Added(together) => together,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(
        of_all
            .iter()
            .all(|together| Arc::ptr_eq(together, of_all[0]))
    );
    // Both quiet timers, both deadlines.
    let timers = of_all[0].messages().iter().map(|message| {
        let event = Envelope::decode(message.body()).unwrap();
        let timers = event.data::<TimersDue>().unwrap().timers.into_iter();
        let triggers = timers.map(|timer| timer.flush.trigger);
        (message.delay().as_secs(), triggers.collect::<Vec<_>>())
    });
    let quiet = |sequence| FlushTrigger::Quiet { sequence };
    let deadline = FlushTrigger::Deadline;
    assert_eq!(
        timers.collect::<Vec<_>>(),
        [
            (30, vec![quiet(2), quiet(1)]),
            (300, vec![deadline, deadline])
        ]
    );
}
