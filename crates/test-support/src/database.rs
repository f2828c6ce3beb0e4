//! A database of its own for each test.

use sea_orm::{ConnectionTrait as _, DatabaseConnection};
use tempfile::TempDir;
use uuid::Uuid;

/// An empty database, migrated unless its maker says otherwise; removed when this is dropped.
pub struct Database {
    url: String,
    _folder: Option<TempDir>,
    /// The PostgreSQL server and the name of the database on it.
    dropped_at_end: Option<(String, String)>,
}

impl Database {
    /// A SQLite file in a folder of its own.
    ///
    /// # Panics
    /// When the file can't be made.
    pub async fn sqlite() -> Self {
        Self::empty_sqlite().migrated().await
    }

    /// A database on the PostgreSQL server named by `TEST_POSTGRES_URL`.
    ///
    /// # Panics
    /// When there is no server: `./dev test` starts one.
    pub async fn postgres() -> Self {
        Self::empty_postgres().await.migrated().await
    }

    /// A SQLite file without any table.
    ///
    /// # Panics
    /// When the folder can't be made.
    #[must_use]
    pub fn empty_sqlite() -> Self {
        let folder = TempDir::new().expect("the temporary folder can be written to");
        let path = folder.path().join("millrace.db");
        let url = format!("sqlite://{}?mode=rwc", path.display());
        Self {
            url,
            _folder: Some(folder),
            dropped_at_end: None,
        }
    }

    /// A PostgreSQL database without any table.
    ///
    /// # Panics
    /// When there is no server: `./dev test` starts one.
    pub async fn empty_postgres() -> Self {
        let server = std::env::var("TEST_POSTGRES_URL").unwrap_or_else(|_| {
            panic!("TEST_POSTGRES_URL is not set; run ./dev test, which starts PostgreSQL")
        });
        let name = format!("test_{}", Uuid::new_v4().simple());
        let admin = entities::connect(&server, 1)
            .await
            .expect("PostgreSQL can be reached");
        admin
            .execute_unprepared(&format!("CREATE DATABASE {name}"))
            .await
            .expect("the test user may create databases");
        let mut url: url::Url = server.parse().expect("TEST_POSTGRES_URL is an address");
        url.set_path(&name);
        Self {
            url: url.to_string(),
            _folder: None,
            dropped_at_end: Some((server, name)),
        }
    }

    async fn migrated(self) -> Self {
        migration::migrate(&self.connect().await)
            .await
            .expect("an empty database migrates");
        self
    }

    /// The address, as `DATABASE_URL` takes it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection for the test's own questions.
    ///
    /// # Panics
    /// When the database can't be reached.
    pub async fn connect(&self) -> DatabaseConnection {
        entities::connect(&self.url, 4)
            .await
            .expect("the test's database can be reached")
    }
}

impl Drop for Database {
    /// On a thread of its own: a runtime can't be waited for on one of its threads.
    fn drop(&mut self) {
        let Some((server, name)) = self.dropped_at_end.take() else {
            return;
        };
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async {
                if let Ok(admin) = entities::connect(&server, 1).await {
                    let statement = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                    let _ = admin.execute_unprepared(&statement).await;
                }
            });
        });
        let _ = dropping.join();
    }
}
