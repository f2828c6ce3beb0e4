//! The two shapes of a guarded write.

use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbErr, EntityTrait, Insert, UpdateMany,
    sea_query::OnConflict,
};

/// Inserts the row unless a row with the same unique key exists; says whether it was inserted.
///
/// A transaction elsewhere that has inserted the same key and not yet ended is waited for.
pub(crate) async fn insert_if_absent<C, A>(db: &C, row: A) -> Result<bool, DbErr>
where
    C: ConnectionTrait,
    A: ActiveModelTrait,
{
    let inserted = Insert::one(row)
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(db)
        .await?;
    Ok(inserted == 1)
}

/// Runs an update whose filter names the state it expects; says whether a row was in it.
pub(crate) async fn won<C, E>(db: &C, update: UpdateMany<E>) -> Result<bool, DbErr>
where
    C: ConnectionTrait,
    E: EntityTrait,
{
    Ok(update.exec(db).await?.rows_affected > 0)
}
