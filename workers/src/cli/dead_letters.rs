//! `dead-letters`: parked messages, listed, shown, replayed and purged.

use std::time::Duration;

use anyhow::{Context as _, bail};
use broker::{BrokerSettings, DeadLetter, DeadLetters, ParkingLot, Publisher, WorkQueue};
use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, Subcommand};
use config::Environment;
use entities::parked_message;

/// What to do with parked messages. QUEUE is the work queue's name, for example chat.reply, or
/// unrouted for messages whose type no worker reads.
#[derive(Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// How many messages are parked, or which ones in one queue.
    List {
        /// The work queue; all of them where it is left out.
        queue: Option<String>,
        #[command(flatten)]
        filter: Filter,
    },
    /// One parked message with its body.
    Show {
        /// The work queue.
        queue: String,
        /// The event id.
        id: String,
    },
    /// Send parked messages back to their work queue.
    Replay {
        /// The work queue.
        queue: String,
        #[command(flatten)]
        filter: Filter,
        /// Say what would be replayed, and replay nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Throw parked messages away, for good.
    Purge {
        /// The work queue.
        queue: String,
        #[command(flatten)]
        filter: Filter,
        /// Every message; needed where no other filter is given.
        #[arg(long)]
        all: bool,
        /// Say what would be purged, and purge nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

/// Which parked messages are meant: those that match everything given.
#[derive(Args)]
pub(crate) struct Filter {
    /// Only the message with this event id.
    #[arg(long)]
    id: Option<String>,
    /// Only messages that were parked for this reason.
    #[arg(long)]
    reason: Option<String>,
    /// Only messages that were parked longer ago: 90s, 30m, 12h or 7d.
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Option<TimeDelta>,
}

impl Filter {
    fn accepts(&self, letter: &DeadLetter, now: DateTime<Utc>) -> bool {
        let same =
            |wanted: &Option<String>, value: &Option<String>| wanted.is_none() || wanted == value;
        let old_enough = self.older_than.is_none_or(|age| {
            letter
                .parked_at
                .is_some_and(|parked_at| now - parked_at > age)
        });
        same(&self.id, &letter.id) && same(&self.reason, &letter.reason) && old_enough
    }

    fn accepts_all(&self) -> bool {
        self.id.is_none() && self.reason.is_none() && self.older_than.is_none()
    }
}

pub(crate) async fn run(
    command: DeadLettersCommand,
    mut environment: Environment,
) -> anyhow::Result<()> {
    let url = config::amqp_url(&mut environment);
    let certificate_authority = config::amqp_ca(&mut environment);
    let database_url = config::database_url(&mut environment);
    environment.finish()?;
    let settings = BrokerSettings {
        url: url.expose().to_owned(),
        certificate_authority,
        name: "millrace-worker".to_owned(),
        publish_deadline: Duration::from_secs(10),
    };
    let letters = DeadLetters::connect(&settings)
        .await
        .context("see AMQP_URL")?;
    let now = Utc::now();
    match command {
        DeadLettersCommand::List {
            queue: None,
            filter,
        } => count_all(&letters, &filter, now).await,
        DeadLettersCommand::List {
            queue: Some(queue),
            filter,
        } => {
            let lot = parking_lot(&queue)?;
            let found = matching(&letters, lot, &filter, now).await?;
            report(&found, &format!("parked in {}", lot.name()));
            Ok(())
        }
        DeadLettersCommand::Show { queue, id } => show(&letters, parking_lot(&queue)?, &id).await,
        DeadLettersCommand::Replay {
            queue,
            filter,
            dry_run,
        } => {
            let lot = parking_lot(&queue)?;
            if dry_run {
                let found = matching(&letters, lot, &filter, now).await?;
                report(&found, &format!("would be replayed to {queue}"));
                return Ok(());
            }
            let publisher = Publisher::start(settings);
            let chosen = |letter: &DeadLetter| filter.accepts(letter, now);
            let replayed = letters.replay(lot, &publisher, chosen).await?;
            report(&replayed, &format!("replayed to {queue}"));
            Ok(())
        }
        DeadLettersCommand::Purge {
            queue,
            filter,
            all,
            dry_run,
        } => {
            let lot = parking_lot(&queue)?;
            if filter.accepts_all() && !all {
                bail!("say which messages: --id, --reason, --older-than, or --all for every one");
            }
            if dry_run {
                let found = matching(&letters, lot, &filter, now).await?;
                report(&found, &format!("would be purged from {}", lot.name()));
                return Ok(());
            }
            let purged = letters
                .purge(lot, |letter| filter.accepts(letter, now))
                .await?;
            report(&purged, &format!("purged from {}", lot.name()));
            if let Err(error) = strike_out(database_url.expose(), lot, &purged).await {
                eprintln!(
                    "The database could not be told: `conservation` will miss them ({error:#})."
                );
            }
            Ok(())
        }
    }
}

async fn matching(
    letters: &DeadLetters,
    lot: ParkingLot,
    filter: &Filter,
    now: DateTime<Utc>,
) -> anyhow::Result<Vec<DeadLetter>> {
    let mut found = letters.list(lot).await?;
    found.retain(|letter| filter.accepts(letter, now));
    Ok(found)
}

/// Strikes out the records of messages that were purged on purpose.
async fn strike_out(url: &str, lot: ParkingLot, purged: &[DeadLetter]) -> anyhow::Result<()> {
    let ParkingLot::Of(queue) = lot else {
        return Ok(());
    };
    let ids: Vec<&str> = purged
        .iter()
        .filter_map(|letter| letter.id.as_deref())
        .collect();
    if ids.is_empty() {
        return Ok(());
    }
    let db = entities::connect(url, 1).await?;
    for id in ids {
        parked_message::strike_out(&db, queue.name(), id).await?;
    }
    Ok(())
}

async fn count_all(
    letters: &DeadLetters,
    filter: &Filter,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let lots = WorkQueue::ALL.map(|queue| (queue.name(), ParkingLot::Of(queue)));
    let mut total = 0;
    for (name, lot) in lots.into_iter().chain([("unrouted", ParkingLot::Unrouted)]) {
        let parked = matching(letters, lot, filter, now).await?.len();
        total += parked;
        println!("{parked:>8}  {name}");
    }
    println!("{total:>8}  in all; `millrace-worker dead-letters list QUEUE` shows one queue's.");
    Ok(())
}

async fn show(letters: &DeadLetters, lot: ParkingLot, id: &str) -> anyhow::Result<()> {
    let found = letters.list(lot).await?;
    let Some(letter) = found
        .into_iter()
        .find(|letter| letter.id.as_deref() == Some(id))
    else {
        bail!("no message {id:?} is parked in {}", lot.name());
    };
    let line = |name: &str, value: &Option<String>| {
        println!("{name:<12} {}", value.as_deref().unwrap_or("-"));
    };
    line("id", &letter.id);
    line("type", &letter.event_type);
    line("reason", &letter.reason);
    line("detail", &letter.detail);
    line("attempts", &letter.attempts);
    line("first seen", &letter.first_seen);
    line("parked at", &letter.parked_at.map(|time| time.to_rfc3339()));
    line("trace", &letter.traceparent);
    println!("\n{}", String::from_utf8_lossy(&letter.body));
    Ok(())
}

/// The messages, a line each, and what became of them.
fn report(letters: &[DeadLetter], what: &str) {
    for letter in letters {
        let parked_at = letter.parked_at.map(|time| time.to_rfc3339());
        println!(
            "{}  {}  {}  attempts {}  parked {}",
            letter.id.as_deref().unwrap_or("(unreadable)"),
            letter.event_type.as_deref().unwrap_or("-"),
            letter.reason.as_deref().unwrap_or("by the broker"),
            letter.attempts.as_deref().unwrap_or("-"),
            parked_at.as_deref().unwrap_or("-"),
        );
    }
    println!("{} message(s) {what}.", letters.len());
}

fn parking_lot(name: &str) -> anyhow::Result<ParkingLot> {
    ParkingLot::from_name(name).with_context(|| {
        let names: Vec<&str> = WorkQueue::ALL.iter().map(|queue| queue.name()).collect();
        format!(
            "there is no queue {name:?}; the queues are {}, unrouted",
            names.join(", ")
        )
    })
}

/// Reads `90s`, `30m`, `12h`, `7d`.
fn age(text: &str) -> Result<TimeDelta, String> {
    let wrong = || format!("{text:?} is not an age such as 90s, 30m, 12h or 7d");
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let number: i64 = text[..text.len() - unit.len_utf8()]
        .parse()
        .map_err(|_| wrong())?;
    let age = match unit {
        's' => TimeDelta::try_seconds(number),
        'm' => TimeDelta::try_minutes(number),
        'h' => TimeDelta::try_hours(number),
        'd' => TimeDelta::try_days(number),
        _ => None,
    };
    age.filter(|age| *age >= TimeDelta::zero())
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::age;

    #[test]
    fn an_age_is_a_number_and_a_unit() {
        assert_eq!(age("90s"), Ok(TimeDelta::seconds(90)));
        assert_eq!(age("7d"), Ok(TimeDelta::days(7)));
        for wrong in ["", "7", "d", "-1d", "7w", "1.5h"] {
            assert!(age(wrong).unwrap_err().contains("7d"), "{wrong}");
        }
    }
}
