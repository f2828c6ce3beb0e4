//! Questions about batches. None of these changes anything.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    Condition, ExprTrait, PaginatorTrait, QueryOrder, QuerySelect,
    entity::prelude::*,
    sea_query::{LockBehavior, LockType, Query},
};

use super::{Column, Entity, Model, State};
use crate::{
    BatchId, ContactId,
    write::{any_of, any_of_few},
};

/// The batch with this id.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn find<C: ConnectionTrait>(db: &C, id: BatchId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(db).await
}

/// Those of these batches that there are.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn find_all<C: ConnectionTrait>(
    db: &C,
    ids: impl IntoIterator<Item = BatchId>,
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::Id.is_in(any_of(ids)))
        .all(db)
        .await
}

/// Those of the batches that no other transaction holds, held until this one ends. It waits for
/// nobody, so it can't wait in a circle. SQLite has one writer at a time anyway.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn hold_free<C: ConnectionTrait>(
    tx: &C,
    ids: impl IntoIterator<Item = BatchId>,
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::Id.is_in(any_of(ids)))
        .lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked)
        .all(tx)
        .await
}

/// The contact's open batch, if there is one.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn open_of_contact<C: ConnectionTrait>(
    db: &C,
    contact: &ContactId,
) -> Result<Option<Model>, DbErr> {
    Entity::find()
        .filter(Column::ContactId.eq(contact.clone()))
        .filter(looked_at(State::Open))
        .one(db)
        .await
}

/// The batch that the contact opened last, whatever its state.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn latest_of_contact<C: ConnectionTrait>(
    db: &C,
    contact: &ContactId,
) -> Result<Option<Model>, DbErr> {
    Entity::find()
        .filter(Column::ContactId.eq(contact.clone()))
        .order_by_desc(Column::OpenedAt)
        .limit(1)
        .one(db)
        .await
}

/// The newest `limit` open batches, newest first.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn open_batches<C: ConnectionTrait>(db: &C, limit: u64) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::State.eq(State::Open))
        .order_by_desc(Column::OpenedAt)
        .limit(limit)
        .all(db)
        .await
}

/// How many batches are open.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn count_open<C: ConnectionTrait>(db: &C) -> Result<u64, DbErr> {
    Entity::find()
        .filter(Column::State.eq(State::Open))
        .count(db)
        .await
}

/// The batches of these contacts that wait for their reply; those of a contact, oldest first.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn closed_of<C: ConnectionTrait>(
    db: &C,
    contacts: impl IntoIterator<Item = &ContactId>,
) -> Result<Vec<Model>, DbErr> {
    let mut closed = Vec::new();
    for contacts in any_of_few(contacts.into_iter().cloned()) {
        let of_some = Entity::find()
            .filter(Column::ContactId.is_in(contacts))
            .filter(looked_at(State::Closed))
            .order_by_asc(Column::OpenedAt);
        closed.extend(of_some.all(db).await?);
    }
    Ok(closed)
}

/// When a contact's batches were opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its first one.
    pub first: DateTime<Utc>,
    /// Its last one.
    pub last: DateTime<Utc>,
}

/// When the batches of these contacts were opened, of those who have one.
///
/// Asked for each contact by itself, the first and the last by the index. For a list of contacts at once
/// PostgreSQL would read the whole table for as long as it is small, and then go on so while it grows, up to
/// its next analysis.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn opened<C: ConnectionTrait>(
    db: &C,
    contacts: impl IntoIterator<Item = &ContactId>,
) -> Result<HashMap<ContactId, Opened>, DbErr> {
    let contacts = any_of(contacts.into_iter().cloned());
    if contacts.is_empty() {
        return Ok(HashMap::new());
    }
    // What both databases call the first column of a list of values.
    let contact = ("contacts", "column1");
    let of_batches = |opened: Expr| {
        Query::select()
            .expr(opened)
            .from(Entity)
            .and_where(Expr::col((Entity, Column::ContactId)).eq(Expr::col(contact)))
            .to_owned()
    };
    let question = Query::select()
        .column(contact)
        .expr(of_batches(Column::OpenedAt.min()))
        .expr(of_batches(Column::OpenedAt.max()))
        .from_values(contacts.into_iter().map(|contact| contact.0), "contacts")
        .to_owned();
    let mut opened = HashMap::new();
    for row in db.query_all(&question).await? {
        let (first, last) = (row.try_get_by_index(1)?, row.try_get_by_index(2)?);
        if let (Some(first), Some(last)) = (first, last) {
            opened.insert(row.try_get_by_index(0)?, Opened { first, last });
        }
    }
    Ok(opened)
}

/// The contact's batches just before this one that nobody has answered, oldest first: superseded
/// ones, whose messages the next reply answers, and failed ones.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn unanswered_before<C: ConnectionTrait>(
    db: &C,
    batch: &Model,
) -> Result<Vec<Model>, DbErr> {
    /// More batches in a row than anybody writes without an answer.
    const LOOK_BACK: u64 = 50;
    let earlier = Entity::find()
        .filter(Column::ContactId.eq(batch.contact_id.clone()))
        .filter(Column::OpenedAt.lt(batch.opened_at))
        .order_by_desc(Column::OpenedAt)
        .limit(LOOK_BACK)
        .all(db)
        .await?;
    let mut unanswered: Vec<Model> = earlier
        .into_iter()
        .take_while(|batch| matches!(batch.state, State::Superseded | State::Failed))
        .collect();
    unanswered.reverse();
    Ok(unanswered)
}

/// Open batches whose timers must have been lost: the latest message came before
/// `last_message_before`, or the first before `opened_before`. Oldest first, without those that
/// [`super::sweep`] has driven on since `swept_before`.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn overdue_open<C: ConnectionTrait>(
    db: &C,
    last_message_before: DateTime<Utc>,
    opened_before: DateTime<Utc>,
    swept_before: DateTime<Utc>,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::State.eq(State::Open))
        .filter(
            Condition::any()
                .add(Column::LastMessageAt.lt(last_message_before))
                .add(Column::OpenedAt.lt(opened_before)),
        )
        .filter(not_swept_since(swept_before))
        .order_by_asc(Column::OpenedAt)
        .limit(limit)
        .all(db)
        .await
}

/// Batches that closed before this time and still wait for their reply, oldest first, without those
/// that [`super::sweep`] has driven on since, or whose message was to be back later.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn stale_closed<C: ConnectionTrait>(
    db: &C,
    before: DateTime<Utc>,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::State.eq(State::Closed))
        .filter(Column::ClosedAt.lt(before))
        .filter(not_swept_since(before))
        .filter(
            Condition::any()
                .add(Column::DueBackAt.is_null())
                .add(Column::DueBackAt.lt(before)),
        )
        .order_by_asc(Column::ClosedAt)
        .limit(limit)
        .all(db)
        .await
}

/// Whether a batch that is named is in this state. Not as a plain column: SQLite takes the rows in a
/// state to be fewer than those that are named, and would go through all of them.
pub(super) fn looked_at(state: State) -> Expr {
    Expr::col(Column::State).cast_as("text").eq(state)
}

/// Whether the sweeper has left the batch alone since `before`.
pub(crate) fn not_swept_since(before: DateTime<Utc>) -> Condition {
    Condition::any()
        .add(Column::SweptAt.is_null())
        .add(Column::SweptAt.lt(before))
}
