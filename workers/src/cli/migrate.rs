//! `migrate`: brings the database's schema up to date.

use anyhow::Context as _;
use config::Environment;

/// Runs the migrations that are missing and says how many there were.
pub(crate) async fn migrate(mut environment: Environment) -> anyhow::Result<()> {
    let url = config::database_url(&mut environment);
    environment.finish()?;
    let db = entities::connect(url.expose(), 1)
        .await
        .context("see DATABASE_URL")?;
    let applied = migration::migrate(&db)
        .await
        .context("the migration failed")?;
    match applied {
        0 => println!("The database is up to date."),
        1 => println!("Applied 1 migration; the database is up to date."),
        count => println!("Applied {count} migrations; the database is up to date."),
    }
    Ok(())
}
