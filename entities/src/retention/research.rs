//! Jobs and the rows of their documents.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, Condition, QueryOrder, QuerySelect, QueryTrait, Select, entity::prelude::*,
};

use super::rows::remove_effects;
use crate::{
    JobId, document,
    job::{self, Column, State},
};

pub(super) fn given_up(before: DateTime<Utc>) -> Select<job::Entity> {
    job::Entity::find()
        .filter(Column::State.eq(State::Failed))
        .filter(Column::UpdatedAt.lt(before))
        .order_by_asc(Column::Id)
}

/// The reason that it failed for stays.
pub(super) async fn end_given_up<C: ConnectionTrait>(tx: &C, jobs: &[JobId]) -> Result<(), DbErr> {
    let end = job::ActiveModel {
        state: Set(State::Cancelled),
        ..Default::default()
    };
    job::Entity::update_many()
        .set(end)
        .filter(Column::Id.is_in(jobs.iter().copied()))
        .filter(Column::State.eq(State::Failed))
        .exec(tx)
        .await?;
    Ok(())
}

/// Jobs that need neither what was asked nor what came back: they have ended, or have their document
/// and were given up while people were told.
fn over(before: DateTime<Utc>) -> Select<job::Entity> {
    let untold = Condition::all()
        .add(Column::State.eq(State::Documented))
        .add(Column::Error.is_not_null());
    job::Entity::find()
        .filter(
            Condition::any()
                .add(Column::State.is_in([State::Notified, State::Cancelled]))
                .add(untold),
        )
        .filter(Column::UpdatedAt.lt(before))
        .order_by_asc(Column::Id)
}

pub(super) fn with_answers(before: DateTime<Utc>) -> Select<job::Entity> {
    over(before).filter(
        Condition::any()
            .add(Column::Input.is_not_null())
            .add(Column::Response.is_not_null()),
    )
}

pub(super) async fn empty_answers<C: ConnectionTrait>(tx: &C, jobs: &[JobId]) -> Result<(), DbErr> {
    let emptied = job::ActiveModel {
        input: Set(None),
        response: Set(None),
        ..Default::default()
    };
    job::Entity::update_many()
        .set(emptied)
        .filter(Column::Id.is_in(jobs.iter().copied()))
        .exec(tx)
        .await?;
    Ok(())
}

pub(super) fn ended(before: DateTime<Utc>) -> Select<job::Entity> {
    let with_file = document::Entity::find()
        .select_only()
        .column(document::Column::JobId)
        .filter(document::Column::Provider.eq(document::Provider::Local))
        .filter(document::Column::RemovedAt.is_null())
        .into_query();
    over(before).filter(Column::Id.not_in_subquery(with_file))
}

pub(super) async fn ids<C: ConnectionTrait>(
    tx: &C,
    jobs: Select<job::Entity>,
) -> Result<Vec<JobId>, DbErr> {
    // Not the rows: a response can be long.
    jobs.select_only()
        .column(Column::Id)
        .into_tuple()
        .all(tx)
        .await
}

pub(super) async fn remove_jobs<C: ConnectionTrait>(tx: &C, jobs: &[JobId]) -> Result<(), DbErr> {
    let ids = || jobs.iter().copied();
    document::Entity::delete_many()
        .filter(document::Column::JobId.is_in(ids()))
        .exec(tx)
        .await?;
    remove_effects(tx, ids().map(|id| id.0)).await?;
    job::Entity::delete_many()
        .filter(Column::Id.is_in(ids()))
        .exec(tx)
        .await?;
    Ok(())
}
