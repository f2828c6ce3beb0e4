//! A research job's way to its end.

use entities::{JobId, document, job, job::State};
use sea_orm::DatabaseConnection;
use serde_json::json;

use crate::{
    database::{Fresh, on_both_databases},
    samples::{
        at, completed_job, completion, document, documented_job, new_job, queued_job, response_of,
        state_of, submitted_job,
    },
};

on_both_databases!(
    a_repeated_request_is_the_same_job,
    the_input_is_set_while_the_job_waits,
    each_step_is_taken_once_and_in_order,
    a_webhook_may_be_faster_than_the_answer_to_the_submission,
    what_a_response_cost_is_kept,
    a_result_counts_although_the_budget_was_spent_meanwhile,
    a_job_fails_until_it_has_its_document,
    a_failed_submission_leaves_a_job_alone_that_another_message_has_submitted,
    a_job_is_cancelled_while_there_is_no_response,
    the_first_document_stays,
    a_fresh_document_for_the_same_question_is_found,
    another_jobs_document_is_taken_over_once,
    stuck_jobs_are_told_longest_untouched_first,
);

async fn a_repeated_request_is_the_same_job(fresh: Fresh) {
    let db = fresh.migrated().await;

    assert!(job::insert(&db, new_job("key"), at(0)).await.unwrap());
    let again = job::NewJob {
        company_id: "another".to_owned(),
        ..new_job("key")
    };
    assert!(!job::insert(&db, again, at(1)).await.unwrap());

    let id = JobId::from_idempotency_key("key");
    let row = job::find(&db, id).await.unwrap().unwrap();
    assert_eq!((row.state, row.attempt), (State::Queued, 1));
    assert_eq!(row.company_id, "company-7");
    assert_eq!(row.portal_id, Some(146_123_456_789));
    assert_eq!((row.created_at, row.updated_at), (at(0), at(0)));
}

async fn the_input_is_set_while_the_job_waits(fresh: Fresh) {
    let db = fresh.migrated().await;
    let id = queued_job(&db, "key").await;
    let set = async |question: &str| {
        let input = job::Input {
            company_id: "company-8".to_owned(),
            company_name: Some("Acme".to_owned()),
            company_domain: Some("acme.example".to_owned()),
            input: json!({ "question": question }),
            input_hash: "hash".to_owned(),
        };
        job::set_input(&db, id, input, at(5)).await.unwrap()
    };

    assert!(set("first").await);
    job::mark_submitted(&db, id, &response_of("key"), "researcher", at(6))
        .await
        .unwrap();
    assert!(!set("too late").await);

    let row = job::find(&db, id).await.unwrap().unwrap();
    assert_eq!(row.input, Some(json!({ "question": "first" })));
    assert_eq!(row.input_hash.as_deref(), Some("hash"));
    assert_eq!(row.company_id, "company-8");
    assert_eq!(row.company_name.as_deref(), Some("Acme"));
}

async fn each_step_is_taken_once_and_in_order(fresh: Fresh) {
    let db = fresh.migrated().await;
    let id = queued_job(&db, "key").await;
    let response = response_of("key");
    let done = completion("key");

    assert!(!job::mark_documented(&db, id, at(1)).await.unwrap());
    assert!(!job::mark_notified(&db, id, at(1)).await.unwrap());

    assert!(
        job::mark_submitted(&db, id, &response, "researcher", at(2))
            .await
            .unwrap()
    );
    assert!(
        !job::mark_submitted(&db, id, &response, "researcher", at(3))
            .await
            .unwrap()
    );
    assert!(!job::mark_documented(&db, id, at(3)).await.unwrap());

    assert!(job::mark_completed(&db, id, &done, at(4)).await.unwrap());
    assert!(!job::mark_completed(&db, id, &done, at(5)).await.unwrap());
    assert!(!job::mark_notified(&db, id, at(5)).await.unwrap());

    assert!(job::mark_documented(&db, id, at(6)).await.unwrap());
    assert!(!job::mark_documented(&db, id, at(7)).await.unwrap());

    assert!(job::mark_notified(&db, id, at(8)).await.unwrap());
    assert!(!job::mark_notified(&db, id, at(9)).await.unwrap());

    let row = job::find_by_response(&db, &response)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((row.id, row.state), (id, State::Notified));
    assert_eq!(row.model.as_deref(), Some("researcher"));
    assert_eq!(
        (row.submitted_at, row.completed_at),
        (Some(at(2)), Some(at(4)))
    );
    assert_eq!(
        (row.documented_at, row.notified_at),
        (Some(at(6)), Some(at(8)))
    );
    assert_eq!(row.updated_at, at(8));
}

async fn a_webhook_may_be_faster_than_the_answer_to_the_submission(fresh: Fresh) {
    let db = fresh.migrated().await;
    let id = queued_job(&db, "key").await;
    let response = response_of("key");

    assert!(
        job::mark_completed(&db, id, &completion("key"), at(1))
            .await
            .unwrap()
    );
    assert!(
        !job::mark_submitted(&db, id, &response, "researcher", at(2))
            .await
            .unwrap()
    );

    assert_eq!(state_of(&db, id).await, State::Completed);
    assert!(
        job::find_by_response(&db, &response)
            .await
            .unwrap()
            .is_some()
    );
}

async fn what_a_response_cost_is_kept(fresh: Fresh) {
    let db = fresh.migrated().await;
    let id = completed_job(&db, "key").await;

    let row = job::find(&db, id).await.unwrap().unwrap();

    assert_eq!(row.response.as_deref(), Some(r#"{"output": []}"#));
    assert_eq!(
        (row.input_tokens, row.cached_tokens),
        (Some(70_000), Some(1_000))
    );
    assert_eq!(
        (row.output_tokens, row.reasoning_tokens),
        (Some(9_000), Some(4_000))
    );
    assert_eq!((row.total_tokens, row.cost_usd), (Some(79_000), Some(1.25)));
}

async fn a_job_fails_until_it_has_its_document(fresh: Fresh) {
    let db = fresh.migrated().await;
    let notified = documented_job(&db, "notified").await;
    job::mark_notified(&db, notified, at(4)).await.unwrap();
    let cancelled = queued_job(&db, "cancelled").await;
    job::cancel(&db, cancelled, "by hand", at(4)).await.unwrap();
    let open = [
        queued_job(&db, "queued").await,
        awaiting_budget_job(&db, "awaiting").await,
        submitted_job(&db, "submitted").await,
        completed_job(&db, "completed").await,
    ];
    let documented = documented_job(&db, "documented").await;

    for id in open {
        assert!(job::fail(&db, id, "the reason", at(9)).await.unwrap());
        assert!(!job::fail(&db, id, "another reason", at(10)).await.unwrap());
        let row = job::find(&db, id).await.unwrap().unwrap();
        assert_eq!(
            (row.state, row.error.as_deref()),
            (State::Failed, Some("the reason"))
        );
    }
    for id in [documented, notified, cancelled] {
        assert!(!job::fail(&db, id, "too late", at(9)).await.unwrap());
    }
}

async fn a_failed_submission_leaves_a_job_alone_that_another_message_has_submitted(fresh: Fresh) {
    let db = fresh.migrated().await;
    let queued = queued_job(&db, "queued").await;
    let submitted = submitted_job(&db, "submitted").await;

    let fail = async |id| job::fail_submission(&db, id, "the reason", at(9)).await;
    assert!(fail(queued).await.unwrap());
    assert!(!fail(submitted).await.unwrap());

    assert_eq!(state_of(&db, submitted).await, State::Submitted);
}

async fn a_job_is_cancelled_while_there_is_no_response(fresh: Fresh) {
    let db = fresh.migrated().await;
    let without_response = [
        queued_job(&db, "queued").await,
        awaiting_budget_job(&db, "awaiting").await,
        submitted_job(&db, "submitted").await,
    ];
    let completed = completed_job(&db, "completed").await;

    for id in without_response {
        assert!(job::cancel(&db, id, "by hand", at(9)).await.unwrap());
        assert!(!job::cancel(&db, id, "by hand", at(10)).await.unwrap());
        assert_eq!(state_of(&db, id).await, State::Cancelled);
    }
    assert!(!job::cancel(&db, completed, "by hand", at(9)).await.unwrap());
    assert_eq!(state_of(&db, completed).await, State::Completed);
}

async fn the_first_document_stays(fresh: Fresh) {
    let db = fresh.migrated().await;
    let id = completed_job(&db, "key").await;
    assert_eq!(document::find(&db, id).await.unwrap(), None);

    let first = document::store(&db, document(id, "first", 3))
        .await
        .unwrap();
    let second = document::store(&db, document(id, "second", 4))
        .await
        .unwrap();

    assert_eq!(first, document(id, "first", 3));
    assert_eq!(second, first);
    assert_eq!(document::find(&db, id).await.unwrap(), Some(first));
}

async fn a_fresh_document_for_the_same_question_is_found(fresh: Fresh) {
    let db = fresh.migrated().await;
    let mut jobs = Vec::new();
    for (key, hash, created_at) in [("old", "same", 0), ("new", "same", 50), ("else", "x", 90)] {
        let id = queued_job(&db, key).await;
        let input = job::Input {
            company_id: "company-7".to_owned(),
            company_name: None,
            company_domain: None,
            input: json!({}),
            input_hash: hash.to_owned(),
        };
        job::set_input(&db, id, input, at(0)).await.unwrap();
        document::store(&db, document(id, key, created_at))
            .await
            .unwrap();
        jobs.push(id);
    }
    let fresh_since = async |company, hash, since| {
        let found = job::fresh_document(&db, company, hash, at(since))
            .await
            .unwrap();
        found.map(|(job, document)| (job.id, document.provider_id))
    };

    assert_eq!(
        fresh_since("company-7", "same", 0).await,
        Some((jobs[1], "new".to_owned()))
    );
    assert_eq!(
        fresh_since("company-7", "same", 50).await,
        Some((jobs[1], "new".to_owned()))
    );
    assert_eq!(fresh_since("company-7", "same", 51).await, None);
    assert_eq!(fresh_since("company-8", "same", 0).await, None);
    assert_eq!(fresh_since("company-7", "other", 0).await, None);
}

async fn another_jobs_document_is_taken_over_once(fresh: Fresh) {
    let db = fresh.migrated().await;
    let earlier = documented_job(&db, "earlier").await;
    let shared = document::find(&db, earlier).await.unwrap().unwrap();
    let id = queued_job(&db, "later").await;
    let submitted = submitted_job(&db, "submitted").await;

    assert!(job::reuse_document(&db, id, &shared, at(99)).await.unwrap());
    assert!(
        !job::reuse_document(&db, id, &shared, at(100))
            .await
            .unwrap()
    );
    assert!(
        !job::reuse_document(&db, submitted, &shared, at(100))
            .await
            .unwrap()
    );

    let row = job::find(&db, id).await.unwrap().unwrap();
    assert_eq!((row.state, row.cost_usd), (State::Documented, Some(0.0)));
    let copy = document::find(&db, id).await.unwrap().unwrap();
    assert_eq!((copy.url, copy.created_at), (shared.url, shared.created_at));
    assert_eq!(document::find(&db, submitted).await.unwrap(), None);
}

async fn stuck_jobs_are_told_longest_untouched_first(fresh: Fresh) {
    let db = fresh.migrated().await;
    for (key, submitted_at) in [("later", 20), ("sooner", 10), ("young", 90)] {
        let id = queued_job(&db, key).await;
        let response = response_of(key);
        job::mark_submitted(&db, id, &response, "researcher", at(submitted_at))
            .await
            .unwrap();
    }
    queued_job(&db, "queued").await;
    let stuck = async |limit| {
        let jobs = job::stuck(&db, State::Submitted, at(90), limit)
            .await
            .unwrap();
        jobs.into_iter()
            .map(|job| job.idempotency_key)
            .collect::<Vec<_>>()
    };

    assert_eq!(stuck(10).await, ["sooner", "later"]);
    assert_eq!(stuck(1).await, ["sooner"]);

    let sooner = JobId::from_idempotency_key("sooner");
    job::expect_back(&db, sooner, at(95)).await.unwrap();
    assert_eq!(stuck(10).await, ["later"], "its message is due back");
    job::expect_back(&db, sooner, at(80)).await.unwrap();
    assert_eq!(stuck(1).await, ["sooner"], "and did not come");

    let touch = async |state| {
        job::touch(&db, sooner, state, at(90), at(100))
            .await
            .unwrap()
    };
    assert!(!touch(State::Queued).await, "it is submitted");
    assert!(touch(State::Submitted).await);
    assert!(!touch(State::Submitted).await, "another sweeper was first");
    assert_eq!(stuck(10).await, ["later"]);
}

async fn a_result_counts_although_the_budget_was_spent_meanwhile(fresh: Fresh) {
    let db = fresh.migrated().await;
    let id = awaiting_budget_job(&db, "key").await;

    assert!(
        job::mark_completed(&db, id, &completion("key"), at(5))
            .await
            .unwrap()
    );

    assert_eq!(state_of(&db, id).await, State::Completed);
}

async fn awaiting_budget_job(db: &DatabaseConnection, key: &str) -> JobId {
    let id = queued_job(db, key).await;
    job::reserve_budget(db, id, 1.0, Some(0.0), at(0), at(1))
        .await
        .unwrap();
    assert_eq!(state_of(db, id).await, State::AwaitingBudget);
    id
}
