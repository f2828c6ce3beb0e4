//! The state machines of batch, job, reply and effect against what they promise.
//!
//! Each test plays random stories: events from outside, messages that come twice, late or never,
//! workers that die between two steps or come back from the dead, providers that do the work and
//! say nothing, replays. The handlers are the real ones, on a real database, with the sandbox as the
//! providers and the referee; only the broker is played ([`world`]), so that a story can choose what
//! arrives when. The clock of the test's thread is moved on instead of waited for.
//!
//! The stories are the same each time. `PROPERTY_CASES=1000 PROPERTY_SEED=7` plays more, and others; a
//! story that fails is made as short as it can be and printed.

mod chat;
mod effect;
mod fate;
mod misbehaviour;
mod research;
mod workers;
mod world;

use std::fmt::Debug;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use sea_orm::DatabaseConnection;
use test_support::Database;
use tokio::runtime::Builder;

pub(crate) use self::workers::nowhere;

/// Plays `cases` stories (or as many as `PROPERTY_CASES` says) one after another on one database.
///
/// # Panics
/// With the shortest story that breaks a promise, and which.
fn on<S: Strategy, P: Future<Output = Result<(), String>>>(
    database: impl Future<Output = Database>,
    cases: u32,
    stories: &S,
    play: impl Fn(DatabaseConnection, S::Value) -> P,
) where
    S::Value: Debug,
{
    let runtime = { Builder::new_current_thread() }
        .enable_all()
        .build()
        .unwrap();
    let (_database, db) = runtime.block_on(async {
        let database = database.await;
        let db = database.connect().await;
        (database, db)
    });
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let cases = number("PROPERTY_CASES").map_or(cases, |cases| cases as u32);
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number("PROPERTY_SEED").unwrap_or(1).to_le_bytes());
    let config = Config {
        cases,
        max_shrink_iters: 200,
        max_shrink_time: 40_000,
        failure_persistence: None,
        ..Config::default()
    };
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(config, random);
    let played = runner.run(stories, |story| {
        runtime
            .block_on(play(db.clone(), story))
            .map_err(TestCaseError::fail)
    });
    if let Err(failure) = played {
        panic!("{failure}");
    }
}
