//! The shapes of guarded writes, and of statements for many rows.

use std::collections::{BTreeSet, VecDeque};

use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbErr, EntityTrait, Insert, UpdateMany,
    sea_query::{IntoIden as _, IntoValueTuple, OnConflict, TableRef},
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

/// How many rows a statement takes at once. Few sizes: a statement is prepared once for each, and kept by
/// each connection and by the server, where it takes the more memory the more rows it has.
const SIZES: [usize; 4] = [64, 16, 4, 1];

/// The rows in as few statements as the sizes allow, in their order.
pub(crate) fn in_statements<T>(rows: impl IntoIterator<Item = T>) -> Vec<Vec<T>> {
    let mut rows: VecDeque<T> = rows.into_iter().collect();
    let mut statements = Vec::new();
    for size in SIZES {
        while rows.len() >= size {
            statements.push(rows.drain(..size).collect());
        }
    }
    statements
}

/// Rows that a statement brings with it, to read from like from a table of this name. Both databases call its
/// columns `column1`, `column2` and so on.
pub(crate) fn brought<T: IntoValueTuple>(
    rows: impl IntoIterator<Item = T>,
    name: &'static str,
) -> TableRef {
    let rows = rows.into_iter().map(T::into_value_tuple).collect();
    TableRef::ValuesList(rows, name.into_iden())
}

/// The keys for a list of which a row has to match one, in one of few lengths: the last is repeated.
/// Without any, none.
pub(crate) fn any_of<T: Clone>(keys: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut keys: Vec<T> = keys.into_iter().collect();
    if let Some(last) = keys.last().cloned() {
        let mut length = 1;
        while length < keys.len() {
            length *= 4;
        }
        keys.resize(length, last);
    }
    keys
}

/// [`any_of`] in lists of at most 16 keys, for a column that many rows may share a value of: PostgreSQL
/// takes each key of a table that was not analysed yet to have a two-hundredth of its rows, and would
/// read much of the table, in parallel, for some dozens of keys.
///
/// Each key is in one of the lists, once however often it was given.
pub(crate) fn any_of_few<T: Clone + Ord>(keys: impl IntoIterator<Item = T>) -> Vec<Vec<T>> {
    const LONGEST: usize = 16;
    let keys: BTreeSet<T> = keys.into_iter().collect();
    let keys: Vec<T> = keys.into_iter().collect();
    keys.chunks(LONGEST)
        .map(|keys| any_of(keys.iter().cloned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{any_of, any_of_few, in_statements};

    #[test]
    fn many_rows_take_statements_of_few_sizes_in_their_order() {
        let statements = in_statements(0..150);
        let sizes: Vec<usize> = statements.iter().map(Vec::len).collect();
        assert_eq!(sizes, [64, 64, 16, 4, 1, 1]);
        assert!(statements.into_iter().flatten().eq(0..150));
        assert!(in_statements([0; 0]).is_empty());
    }

    #[test]
    fn lists_of_keys_have_few_lengths_and_no_other_keys() {
        assert_eq!(any_of([1]), [1]);
        assert_eq!(any_of([1, 2]), [1, 2, 2, 2]);
        assert_eq!(any_of(0..17).len(), 64);
        assert!(any_of([0; 0]).is_empty());
        let lengths: Vec<usize> = any_of_few(0..34).iter().map(Vec::len).collect();
        assert_eq!(lengths, [16, 16, 4]);
        assert_eq!(any_of_few([7; 20]), [[7]]);
    }
}
