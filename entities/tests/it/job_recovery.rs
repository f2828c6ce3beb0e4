//! Failed jobs that go on, submissions that are tried again.

use entities::{begin, job, job::State, unclaimed_response};
use sea_orm::DatabaseConnection;

use crate::{
    database::{Fresh, on_both_databases},
    samples::{at, completed_job, queued_job, response_of, state_of, submitted_job},
};

on_both_databases!(
    a_failed_job_goes_on_from_where_it_stood,
    a_job_that_has_not_failed_is_not_resumed,
    the_next_attempt_starts_once,
    a_job_whose_response_turned_up_is_not_submitted_again,
    a_job_with_its_response_needs_no_other_attempt,
    a_response_is_unclaimed_until_it_is_settled,
);

async fn a_failed_job_goes_on_from_where_it_stood(fresh: Fresh) {
    let db = fresh.migrated().await;
    let jobs = [
        (queued_job(&db, "queued").await, State::Queued),
        (submitted_job(&db, "submitted").await, State::Submitted),
        (completed_job(&db, "completed").await, State::Completed),
    ];
    for (id, stood) in jobs {
        job::fail(&db, id, "the reason", at(9)).await.unwrap();

        assert_eq!(resume(&db, id).await, Some(stood));
        assert_eq!(resume(&db, id).await, None, "it does not fail any more");

        let row = job::find(&db, id).await.unwrap().unwrap();
        assert_eq!((row.state, row.error), (stood, None));
    }
}

async fn a_job_that_has_not_failed_is_not_resumed(fresh: Fresh) {
    let db = fresh.migrated().await;
    let id = submitted_job(&db, "submitted").await;
    job::cancel(&db, id, "by hand", at(9)).await.unwrap();

    assert_eq!(resume(&db, id).await, None);

    assert_eq!(state_of(&db, id).await, State::Cancelled);
}

async fn the_next_attempt_starts_once(fresh: Fresh) {
    let db = fresh.migrated().await;
    let id = submitted_job(&db, "key").await;
    let requeue = async |attempt| {
        job::requeue_for_attempt(&db, id, attempt, at(9))
            .await
            .unwrap()
    };

    assert!(!requeue(2).await, "it is at its first");
    assert!(requeue(1).await);
    assert!(!requeue(1).await);

    let row = job::find(&db, id).await.unwrap().unwrap();
    assert_eq!((row.state, row.attempt), (State::Queued, 2));
    assert_eq!((row.response_id, row.submitted_at), (None, None));
    let lost = job::find_by_response(&db, &response_of("key"))
        .await
        .unwrap();
    assert_eq!(lost, None);
    assert!(requeue(2).await, "a queued job can try again as well");
}

async fn a_job_whose_response_turned_up_is_not_submitted_again(fresh: Fresh) {
    let db = fresh.migrated().await;
    let unanswered = queued_job(&db, "unanswered").await;
    let answered = submitted_job(&db, "answered").await;

    let requeue = async |id| job::requeue_unanswered(&db, id, 1, at(9)).await;
    assert!(requeue(unanswered).await.unwrap());
    assert!(!requeue(answered).await.unwrap());

    assert_eq!(state_of(&db, answered).await, State::Submitted);
}

async fn a_job_with_its_response_needs_no_other_attempt(fresh: Fresh) {
    let db = fresh.migrated().await;
    let id = completed_job(&db, "key").await;

    assert!(!job::requeue_for_attempt(&db, id, 1, at(9)).await.unwrap());

    assert_eq!(state_of(&db, id).await, State::Completed);
}

async fn a_response_is_unclaimed_until_it_is_settled(fresh: Fresh) {
    let db = fresh.migrated().await;
    let (first, second) = (response_of("first"), response_of("second"));
    for (response, seconds) in [(&second, 2), (&first, 1), (&second, 3)] {
        let noted = unclaimed_response::note(&db, response, at(seconds)).await;
        noted.unwrap();
    }
    let list = async |limit| unclaimed_response::list(&db, limit).await.unwrap();

    assert_eq!(list(10).await, [first.clone(), second.clone()]);
    assert_eq!(list(1).await, std::slice::from_ref(&first));
    unclaimed_response::settle(&db, &first).await.unwrap();
    assert_eq!(list(10).await, [second]);
}

async fn resume(db: &DatabaseConnection, id: entities::JobId) -> Option<State> {
    let tx = begin(db).await.unwrap();
    let state = job::resume_failed(&tx, id, at(10)).await.unwrap();
    tx.commit().await.unwrap();
    state
}
