//! How each database finds the rows of the statements that cost most.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::Context as _;
use sea_orm::{ConnectionTrait as _, DbBackend, Statement, TransactionTrait as _};
use serde::Serialize;

use super::super::chat;
use crate::rig::Bench;
use crate::rig::database::{Database, Kind};

/// How many statements are looked at.
const DEAREST: usize = 12;

/// A statement and its plan.
#[derive(Debug, Serialize)]
pub(super) struct Plan {
    database: &'static str,
    statement: String,
    plan: String,
}

/// The plans of the dearest of these statements, written for PostgreSQL, in the database that the
/// last round of the chat pipeline has left. A statement that SQLite does not know is left out.
pub(super) async fn look(
    bench: &Bench,
    kind: Kind,
    statements: &[String],
) -> anyhow::Result<Vec<Plan>> {
    let database = bench.existing_database(kind, chat::DATABASE).await?;
    let mut plans = Vec::new();
    // Statements for many are there in several lengths.
    let mut seen = BTreeSet::new();
    let hot = statements
        .iter()
        .filter(|statement| is_hot(statement) && seen.insert(without_values(statement)));
    for statement in hot.take(DEAREST) {
        let plan = match kind {
            Kind::Postgres => postgres_plan(&database, statement).await?,
            Kind::Sqlite => match sqlite_plan(&database, statement).await {
                Ok(plan) => plan,
                Err(_) => continue,
            },
        };
        plans.push(Plan {
            database: kind.name(),
            statement: statement.split_whitespace().collect::<Vec<_>>().join(" "),
            plan,
        });
    }
    database.connection.close().await?;
    Ok(plans)
}

/// Whether it is a statement of the pipeline that looks rows up: not an insert, not a transaction's
/// begin and end, and not a question of the bench, which quotes no names.
fn is_hot(statement: &str) -> bool {
    let word = statement.split_whitespace().next().unwrap_or_default();
    let looks_up = ["select", "update", "delete", "with"];
    looks_up.contains(&word.to_lowercase().as_str())
        && statement.contains("$1")
        && statement.contains('"')
}

/// The plan for any values. With the planner's own choice an empty value would decide. Where the text alone
/// does not say of what types they are, as in a list of rows that the statement brings with it (the workers'
/// driver names the types), what PostgreSQL says about that.
async fn postgres_plan(database: &Database, statement: &str) -> anyhow::Result<String> {
    // One session for all of it; nothing of it stays.
    let session = database.connection.begin().await?;
    session
        .execute_unprepared("set local plan_cache_mode = force_generic_plan")
        .await?;
    let prepare = format!("prepare hot as {statement}");
    if let Err(error) = session.execute_unprepared(&prepare).await {
        session.rollback().await?;
        return Ok(format!("Not planned here: {error}"));
    }
    let query = |text: String| Statement::from_string(DbBackend::Postgres, text);
    let count =
        "select cardinality(parameter_types) from pg_prepared_statements where name = 'hot'";
    let count = session.query_one_raw(query(count.to_owned())).await?;
    let count: i32 = count
        .context("the statement is prepared")?
        .try_get_by_index(0)?;
    let values = vec!["null"; count.unsigned_abs() as usize].join(", ");
    let explain = format!("explain (costs off) execute hot({values})");
    let lines = session.query_all_raw(query(explain)).await?;
    let lines: Result<Vec<String>, _> = lines.iter().map(|line| line.try_get_by_index(0)).collect();
    session.execute_unprepared("deallocate hot").await?;
    session.rollback().await?;
    Ok(lines?.join("\n"))
}

async fn sqlite_plan(database: &Database, statement: &str) -> anyhow::Result<String> {
    // The one thing that Millrace says otherwise to SQLite, which has one writer anyway.
    let statement = statement.replace(" FOR UPDATE", "");
    let rows = database
        .rows(&format!("explain query plan {statement}"))
        .await?;
    let lines: Result<Vec<String>, _> = rows.iter().map(|row| row.try_get("", "detail")).collect();
    Ok(lines?.join("\n"))
}

/// A statement's text, the same for lists of any length.
fn without_values(statement: &str) -> String {
    let text: String = statement
        .chars()
        .filter(|character| !character.is_ascii_digit())
        .collect();
    let mut words: Vec<&str> = text.split_whitespace().collect();
    words.dedup_by(|word, before| is_placeholder(word) && is_placeholder(before));
    words.join(" ")
}

/// `$1`, perhaps between brackets and commas.
fn is_placeholder(word: &str) -> bool {
    let bare = word.trim_matches(|character| "(),[]".contains(character));
    bare.starts_with('$')
        && bare[1..]
            .chars()
            .all(|character| character.is_ascii_digit())
}

/// All plans, for people: the beginning of long ones. The JSON holds them in full.
pub(super) fn told(plans: &[Plan]) -> anyhow::Result<String> {
    const LINES: usize = 14;
    let mut text = String::new();
    for plan in plans {
        let mut lines: Vec<String> = plan.plan.lines().take(LINES).map(beginning).collect();
        if plan.plan.lines().count() > LINES {
            lines.push("…".to_owned());
        }
        write!(
            text,
            "{}:\n\n```sql\n{}\n```\n\n```text\n{}\n```\n\n",
            plan.database,
            beginning(&plan.statement),
            lines.join("\n")
        )?;
    }
    Ok(text)
}

/// The text with long lists shortened, up to a length that can be read.
fn beginning(text: &str) -> String {
    const CHARACTERS: usize = 400;
    let mut shortened = String::new();
    let mut listed = 0;
    for word in text.split_inclusive(' ') {
        let bare = word.trim_end();
        let in_list = is_placeholder(bare) && bare.ends_with(',');
        listed = if in_list { listed + 1 } else { 0 };
        match listed {
            0..=2 => shortened.push_str(word),
            3 => shortened.push_str("… "),
            _ => {}
        }
    }
    match shortened.char_indices().nth(CHARACTERS) {
        Some((end, _)) => format!("{}…", &shortened[..end]),
        None => shortened,
    }
}

#[cfg(test)]
mod tests {
    use super::{beginning, is_hot, without_values};

    #[test]
    fn only_statements_of_the_pipeline_are_looked_at() {
        assert!(is_hot(r#"SELECT "id" FROM "batches" WHERE "id" = $1"#));
        assert!(!is_hot(r#"INSERT INTO "effects" ("key") VALUES ($1)"#));
        assert!(!is_hot("COMMIT"));
        assert!(!is_hot(
            "select count(*) from batches where state in ($1, $2)"
        ));
    }

    #[test]
    fn a_statement_is_looked_at_once_whatever_the_length_of_its_list() {
        let of = |list: &str| without_values(&format!("select a from b where c in ({list}) and d"));
        assert_eq!(of("$1, $2, $3, $4"), of("$1, $2"));
        assert_ne!(of("$1, $2"), without_values("select a from b where c = $1"));
    }

    #[test]
    fn a_long_list_is_told_by_its_beginning_and_its_end() {
        let told = beginning("  a in ($1, $2, $3, $4, $5) and b in ($6, $7)");
        assert_eq!(told, "  a in ($1, $2, … $5) and b in ($6, $7)");
        assert_eq!(beginning(&"é".repeat(500)).chars().count(), 401);
    }
}
