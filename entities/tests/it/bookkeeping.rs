//! Events processed once, effects had once, settings for all pods.

use entities::{effect, pause, processed_event, setting};
use sea_orm::DbErr;
use sea_orm::EntityTrait as _;
use serde_json::json;

use crate::{
    database::{Fresh, on_both_databases},
    samples::at,
};

on_both_databases!(
    an_event_is_new_once_for_each_consumer,
    of_many_who_record_an_event_at_once_one_is_first,
    of_several_events_at_once_each_is_new_once,
    of_several_effects_at_once_each_is_fresh_once,
    several_effects_are_finished_at_once_each_with_its_own_result,
    an_effect_is_fresh_once_then_started_then_done,
    an_effect_that_did_not_happen_can_be_started_again,
    only_the_start_that_is_meant_is_taken_back,
    of_many_who_start_an_effect_at_once_one_is_fresh,
    the_last_value_of_a_setting_counts,
    a_wait_that_is_no_number_is_an_error,
    the_longest_pause_of_a_provider_counts_until_it_is_over,
);

async fn an_event_is_new_once_for_each_consumer(fresh: Fresh) {
    let db = fresh.migrated().await;
    let record = async |consumer, event| {
        processed_event::record(&db, consumer, event, at(0))
            .await
            .unwrap()
    };
    assert!(record("chat.intake", "event").await);
    assert!(!record("chat.intake", "event").await);
    assert!(record("chat.flush", "event").await);
    assert!(record("chat.intake", "other event").await);
}

async fn of_several_events_at_once_each_is_new_once(fresh: Fresh) {
    let db = fresh.migrated().await;
    let record = async |events: &[&str]| {
        processed_event::record_all(&db, "chat.intake", events, at(0))
            .await
            .unwrap()
    };
    assert!(record(&["b"]).await[0]);
    let first = record(&["c", "b", "a", "c"]).await;
    assert_eq!(first, [true, false, true, false]);
    let counted = processed_event::Entity::find().all(&db).await.unwrap();
    let mut repeats: Vec<_> = counted
        .iter()
        .map(|event| (event.event_id.as_str(), event.repeats))
        .collect();
    repeats.sort_unstable();
    assert_eq!(repeats, [("a", 0), ("b", 1), ("c", 1)]);
    assert_eq!(record(&[]).await, [] as [bool; 0]);
}

async fn of_several_effects_at_once_each_is_fresh_once(fresh: Fresh) {
    let db = fresh.migrated().await;
    effect::start(&db, "started", at(0)).await.unwrap();
    effect::start(&db, "done", at(0)).await.unwrap();
    effect::finish(&db, "done", json!(1), at(1)).await.unwrap();

    let keys = ["started", "fresh", "done", "fresh"].map(str::to_owned);
    let starts = effect::start_all(&db, &keys, at(2)).await.unwrap();

    let result = Some(json!(1));
    let expected = [
        effect::Start::Started { since: at(0) },
        effect::Start::Fresh,
        effect::Start::Done { result },
        effect::Start::Started { since: at(2) },
    ];
    assert_eq!(starts, expected);
}

async fn several_effects_are_finished_at_once_each_with_its_own_result(fresh: Fresh) {
    let db = fresh.migrated().await;
    let keys: Vec<String> = (0..6).map(|number| format!("effect {number}")).collect();
    effect::start_all(&db, &keys, at(0)).await.unwrap();
    let result = |number: usize| json!({ "id": format!("message {number}") });
    effect::finish(&db, &keys[5], json!("before"), at(1))
        .await
        .unwrap();

    let mut results: Vec<_> = keys
        .iter()
        .enumerate()
        .map(|(number, key)| (key.clone(), result(number)))
        .collect();
    results.push(("never started".to_owned(), json!({})));
    let finished = effect::finish_all(&db, results, at(2)).await.unwrap();

    assert_eq!(finished, 5);
    for (number, key) in keys.iter().enumerate() {
        let row = effect::find(&db, key).await.unwrap().unwrap();
        let (expected, finished_at) = match number {
            5 => (json!("before"), at(1)),
            _ => (result(number), at(2)),
        };
        assert_eq!(row.state, effect::State::Done);
        assert_eq!(
            (row.result, row.finished_at),
            (Some(expected), Some(finished_at))
        );
    }
    let never = effect::find(&db, "never started").await.unwrap();
    assert_eq!(never, None);
}

async fn of_many_who_record_an_event_at_once_one_is_first(fresh: Fresh) {
    let db = fresh.migrated().await;
    let consumers: Vec<_> = (0..20)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move {
                let tx = entities::begin(&db).await.unwrap();
                let first = processed_event::record(&tx, "chat.intake", "event", at(0)).await;
                tx.commit().await.unwrap();
                first.unwrap()
            })
        })
        .collect();
    let mut firsts = 0;
    for consumer in consumers {
        firsts += u32::from(consumer.await.unwrap());
    }
    assert_eq!(firsts, 1);
}

async fn an_effect_is_fresh_once_then_started_then_done(fresh: Fresh) {
    let db = fresh.migrated().await;
    let start = async |seconds| effect::start(&db, "document:7", at(seconds)).await.unwrap();
    let finish = async |result| {
        effect::finish(&db, "document:7", result, at(9))
            .await
            .unwrap()
    };

    assert!(!finish(json!("never started")).await);
    assert_eq!(start(0).await, effect::Start::Fresh);
    assert_eq!(start(1).await, effect::Start::Started { since: at(0) });
    assert!(finish(json!({"id": "first"})).await);
    assert!(!finish(json!({"id": "second"})).await);

    let result = Some(json!({"id": "first"}));
    assert_eq!(start(10).await, effect::Start::Done { result });
    let row = effect::find(&db, "document:7").await.unwrap().unwrap();
    assert_eq!(
        (row.state, row.finished_at),
        (effect::State::Done, Some(at(9)))
    );
}

async fn an_effect_that_did_not_happen_can_be_started_again(fresh: Fresh) {
    let db = fresh.migrated().await;
    let key = "reply:7:send";
    effect::start(&db, key, at(0)).await.unwrap();

    assert!(effect::forget(&db, key, at(0)).await.unwrap());
    assert!(!effect::forget(&db, key, at(0)).await.unwrap());
    assert_eq!(
        effect::start(&db, key, at(1)).await.unwrap(),
        effect::Start::Fresh
    );

    effect::finish(&db, key, json!(null), at(2)).await.unwrap();
    assert!(
        !effect::forget(&db, key, at(1)).await.unwrap(),
        "it is done"
    );
}

/// Two pods found the same start; the first takes it back and starts anew. The second must not
/// take that away.
async fn only_the_start_that_is_meant_is_taken_back(fresh: Fresh) {
    let db = fresh.migrated().await;
    let key = "reply:7:send";
    effect::start(&db, key, at(0)).await.unwrap();
    assert!(effect::forget(&db, key, at(0)).await.unwrap());
    effect::start(&db, key, at(60)).await.unwrap();

    assert!(!effect::forget(&db, key, at(0)).await.unwrap());

    let started = effect::Start::Started { since: at(60) };
    assert_eq!(effect::start(&db, key, at(61)).await.unwrap(), started);
}

async fn of_many_who_start_an_effect_at_once_one_is_fresh(fresh: Fresh) {
    let db = fresh.migrated().await;
    let workers: Vec<_> = (0..20)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move { effect::start(&db, "document:7", at(0)).await.unwrap() })
        })
        .collect();
    let mut starts = Vec::new();
    for worker in workers {
        starts.push(worker.await.unwrap());
    }
    let fresh = starts
        .iter()
        .filter(|start| **start == effect::Start::Fresh);
    assert_eq!(fresh.count(), 1);
}

async fn the_last_value_of_a_setting_counts(fresh: Fresh) {
    let db = fresh.migrated().await;
    assert_eq!(setting::batch_wait_seconds(&db).await.unwrap(), None);

    setting::set_batch_wait_seconds(&db, 30, at(0))
        .await
        .unwrap();
    setting::set_batch_wait_seconds(&db, 45, at(1))
        .await
        .unwrap();

    assert_eq!(setting::batch_wait_seconds(&db).await.unwrap(), Some(45));
    assert_eq!(setting::get(&db, "something else").await.unwrap(), None);
}

async fn a_wait_that_is_no_number_is_an_error(fresh: Fresh) {
    let db = fresh.migrated().await;
    setting::put(&db, "batch_wait_seconds", "soon", at(0))
        .await
        .unwrap();

    let error = setting::batch_wait_seconds(&db).await.unwrap_err();

    assert!(matches!(error, DbErr::Type(_)), "{error}");
    assert!(!entities::is_transient(&error));
}

async fn the_longest_pause_of_a_provider_counts_until_it_is_over(fresh: Fresh) {
    let db = fresh.migrated().await;
    let until = async |now| pause::until(&db, "openai", at(now)).await.unwrap();
    assert_eq!(until(0).await, None);

    for seconds in [30, 60, 10] {
        pause::extend(&db, "openai", at(seconds)).await.unwrap();
    }

    assert_eq!(until(0).await, Some(at(60)));
    assert_eq!(until(59).await, Some(at(60)));
    assert_eq!(until(60).await, None);
    assert_eq!(pause::until(&db, "google", at(0)).await.unwrap(), None);
}
