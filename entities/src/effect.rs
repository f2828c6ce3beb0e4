//! The ledger of outward effects: a document made, a reply sent, a person told.
//!
//! Before a call that its provider does not deduplicate: [`start`]. After it: [`finish`] with
//! what came of it. Who finds an effect started and not finished asks the provider whether it
//! happened; if it certainly did not, [`forget`] gives it back, to one of those who ask.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ExprTrait,
    entity::prelude::*,
    sea_query::{OnConflict, Query},
};

use crate::write::{brought, in_statements, insert_if_absent};

/// One outward effect.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "effects")]
pub struct Model {
    /// What it is, for example `reply:<batch>:send`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// How far it is.
    pub state: State,
    /// What came of it, once it is done.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub result: Option<Json>,
    /// When the call was about to be made.
    pub started_at: DateTime<Utc>,
    /// When its result was stored.
    pub finished_at: Option<DateTime<Utc>>,
}

/// No row here belongs to another.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// How far an effect is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum State {
    /// The call may have been made.
    Started,
    /// The call was made and its result is known.
    Done,
}

/// What [`start`] found.
#[derive(Clone, Debug, PartialEq)]
pub enum Start {
    /// Nobody has tried yet: make the call.
    Fresh,
    /// Somebody was about to make the call and its outcome is not known: ask the provider.
    Started {
        /// When that was.
        since: DateTime<Utc>,
    },
    /// It has happened.
    Done {
        /// What came of it.
        result: Option<Json>,
    },
}

/// Records that the call is about to be made. Of several that try at once, one is told
/// [`Start::Fresh`]. Commit before the call, or a crash in it leaves no trace.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn start<C: ConnectionTrait>(
    tx: &C,
    key: &str,
    now: DateTime<Utc>,
) -> Result<Start, DbErr> {
    loop {
        if insert_if_absent(tx, started(key, now)).await? {
            return Ok(Start::Fresh);
        }
        // Missing here means: forgotten since the insert, so it can be started after all.
        if let Some(row) = find(tx, key).await? {
            return Ok(match row.state {
                State::Started => Start::Started {
                    since: row.started_at,
                },
                State::Done => Start::Done { result: row.result },
            });
        }
    }
}

/// [`start`] of several calls at once; says for each, in their order, what it found.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn start_all<C: ConnectionTrait>(
    tx: &C,
    keys: &[String],
    now: DateTime<Utc>,
) -> Result<Vec<Start>, DbErr> {
    // In one order for all pods, or two of them wait for each other.
    let ordered: BTreeSet<&String> = keys.iter().collect();
    let mut fresh = HashSet::new();
    for keys in in_statements(ordered) {
        let rows = keys.into_iter().map(|key| started(key, now));
        let inserted = Entity::insert_many(rows)
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .exec_with_returning_keys(tx);
        fresh.extend(inserted.await?);
    }
    let mut starts = Vec::with_capacity(keys.len());
    for key in keys {
        starts.push(if fresh.remove(key) {
            Start::Fresh
        } else {
            start(tx, key, now).await?
        });
    }
    Ok(starts)
}

fn started(key: &str, now: DateTime<Utc>) -> ActiveModel {
    ActiveModel {
        key: Set(key.to_owned()),
        state: Set(State::Started),
        result: Set(None),
        started_at: Set(now),
        finished_at: Set(None),
    }
}

/// Records that the call was made and what came of it. `false` when it was done already (the
/// first result stays) or was never started.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn finish<C: ConnectionTrait>(
    db: &C,
    key: &str,
    result: Json,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let finished = finish_all(db, [(key.to_owned(), result)], now).await?;
    Ok(finished == 1)
}

/// [`finish`] of several calls at once, each with what came of it; how many were not done already.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn finish_all<C: ConnectionTrait>(
    db: &C,
    results: impl IntoIterator<Item = (String, Json)>,
    now: DateTime<Utc>,
) -> Result<u64, DbErr> {
    let mut finished = 0;
    for results in in_statements(results) {
        let update = Query::update()
            .table(Entity)
            .value(Column::State, State::Done)
            .value(Column::Result, Expr::col(("done", "column2")))
            .value(Column::FinishedAt, now)
            .from(brought(results, "done"))
            .and_where(Expr::col((Entity, Column::Key)).equals(("done", "column1")))
            .and_where(Expr::col((Entity, Column::State)).eq(State::Started))
            .to_owned();
        finished += db.execute(&update).await?.rows_affected();
    }
    Ok(finished)
}

/// Takes back a start whose call certainly did not happen, so that it can be started again.
///
/// `since` is the time of the start that is taken back (the `now` it was made with, or
/// [`Start::Started`]'s): a start that somebody else has made meanwhile stays. `false` then, and
/// when the effect is done.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn forget<C: ConnectionTrait>(
    db: &C,
    key: &str,
    since: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let deleted = Entity::delete_many()
        .filter(Column::Key.eq(key))
        .filter(Column::State.eq(State::Started))
        .filter(Column::StartedAt.eq(since))
        .exec(db)
        .await?;
    Ok(deleted.rows_affected > 0)
}

/// The effect with this key, if it was ever started.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn find<C: ConnectionTrait>(db: &C, key: &str) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(key).one(db).await
}
