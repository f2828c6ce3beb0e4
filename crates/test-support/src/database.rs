//! A database of its own for each test.

use sea_orm::{ConnectionTrait as _, DatabaseConnection};
use tempfile::TempDir;
use uuid::Uuid;

/// An empty, migrated database; removed when this is dropped.
pub struct Database {
    url: String,
    _folder: Option<TempDir>,
}

impl Database {
    /// A SQLite file in a folder of its own.
    ///
    /// # Panics
    /// When the file can't be made.
    pub async fn sqlite() -> Self {
        let folder = TempDir::new().expect("the temporary folder can be written to");
        let path = folder.path().join("millrace.db");
        let url = format!("sqlite://{}?mode=rwc", path.display());
        let database = Self {
            url,
            _folder: Some(folder),
        };
        migration::migrate(&database.connect().await)
            .await
            .expect("an empty database migrates");
        database
    }

    /// A database on the PostgreSQL server named by `TEST_POSTGRES_URL`.
    ///
    /// # Panics
    /// When there is no server: `./dev test` starts one.
    pub async fn postgres() -> Self {
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
        let database = Self {
            url: url.to_string(),
            _folder: None,
        };
        migration::migrate(&database.connect().await)
            .await
            .expect("an empty database migrates");
        database
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
