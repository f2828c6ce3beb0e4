//! The ledger of effects against a model of it: several workers who start, finish and take back.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use entities::effect::{self, Start};
use proptest::collection::vec;
use proptest::prelude::*;
use sea_orm::DatabaseConnection;
use serde_json::{Value, json};
use test_support::Database;
use uuid::Uuid;

use super::on;

/// What one of the workers does.
#[derive(Debug, Clone, Copy)]
enum Move {
    /// Is about to make the call.
    Starts,
    /// Has made the call.
    Finishes,
    /// Knows that the call it saw started did not happen.
    TakesBack,
}

/// What the ledger should hold.
#[derive(Debug, Clone, PartialEq)]
enum Model {
    Nothing,
    Started(DateTime<Utc>),
    Done(Value),
}

fn moves() -> impl Strategy<Value = Vec<(u8, Move)>> {
    let what = prop_oneof![
        Just(Move::Starts),
        Just(Move::Finishes),
        Just(Move::TakesBack)
    ];
    vec((0..3u8, what), 1..30)
}

async fn play(db: DatabaseConnection, moves: Vec<(u8, Move)>) -> Result<(), String> {
    let key = format!("test:{}", Uuid::new_v4());
    let mut model = Model::Nothing;
    // The start that each worker last saw.
    let mut seen: BTreeMap<u8, DateTime<Utc>> = BTreeMap::new();
    let mut time = DateTime::<Utc>::UNIX_EPOCH;
    for (worker, what) in moves {
        time += TimeDelta::microseconds(1);
        let told = match what {
            Move::Starts => {
                let start = effect::start(&db, &key, time).await.unwrap();
                let expected = match &model {
                    Model::Nothing => Start::Fresh,
                    Model::Started(since) => Start::Started { since: *since },
                    Model::Done(result) => Start::Done {
                        result: Some(result.clone()),
                    },
                };
                if model == Model::Nothing {
                    model = Model::Started(time);
                }
                if let Model::Started(since) = model {
                    seen.insert(worker, since);
                }
                start == expected
            }
            Move::Finishes => {
                let result = json!({"by": worker});
                let first = matches!(model, Model::Started(_));
                if first {
                    model = Model::Done(result.clone());
                }
                effect::finish(&db, &key, result, time).await.unwrap() == first
            }
            Move::TakesBack => {
                let Some(since) = seen.get(&worker).copied() else {
                    continue;
                };
                let taken_back = model == Model::Started(since);
                if taken_back {
                    model = Model::Nothing;
                }
                effect::forget(&db, &key, since).await.unwrap() == taken_back
            }
        };
        if !told {
            return Err(format!(
                "worker {worker} {what:?} was told something else than {model:?}"
            ));
        }
    }
    Ok(())
}

#[test]
fn the_ledger_is_what_its_model_is_on_sqlite() {
    on(Database::sqlite(), 100, &moves(), play);
}

#[test]
fn the_ledger_is_what_its_model_is_on_postgres() {
    on(Database::postgres(), 30, &moves(), play);
}
