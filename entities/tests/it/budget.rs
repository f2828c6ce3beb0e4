//! The day's money is spent once.

use entities::{JobId, begin, job, job::Reservation, job::State};
use sea_orm::DatabaseConnection;

use crate::{
    database::{Fresh, on_both_databases},
    samples::{at, completion, queued_job, state_of, submitted_job},
};

on_both_databases!(
    a_job_that_fits_is_reserved_and_one_that_does_not_waits,
    without_a_limit_everything_fits,
    reserving_again_counts_once,
    what_it_did_cost_replaces_what_it_was_to_cost,
    a_new_day_has_new_money,
    only_a_job_that_waits_can_be_reserved,
    jobs_that_reserve_at_once_do_not_overspend,
);

const DAY_START: i64 = 0;

async fn a_job_that_fits_is_reserved_and_one_that_does_not_waits(fresh: Fresh) {
    let db = fresh.migrated().await;
    let first = queued_job(&db, "first").await;
    let second = queued_job(&db, "second").await;

    assert_eq!(
        reserve(&db, first, 6.0, Some(10.0), 1).await,
        Reservation::Reserved
    );
    let over = Reservation::OverBudget { spent: 6.0 };
    assert_eq!(reserve(&db, second, 6.0, Some(10.0), 2).await, over);
    assert_eq!(state_of(&db, first).await, State::Queued);
    assert_eq!(state_of(&db, second).await, State::AwaitingBudget);
    assert_eq!(spent(&db).await, 6.0);

    assert_eq!(
        reserve(&db, second, 4.0, Some(10.0), 3).await,
        Reservation::Reserved
    );
    assert_eq!(state_of(&db, second).await, State::Queued);
    assert_eq!(spent(&db).await, 10.0);
}

async fn without_a_limit_everything_fits(fresh: Fresh) {
    let db = fresh.migrated().await;
    let id = queued_job(&db, "key").await;

    assert_eq!(
        reserve(&db, id, 1_000.0, None, 1).await,
        Reservation::Reserved
    );
}

async fn reserving_again_counts_once(fresh: Fresh) {
    let db = fresh.migrated().await;
    let id = queued_job(&db, "key").await;

    for second in 1..=3 {
        assert_eq!(
            reserve(&db, id, 6.0, Some(10.0), second).await,
            Reservation::Reserved
        );
    }

    assert_eq!(spent(&db).await, 6.0);
}

async fn what_it_did_cost_replaces_what_it_was_to_cost(fresh: Fresh) {
    let db = fresh.migrated().await;
    let id = queued_job(&db, "key").await;
    reserve(&db, id, 6.0, Some(10.0), 1).await;

    job::mark_completed(&db, id, &completion("key"), at(2))
        .await
        .unwrap();

    assert_eq!(spent(&db).await, 1.25);
}

async fn a_new_day_has_new_money(fresh: Fresh) {
    let db = fresh.migrated().await;
    let yesterday = queued_job(&db, "yesterday").await;
    let today = queued_job(&db, "today").await;
    reserve(&db, yesterday, 10.0, Some(10.0), DAY_START - 1).await;

    assert_eq!(spent(&db).await, 0.0);
    assert_eq!(
        reserve(&db, today, 10.0, Some(10.0), DAY_START).await,
        Reservation::Reserved
    );
    assert_eq!(spent(&db).await, 10.0);
}

async fn only_a_job_that_waits_can_be_reserved(fresh: Fresh) {
    let db = fresh.migrated().await;
    let submitted = submitted_job(&db, "submitted").await;
    let unknown = JobId::from_idempotency_key("unknown");

    for id in [submitted, unknown] {
        assert_eq!(
            reserve(&db, id, 1.0, Some(10.0), 1).await,
            Reservation::NotQueued
        );
        assert_eq!(
            reserve(&db, id, 99.0, Some(10.0), 1).await,
            Reservation::NotQueued
        );
    }
    assert_eq!(state_of(&db, submitted).await, State::Submitted);
}

async fn jobs_that_reserve_at_once_do_not_overspend(fresh: Fresh) {
    let db = fresh.migrated().await;
    let mut reservations = Vec::new();
    for number in 0..20 {
        let id = queued_job(&db, &format!("job {number}")).await;
        let db = db.clone();
        reservations.push(async move { reserve(&db, id, 3.0, Some(10.0), 1).await });
    }
    let reservations: Vec<_> = reservations.into_iter().map(tokio::spawn).collect();

    let mut reserved = 0;
    for reservation in reservations {
        match reservation.await.unwrap() {
            Reservation::Reserved => reserved += 1,
            Reservation::OverBudget { spent } => assert_eq!(spent, 9.0),
            Reservation::NotQueued => panic!("every job is queued"),
        }
    }
    assert_eq!(reserved, 3);
    assert_eq!(spent(&db).await, 9.0);
}

async fn reserve(
    db: &DatabaseConnection,
    id: JobId,
    estimate: f64,
    limit: Option<f64>,
    now: i64,
) -> Reservation {
    let tx = begin(db).await.unwrap();
    let reservation = job::reserve_budget(&tx, id, estimate, limit, at(DAY_START), at(now))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    reservation
}

async fn spent(db: &DatabaseConnection) -> f64 {
    job::spent_since(db, at(DAY_START)).await.unwrap()
}
