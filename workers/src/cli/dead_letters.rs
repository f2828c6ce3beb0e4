//! `dead-letters`: parked messages, listed, shown and replayed.

use std::time::Duration;

use anyhow::{Context as _, bail};
use broker::{BrokerSettings, DeadLetter, DeadLetters, Publisher, WorkQueue};
use clap::Subcommand;
use config::Environment;

/// What to do with parked messages. QUEUE is the work queue's name, for example chat.reply.
#[derive(Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// How many messages are parked, or which ones in one queue.
    List {
        /// The work queue; all of them where it is left out.
        queue: Option<String>,
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
        /// Only the message with this event id.
        #[arg(long)]
        id: Option<String>,
        /// Only messages that were parked for this reason.
        #[arg(long)]
        reason: Option<String>,
        /// Say what would be replayed, and replay nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

pub(crate) async fn run(
    command: DeadLettersCommand,
    mut environment: Environment,
) -> anyhow::Result<()> {
    let url = config::amqp_url(&mut environment);
    environment.finish()?;
    let settings = BrokerSettings {
        url: url.expose().to_owned(),
        name: "millrace-worker".to_owned(),
        publish_deadline: Duration::from_secs(10),
    };
    let letters = DeadLetters::connect(&settings)
        .await
        .context("see AMQP_URL")?;
    match command {
        DeadLettersCommand::List { queue: None } => list_all(&letters).await,
        DeadLettersCommand::List { queue: Some(queue) } => {
            list(&letters, work_queue(&queue)?).await
        }
        DeadLettersCommand::Show { queue, id } => show(&letters, work_queue(&queue)?, &id).await,
        DeadLettersCommand::Replay {
            queue,
            id,
            reason,
            dry_run,
        } => {
            let chosen = |letter: &DeadLetter| {
                id.as_ref().is_none_or(|id| letter.id.as_ref() == Some(id))
                    && reason
                        .as_ref()
                        .is_none_or(|reason| letter.reason.as_ref() == Some(reason))
            };
            let queue = work_queue(&queue)?;
            if dry_run {
                let found = letters.list(queue).await?;
                let found: Vec<DeadLetter> =
                    found.into_iter().filter(|letter| chosen(letter)).collect();
                print_table(&found);
                println!(
                    "{} message(s) would be replayed to {}.",
                    found.len(),
                    queue.name()
                );
                return Ok(());
            }
            let publisher = Publisher::start(settings);
            let replayed = letters.replay(queue, &publisher, chosen).await?;
            print_table(&replayed);
            println!(
                "{} message(s) replayed to {}.",
                replayed.len(),
                queue.name()
            );
            Ok(())
        }
    }
}

async fn list_all(letters: &DeadLetters) -> anyhow::Result<()> {
    let mut total = 0;
    for queue in WorkQueue::ALL {
        let parked = letters.list(queue).await?.len();
        total += parked;
        println!("{parked:>8}  {}", queue.name());
    }
    println!("{total:>8}  in all; `millrace-worker dead-letters list QUEUE` shows one queue's.");
    Ok(())
}

async fn list(letters: &DeadLetters, queue: WorkQueue) -> anyhow::Result<()> {
    let found = letters.list(queue).await?;
    print_table(&found);
    println!(
        "{} message(s) parked in {}.",
        found.len(),
        queue.parking_lot()
    );
    Ok(())
}

async fn show(letters: &DeadLetters, queue: WorkQueue, id: &str) -> anyhow::Result<()> {
    let found = letters.list(queue).await?;
    let Some(letter) = found
        .into_iter()
        .find(|letter| letter.id.as_deref() == Some(id))
    else {
        bail!("no message {id:?} is parked in {}", queue.parking_lot());
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
    line("trace", &letter.traceparent);
    println!("\n{}", String::from_utf8_lossy(&letter.body));
    Ok(())
}

fn print_table(letters: &[DeadLetter]) {
    for letter in letters {
        println!(
            "{}  {}  {}  attempts {}  since {}",
            letter.id.as_deref().unwrap_or("(unreadable)"),
            letter.event_type.as_deref().unwrap_or("-"),
            letter
                .reason
                .as_deref()
                .unwrap_or("parked by the broker: too many deliveries"),
            letter.attempts.as_deref().unwrap_or("-"),
            letter.first_seen.as_deref().unwrap_or("-"),
        );
    }
}

fn work_queue(name: &str) -> anyhow::Result<WorkQueue> {
    WorkQueue::from_name(name).with_context(|| {
        let names: Vec<&str> = WorkQueue::ALL.iter().map(|queue| queue.name()).collect();
        format!(
            "there is no work queue {name:?}; the queues are {}",
            names.join(", ")
        )
    })
}
