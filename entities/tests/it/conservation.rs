//! Every row is in a state that the figures know.

use entities::batch::{self, Outcome};
use entities::conservation::{CONSUMERS, Tally, tally};
use entities::{ContactId, document, job, message, parked_message, processed_event, snapshot};
use sea_orm::DatabaseConnection;

use crate::database::{Fresh, on_both_databases};
use crate::samples::{
    ada, at, closed_batch, completed_job, documented_job, inbound, new_job, queued_job, receive,
    submitted_job,
};

on_both_databases!(
    an_empty_database_owes_nothing,
    each_state_of_a_batch_is_accounted_for,
    each_state_of_a_job_is_accounted_for,
    events_that_come_again_are_counted_as_duplicates,
    a_message_that_is_not_stored_is_missed,
    what_stands_still_is_overdue,
    a_parked_message_is_recorded_until_it_is_struck_out,
);

async fn tally_of(db: &DatabaseConnection, consumer: &str, before: i64) -> Tally {
    let tx = snapshot(db).await.unwrap();
    let tally = tally(&tx, consumer, at(before)).await.unwrap();
    tx.commit().await.unwrap();
    tally
}

/// Nothing is in a state that is none of those that are counted.
fn balanced(tally: &Tally) -> bool {
    let suppressed: u64 = tally.suppressed.values().sum();
    tally.accepted
        == tally.done + tally.duplicate + suppressed + tally.failed + tally.waiting + tally.missing
}

async fn an_empty_database_owes_nothing(fresh: Fresh) {
    let db = fresh.migrated().await;
    for consumer in CONSUMERS {
        assert_eq!(tally_of(&db, consumer, 0).await, Tally::default());
    }
}

async fn each_state_of_a_batch_is_accounted_for(fresh: Fresh) {
    let db = fresh.migrated().await;
    receive(&db, &ContactId::from("open"), "e0", 0).await;
    closed_batch(&db, &ContactId::from("closed"), "e1", 0).await;
    for (contact, outcome, reason) in [
        ("replied", Outcome::Replied, None),
        ("failed", Outcome::Failed, Some("openai_refused")),
        ("suppressed", Outcome::Suppressed, Some("opted_out")),
        (
            "superseded",
            Outcome::Superseded,
            Some("contact_wrote_again"),
        ),
    ] {
        let id = closed_batch(&db, &ContactId::from(contact), contact, 0).await;
        assert!(
            batch::finish(&db, id, outcome, reason, at(40))
                .await
                .unwrap()
        );
    }

    let flush = tally_of(&db, "chat.flush", 0).await;
    assert_eq!((flush.accepted, flush.done, flush.waiting), (6, 5, 1));
    let reply = tally_of(&db, "chat.reply", 0).await;
    assert_eq!((reply.accepted, reply.done, reply.waiting), (5, 1, 1));
    assert_eq!(reply.failed, 1);
    assert_eq!(reply.suppressed["opted_out"], 1);
    assert_eq!(reply.suppressed["contact_wrote_again"], 1);
    assert!(balanced(&flush) && balanced(&reply), "{flush:?} {reply:?}");
}

async fn each_state_of_a_job_is_accounted_for(fresh: Fresh) {
    let db = fresh.migrated().await;
    queued_job(&db, "queued").await;
    submitted_job(&db, "submitted").await;
    completed_job(&db, "completed").await;
    documented_job(&db, "documented").await;
    let notified = documented_job(&db, "notified").await;
    assert!(job::mark_notified(&db, notified, at(5)).await.unwrap());
    let untold = documented_job(&db, "untold").await;
    assert!(
        job::note_error(&db, untold, Some("notify_refused: 400"), at(5))
            .await
            .unwrap()
    );
    let refused = queued_job(&db, "refused").await;
    assert!(
        job::fail(&db, refused, "hubspot_refused: 400", at(5))
            .await
            .unwrap()
    );
    let lost = submitted_job(&db, "lost").await;
    assert!(
        job::fail(&db, lost, "openai_unavailable: 500", at(5))
            .await
            .unwrap()
    );
    let cancelled = submitted_job(&db, "cancelled").await;
    assert!(job::cancel(&db, cancelled, "by hand", at(5)).await.unwrap());
    let reused = new_job("reused");
    let reused_id = reused.id();
    job::insert(&db, reused, at(0)).await.unwrap();
    let made = document::find(&db, notified).await.unwrap().unwrap();
    assert!(
        job::reuse_document(&db, reused_id, &made, at(6))
            .await
            .unwrap()
    );

    let submission = tally_of(&db, "research.submission", 0).await;
    assert_eq!((submission.accepted, submission.done), (10, 7));
    assert_eq!(
        (submission.duplicate, submission.failed, submission.waiting),
        (1, 1, 1)
    );
    let completion = tally_of(&db, "research.completion", 0).await;
    assert_eq!((completion.accepted, completion.done), (7, 3));
    assert_eq!((completion.failed, completion.waiting), (1, 2));
    assert_eq!(completion.suppressed["cancelled"], 1);
    let notification = tally_of(&db, "notification.delivery", 0).await;
    assert_eq!((notification.accepted, notification.done), (4, 1));
    assert_eq!((notification.failed, notification.waiting), (1, 2));
    for tally in [submission, completion, notification] {
        assert!(balanced(&tally), "{tally:?}");
    }
}

async fn events_that_come_again_are_counted_as_duplicates(fresh: Fresh) {
    let db = fresh.migrated().await;
    for _ in 0..3 {
        processed_event::record(&db, "chat.intake", "twice more", at(0))
            .await
            .unwrap();
    }
    let taken = message::store_without_batch(&db, &ada(), inbound("a call", 0), at(0)).await;
    assert!(taken.unwrap());
    processed_event::record(&db, "chat.intake", "a call", at(0))
        .await
        .unwrap();
    let intake = tally_of(&db, "chat.intake", 0).await;
    assert_eq!((intake.accepted, intake.done, intake.duplicate), (4, 1, 2));
    assert_eq!(intake.suppressed["not_answered"], 1);
    assert!(balanced(&intake), "{intake:?}");
}

async fn a_message_that_is_not_stored_is_missed(fresh: Fresh) {
    use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
    let db = fresh.migrated().await;
    for (event, second) in [("one", 0), ("two", 1)] {
        receive(&db, &ada(), event, second).await;
    }
    assert_eq!(tally_of(&db, "chat.intake", 0).await.missing, 0);
    message::Entity::delete_many()
        .filter(message::Column::EventId.eq("one"))
        .exec(&db)
        .await
        .unwrap();
    assert_eq!(tally_of(&db, "chat.intake", 0).await.missing, 1);
}

async fn what_stands_still_is_overdue(fresh: Fresh) {
    let db = fresh.migrated().await;
    receive(&db, &ContactId::from("open"), "e0", 10).await;
    let closed = closed_batch(&db, &ContactId::from("closed"), "e1", 10).await;
    queued_job(&db, "queued").await;
    for (consumer, changed) in [
        ("chat.flush", 10),
        ("chat.reply", 40),
        ("research.submission", 0),
    ] {
        assert_eq!(tally_of(&db, consumer, changed).await.overdue, 0);
        assert_eq!(tally_of(&db, consumer, changed + 1).await.overdue, 1);
    }
    // The sweeper has sent it its message again.
    let swept = batch::sweep(&db, closed, batch::State::Closed, at(100), at(100)).await;
    assert!(swept.unwrap());
    assert_eq!(tally_of(&db, "chat.reply", 60).await.overdue, 0);
}

async fn a_parked_message_is_recorded_until_it_is_struck_out(fresh: Fresh) {
    let db = fresh.migrated().await;
    for reason in ["openai_unavailable", "openai_refused"] {
        parked_message::record(&db, "chat.reply", "e1", reason, at(0))
            .await
            .unwrap();
    }
    let reply = tally_of(&db, "chat.reply", 0).await;
    assert_eq!(reply.given_up, [("openai_refused".to_owned(), 1)].into());
    assert!(
        parked_message::strike_out(&db, "chat.reply", "e1")
            .await
            .unwrap()
    );
    assert!(
        !parked_message::strike_out(&db, "chat.reply", "e1")
            .await
            .unwrap()
    );
    let reasons = parked_message::reasons(&db, "chat.reply").await.unwrap();
    assert!(reasons.is_empty());
}
