//! Connections, transactions, and what an error means.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Mutex,
    task::Poll,
};

use entities::{batch, begin, connect, connect_lazy, is_transient, setting};
use futures_util::future::{join, join_all};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};

use crate::{
    database::{Fresh, on_both_databases, on_sqlite},
    samples::{ada, at, batch, closed_batch},
};

on_both_databases!(
    a_transaction_that_reads_first_may_write_then,
    who_gives_up_while_a_transaction_begins_leaves_none_open,
    a_constraint_is_no_reason_to_try_again,
);

/// Two transactions that read and then write the same row: neither fails, neither write is lost.
async fn a_transaction_that_reads_first_may_write_then(fresh: Fresh) {
    let db = fresh.migrated().await;
    closed_batch(&db, &ada(), "event", 0).await;
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move {
                let tx = begin(&db).await.unwrap();
                let latest = batch::latest_of_contact(&tx, &ada())
                    .await
                    .unwrap()
                    .unwrap();
                setting::put(&tx, "latest", &latest.id.to_string(), at(1))
                    .await
                    .unwrap();
                tx.commit().await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Without it, each statement with a bound `LIMIT` is planned again whenever it is used. Whoever builds elsewhere
/// than in the workspace has to set the flags of `.cargo/config.toml`.
#[tokio::test]
async fn sqlite_is_built_to_plan_a_statement_once() {
    on_sqlite(async |fresh| {
        let options = Statement::from_string(DbBackend::Sqlite, "PRAGMA compile_options");
        let rows = fresh.empty().await.query_all_raw(options).await.unwrap();
        let built_with = |name: &str| {
            rows.iter()
                .any(|row| row.try_get_by_index::<String>(0).unwrap() == name)
        };
        assert!(built_with("ENABLE_QPSG"));
        assert!(built_with("DEFAULT_MEMSTATUS=0"));
        assert!(!built_with("ENABLE_MEMORY_MANAGEMENT"));
    })
    .await;
}

/// What the next one writes on the same connection is written, and not part of the transaction.
async fn who_gives_up_while_a_transaction_begins_leaves_none_open(fresh: Fresh) {
    let others = fresh.migrated().await;
    let db = connect(&fresh.url, 1).await.unwrap();
    setting::get(&db, "any").await.unwrap();
    for (attempt, waits) in (0..8).cycle().take(64).enumerate() {
        while idle_connections(&db) == 0 {
            tokio::task::yield_now().await;
        }
        give_up_after(waits, begin(&db)).await;

        let key = format!("attempt {attempt}, given up after {waits}");
        setting::put(&db, &key, "written", at(0)).await.unwrap();

        let seen = setting::get(&others, &key).await.unwrap();
        assert_eq!(seen.as_deref(), Some("written"), "{key}");
    }
}

fn idle_connections(db: &DatabaseConnection) -> usize {
    match db.get_database_backend() {
        DbBackend::Postgres => db.get_postgres_connection_pool().num_idle(),
        _ => db.get_sqlite_connection_pool().num_idle(),
    }
}

/// Lets it wait so often, then drops it.
async fn give_up_after<F: Future>(waits: u32, future: F) {
    let mut future = pin!(future);
    let mut left = waits;
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Pending if left > 0 => {
            left -= 1;
            Poll::Pending
        }
        _ => Poll::Ready(()),
    })
    .await;
}

async fn a_constraint_is_no_reason_to_try_again(fresh: Fresh) {
    let db = fresh.migrated().await;
    let first = closed_batch(&db, &ada(), "event 1", 0).await;
    let second = closed_batch(&db, &ada(), "event 2", 60).await;
    let reopen = |id| {
        use sea_orm::{ActiveModelTrait, ActiveValue::Set};
        let row = batch::ActiveModel {
            id: Set(id),
            state: Set(batch::State::Open),
            ..Default::default()
        };
        row.update(&db)
    };

    reopen(first).await.unwrap();
    let two_open = reopen(second).await.unwrap_err();

    assert!(!is_transient(&two_open), "{two_open}");
    assert_eq!(batch(&db, second).await.state, batch::State::Closed);
}

#[tokio::test]
async fn sqlite_keeps_what_it_has_committed() {
    crate::database::on_sqlite(|fresh| async move {
        let db = fresh.migrated().await;
        assert_eq!(pragma(&db, "journal_mode").await, "wal");
        assert_eq!(pragma(&db, "synchronous").await, "2", "FULL");
        assert_eq!(pragma(&db, "foreign_keys").await, "1");
        assert_eq!(pragma(&db, "busy_timeout").await, "10000");
    })
    .await;
}

#[tokio::test]
async fn writers_of_one_process_take_turns_on_sqlite_in_the_order_they_came() {
    crate::database::on_sqlite(|fresh| async move {
        let db = fresh.migrated().await;
        let first = begin(&db).await.unwrap();
        let order = Mutex::new(Vec::new());
        let writers = (0..20).map(async |number| {
            let tx = begin(&db).await.unwrap();
            order.lock().unwrap().push(number);
            setting::put(&tx, "last", &number.to_string(), at(number))
                .await
                .unwrap();
            tx.commit().await.unwrap();
        });
        let ended = async {
            setting::put(&first, "last", "first", at(0)).await.unwrap();
            first.commit().await.unwrap();
        };
        join(join_all(writers), ended).await;

        assert_eq!(order.into_inner().unwrap(), (0..20).collect::<Vec<_>>());
        let last = setting::get(&db, "last").await.unwrap();
        assert_eq!(last.as_deref(), Some("19"));
    })
    .await;
}

#[tokio::test]
async fn a_missing_sqlite_file_is_named_and_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing.db");

    let error = connect(&format!("sqlite://{}", path.display()), 1)
        .await
        .unwrap_err();

    assert!(error.to_string().contains("missing.db"), "{error}");
    assert!(!path.exists());
}

#[tokio::test]
async fn a_server_that_is_down_is_worth_another_try_and_no_password_is_told() {
    let port = free_port();
    let url = format!("postgres://user:hunter2@127.0.0.1:{port}/millrace");

    let error = connect(&url, 1).await.unwrap_err();

    assert!(error.is_transient(), "{error}");
    assert!(
        error
            .to_string()
            .contains(&format!("127.0.0.1:{port}/millrace")),
        "{error}"
    );
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_lazy_connection_opens_while_the_server_is_down() {
    let url = format!("postgres://user:hunter2@127.0.0.1:{}/millrace", free_port());

    let db = connect_lazy(&url, 1).unwrap();
    let error = setting::get(&db, "anything").await.unwrap_err();

    assert_eq!(db.get_database_backend(), DbBackend::Postgres);
    assert!(is_transient(&error), "{error}");
    assert!(!format!("{error} {error:?} {db:?}").contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_connection_is_worth_another_try_and_the_pool_recovers() {
    crate::database::on_postgres(|fresh| async move {
        let db = fresh.migrated().await;
        let tx = begin(&db).await.unwrap();
        let own_pid = "SELECT pg_terminate_backend(pg_backend_pid())";

        let error = tx.execute_unprepared(own_pid).await.unwrap_err();

        assert!(is_transient(&error), "{error:?}");
        drop(tx);
        setting::put(&db, "alive", "yes", at(0)).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_worth_another_try() {
    crate::database::on_postgres(|fresh| async move {
        let db = fresh.migrated().await;
        for key in ["a", "b"] {
            setting::put(&db, key, "0", at(0)).await.unwrap();
        }
        let one = begin(&db).await.unwrap();
        let two = begin(&db).await.unwrap();
        setting::put(&one, "a", "1", at(1)).await.unwrap();
        setting::put(&two, "b", "2", at(1)).await.unwrap();

        let (first, second) = tokio::join!(
            async {
                let result = setting::put(&one, "b", "1", at(2)).await;
                drop(one);
                result
            },
            async {
                let result = setting::put(&two, "a", "2", at(2)).await;
                drop(two);
                result
            },
        );

        let error = first.and(second).unwrap_err();
        assert!(is_transient(&error), "{error:?}");
    })
    .await;
}

async fn pragma(db: &DatabaseConnection, name: &str) -> String {
    let pool = db.get_sqlite_connection_pool();
    let row = sea_orm::sqlx::query(sea_orm::sqlx::AssertSqlSafe(format!("PRAGMA {name}")))
        .fetch_one(pool)
        .await
        .unwrap();
    use sea_orm::sqlx::Row;
    row.try_get::<String, _>(0)
        .or_else(|_| row.try_get::<i64, _>(0).map(|number| number.to_string()))
        .unwrap()
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
