//! `api-key`: the keys of clients and operators, made, listed and revoked while the gateways run.

use anyhow::{Context as _, bail};
use chrono::{DateTime, TimeDelta, Utc};
use clap::Subcommand;
use config::Environment;
use entities::ApiKeyId;
use entities::api_key::{self, KeyHash, Model, Scope};

/// What every key begins with, so that people and scanners for leaked secrets know one.
const PREFIX: &str = "millrace_";

/// What to do with the keys of clients and operators. Gateways know of a change within 10 seconds.
#[derive(Subcommand)]
pub(crate) enum ApiKeyCommand {
    /// Make a key and print it. It can't be shown again.
    New {
        /// Who gets it, for people to read in the list.
        #[arg(long)]
        name: String,
        /// What it opens: submit (asking for research), read (jobs, batches, settings), operate
        /// (changing settings, closing batches); several with commas.
        #[arg(long, value_delimiter = ',', required = true)]
        scopes: Vec<Scope>,
        /// In how many days it expires; never where this is left out.
        #[arg(long, value_parser = clap::value_parser!(i64).range(1..=36_500))]
        expires_days: Option<i64>,
    },
    /// All keys, without the keys themselves.
    List,
    /// Take a key back.
    Revoke {
        /// Its id, as the list shows it.
        id: ApiKeyId,
    },
}

/// Carries the command out.
pub(crate) async fn run(
    command: ApiKeyCommand,
    mut environment: Environment,
) -> anyhow::Result<()> {
    let url = config::database_url(&mut environment);
    environment.finish()?;
    let db = entities::connect(url.expose(), 1)
        .await
        .context("see DATABASE_URL")?;
    let missing = migration::pending(&db).await?;
    if !missing.is_empty() {
        bail!("the database is older than this build: run millrace-worker migrate");
    }
    let now = Utc::now();
    match command {
        ApiKeyCommand::New {
            name,
            scopes,
            expires_days,
        } => {
            let expires_at = expires_days.map(|days| now + TimeDelta::days(days));
            let key = new_key();
            let hash = KeyHash::of(&key);
            let id = api_key::insert(&db, &name, hash, &scopes, expires_at, now).await?;
            // The key alone on stdout, for scripts.
            eprintln!("Made the key {id}. This is the only time that it is shown:");
            println!("{key}");
        }
        ApiKeyCommand::List => {
            for key in api_key::all(&db).await? {
                println!("{}", line(&key, now));
            }
        }
        ApiKeyCommand::Revoke { id } => {
            if !api_key::revoke(&db, id, now).await? {
                bail!("there is no key {id} that is not revoked already; see api-key list");
            }
            println!("Revoked the key {id}.");
        }
    }
    Ok(())
}

/// 32 bytes of the cryptographically secure generator that the system seeds.
fn new_key() -> String {
    let random: [u8; 32] = rand::random();
    format!("{PREFIX}{}", hex::encode(random))
}

/// One key as the list shows it.
fn line(key: &Model, now: DateTime<Utc>) -> String {
    let day = |time: DateTime<Utc>| time.format("%Y-%m-%d");
    let state = match (key.revoked_at, key.expires_at) {
        (Some(revoked), _) => format!("revoked {}", day(revoked)),
        (None, Some(expiry)) if key.is_expired(now) => format!("expired {}", day(expiry)),
        (None, Some(expiry)) => format!("until {}", day(expiry)),
        (None, None) => "valid".to_owned(),
    };
    format!(
        "{}  {}  {}  made {}  {state}",
        key.id,
        key.name,
        key.scopes.0.join(","),
        day(key.created_at),
    )
}

#[cfg(test)]
mod tests {
    use super::{PREFIX, new_key};

    #[test]
    fn a_key_is_random_and_long() {
        let (one, other) = (new_key(), new_key());
        assert_ne!(one, other);
        assert_eq!(one.len(), PREFIX.len() + 64);
    }
}
