//! A fresh database for each test, on either engine.

use std::{env, future::Future};

use ::entities::connect;
use sea_orm::{ConnectionTrait, DatabaseConnection};
use tempfile::TempDir;
use url::Url;
use uuid::Uuid;

/// Enough for the races to be races.
const CONNECTIONS: u32 = 8;

/// An empty database.
#[derive(Clone)]
pub(crate) struct Fresh {
    /// Its address.
    pub(crate) url: String,
}

impl Fresh {
    /// A pool on the empty database.
    pub(crate) async fn empty(&self) -> DatabaseConnection {
        connect(&self.url, CONNECTIONS).await.unwrap()
    }

    /// A pool on the database with its schema.
    pub(crate) async fn migrated(&self) -> DatabaseConnection {
        let db = self.empty().await;
        ::migration::migrate(&db).await.unwrap();
        db
    }
}

/// Makes of each `async fn case(fresh: Fresh)` a test on SQLite and one on PostgreSQL.
macro_rules! on_both_databases {
    ($($case:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                $crate::database::on_sqlite(super::$case).await;
            })+
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                $crate::database::on_postgres(super::$case).await;
            })+
        }
    };
}

pub(crate) use on_both_databases;

pub(crate) async fn on_sqlite<F>(case: impl FnOnce(Fresh) -> F)
where
    F: Future<Output = ()>,
{
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("millrace.db");
    case(Fresh {
        url: format!("sqlite://{}?mode=rwc", path.display()),
    })
    .await;
}

pub(crate) async fn on_postgres<F>(case: impl FnOnce(Fresh) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let server = env::var("TEST_POSTGRES_URL").expect(
        "no PostgreSQL server to test on: run ./dev test, or set TEST_POSTGRES_URL \
         (for example postgres://postgres@127.0.0.1:5432/postgres)",
    );
    let admin = connect(&server, 1).await.unwrap();
    let name = format!("millrace_test_{}", Uuid::new_v4().simple());
    admin
        .execute_unprepared(&format!("CREATE DATABASE {name} TEMPLATE template0"))
        .await
        .unwrap();
    let mut url: Url = server.parse().unwrap();
    url.set_path(&name);

    // In a task of its own, so that the database is dropped after a failure as well.
    let outcome = tokio::spawn(case(Fresh { url: url.into() })).await;
    admin
        .execute_unprepared(&format!("DROP DATABASE {name} WITH (FORCE)"))
        .await
        .unwrap();
    if let Err(failure) = outcome {
        std::panic::resume_unwind(failure.into_panic());
    }
}
