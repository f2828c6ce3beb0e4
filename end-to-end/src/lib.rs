//! Millrace as a whole, for tests: a real RabbitMQ, a database, the stand-ins of all providers, and
//! the gateway and workers, either in this process or as the programs that are shipped.
//!
//! [`World`] is where a test begins. What happens outside of Millrace (contacts, salespeople,
//! OpenAI) is played through the sandbox, see `people.rs`; what Millrace did is read from its own
//! routes and from the sandbox's list of outward effects.

mod client;
mod people;
mod process;
mod programs;
mod watching;
mod world;

pub use client::{API_KEY, Answer};
pub use process::Process;
pub use world::{Engine, World};

/// Makes of each `async fn case(world: World)` a test on SQLite and one on PostgreSQL.
#[macro_export]
macro_rules! on_both_databases {
    ($($case:ident),+ $(,)?) => {$(
        mod $case {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$case($crate::World::new($crate::Engine::Sqlite).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                super::$case($crate::World::new($crate::Engine::Postgres).await).await;
            }
        }
    )+};
}

/// Makes of each `async fn case(world: World)` a test on SQLite: for what has nothing to do with the
/// database.
#[macro_export]
macro_rules! on_sqlite {
    ($($case:ident),+ $(,)?) => {$(
        mod $case {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$case($crate::World::new($crate::Engine::Sqlite).await).await;
            }
        }
    )+};
}
