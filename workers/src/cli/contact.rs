//! `contact`: what is stored about one contact, deleted on request.

use clap::Subcommand;
use config::Environment;
use entities::ContactId;
use workers::erasure::Erased;
use workers::{Config, eraser};

/// What to do about a contact.
#[derive(Subcommand)]
pub(crate) enum ContactCommand {
    /// Delete everything that is stored about a contact, for good. A wish not to be written to stays.
    Delete {
        /// HighLevel's contact id.
        id: String,
        /// Say what would be deleted, and delete nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

pub(crate) async fn run(command: ContactCommand, environment: Environment) -> anyhow::Result<()> {
    let ContactCommand::Delete { id, dry_run } = command;
    let config = Config::read(environment)?;
    let eraser = eraser(&config).await?;
    let erased = eraser.erase(&ContactId(id), dry_run).await?;
    report(&erased, dry_run);
    Ok(())
}

fn report(erased: &Erased, dry_run: bool) {
    let verb = if dry_run { "Would delete" } else { "Deleted" };
    let stored = &erased.stored;
    println!(
        "{verb} {} message(s), {} batch(es), {} reply(ies){}.",
        stored.messages,
        stored.batches,
        stored.replies,
        if stored.contact {
            " and the contact"
        } else {
            ""
        },
    );
    if stored.waiting > 0 {
        println!(
            "{} batch(es) had not been answered, and get no reply.",
            stored.waiting
        );
    }
    for (queue, count) in &erased.parked {
        println!("{verb} {count} parked message(s) in {queue}.");
    }
    if stored.wants_silence {
        println!("The contact does not want to be written to: that stays, with the bare id.");
    }
    if erased.waiting.is_empty() {
        println!("No messages wait in queues that could be about the contact.");
    } else {
        println!("Messages wait in these queues, of this contact or of others:");
        for (queue, count) in &erased.waiting {
            println!("{count:>9}  {queue}");
        }
        println!("Run this again when they have been handled.");
    }
}
