//! `prune`: removes what has been kept for its time, once.

use config::Environment;
use workers::{Config, pruner};

/// Prints what is removed as it goes on, and how much it was.
pub(crate) async fn prune(dry_run: bool, environment: Environment) -> anyhow::Result<()> {
    let config = Config::read(environment)?;
    let pruner = pruner(&config).await?;
    let counts = pruner
        .prune(dry_run, |kind, so_far| {
            if !dry_run && so_far > 0 {
                eprintln!("{kind}: {so_far} so far");
            }
        })
        .await?;
    for (kind, count) in &counts {
        println!("{count:>9}  {kind}");
    }
    let total: u64 = counts.values().sum();
    let what = if dry_run { "would be" } else { "were" };
    println!(
        "{total:>9}  in all {what} emptied or removed; docs/privacy.md says what is kept how long."
    );
    Ok(())
}
