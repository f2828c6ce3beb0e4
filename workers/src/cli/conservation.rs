//! `conservation`: whether everything that was accepted is accounted for.

use std::time::Duration;

use anyhow::bail;
use clap::Args;
use config::Environment;
use tokio::time::{Instant, sleep};
use workers::conservation::{Balance, MARGIN};
use workers::{Config, open_books};

/// How often it counts while it waits.
const INTERVAL: Duration = Duration::from_secs(2);

/// How to count.
#[derive(Args)]
pub(crate) struct ConservationArguments {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Count again for as long as something is unaccounted for: what moves while it is counted can
    /// look like it.
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    wait: u64,
    /// How long a row may stand still before it needs a message that drives it on. 0 when all is
    /// quiet, for an exact figure.
    #[arg(long, value_name = "SECONDS", default_value_t = MARGIN.as_secs())]
    margin: u64,
}

/// Prints the figures; fails when something is still unaccounted for after the wait.
pub(crate) async fn conservation(
    arguments: &ConservationArguments,
    environment: Environment,
) -> anyhow::Result<()> {
    let config = Config::read(environment)?;
    let books = open_books(&config, Duration::from_secs(arguments.margin)).await?;
    let give_up = Instant::now() + Duration::from_secs(arguments.wait);
    let balance = loop {
        let balance = books.balance().await?;
        let all_well = balance
            .consumers
            .iter()
            .all(|figure| figure.unaccounted == 0);
        if all_well || Instant::now() >= give_up {
            break balance;
        }
        sleep(INTERVAL).await;
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&balance)?);
    } else {
        print!("{}", table(&balance));
    }
    if balance
        .consumers
        .iter()
        .any(|figure| figure.unaccounted != 0)
    {
        bail!("not everything is accounted for; see docs/runbooks/conservation.md");
    }
    Ok(())
}

fn table(balance: &Balance) -> String {
    let mut table = String::from(
        "consumer               accepted      done  duplicate  suppressed  parked    open  unaccounted\n",
    );
    for figure in &balance.consumers {
        table.push_str(&format!(
            "{:<21} {:>9} {:>9} {:>10} {:>11} {:>7} {:>7} {:>12}\n",
            figure.consumer,
            figure.accepted,
            figure.done,
            figure.duplicate,
            figure.suppressed,
            figure.parked,
            figure.open,
            figure.unaccounted,
        ));
    }
    for figure in &balance.consumers {
        for (state, reasons) in [
            ("suppressed", &figure.suppressed_by_reason),
            ("parked", &figure.parked_by_reason),
        ] {
            for (reason, count) in reasons {
                table.push_str(&format!("{}: {count} {state}: {reason}\n", figure.consumer));
            }
        }
    }
    table.push_str(&format!("unrouted: {}\n", balance.unrouted));
    table
}
