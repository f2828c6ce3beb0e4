//! Waits until nothing moves any more.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use entities::{batch, job};
use sea_orm::QueryFilter as _;
use sea_orm::sea_query::ExprTrait as _;
use sea_orm::{ColumnTrait as _, DatabaseConnection, EntityTrait, PaginatorTrait as _};

use crate::events::{Sent, SentEvent, contact_name, deal_id, text};
use crate::relay::Passed;
use crate::schedule::Event;
use crate::world::World;

/// How often it looks. RabbitMQ's figures are up to a second old.
const INTERVAL: Duration = Duration::from_secs(2);

/// How many looks in a row must find nothing.
const LOOKS: u32 = 3;

/// How long events are waited for that nobody has accepted: by then their senders have given up.
const SENDERS_PATIENCE: Duration = Duration::from_secs(120);

/// Waits for quiet and returns how long it took; `Err` says what still moves when `patience` is
/// over.
///
/// Quiet means: every event is accepted or its sender has given up; all work queues and delay lanes
/// are empty, with nothing in anybody's hands; no batch is open or waits for its reply; no job is
/// between two states.
///
/// # Errors
/// What still moves.
pub async fn until_quiet(
    world: &World,
    sent: &Sent,
    patience: Duration,
) -> Result<Duration, String> {
    let began = Instant::now();
    let mut quiet_looks = 0;
    loop {
        let mut moving = moving(world).await;
        let waiting = not_accepted(&sent.list(), &world.relay.passed()).len();
        if waiting > 0 && began.elapsed() < SENDERS_PATIENCE {
            moving.push(format!("{waiting} events not accepted yet"));
        }
        quiet_looks = if moving.is_empty() {
            quiet_looks + 1
        } else {
            0
        };
        if quiet_looks == LOOKS {
            return Ok(began.elapsed());
        }
        if began.elapsed() > patience {
            return Err(moving.join(", "));
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// What still moves, in words.
async fn moving(world: &World) -> Vec<String> {
    let mut moving = Vec::new();
    match world.management.depths().await {
        Ok(depths) => moving.extend(
            depths
                .into_iter()
                // Parked messages stay.
                .filter(|depth| !depth.queue.ends_with(".dead") && depth.queue != "unrouted")
                .map(|depth| format!("{} in {}", depth.messages, depth.queue)),
        ),
        Err(error) => moving.push(format!("RabbitMQ: {error:#}")),
    }
    match open_rows(world).await {
        Ok(rows) => moving.extend(rows),
        Err(error) => moving.push(format!("the database: {error:#}")),
    }
    moving
}

async fn open_rows(world: &World) -> anyhow::Result<Vec<String>> {
    let db = entities::connect(&world.database_url, 1).await?;
    let batches = batch::Column::State.is_in([batch::State::Open, batch::State::Closed]);
    let jobs = job::Column::State.is_not_in([
        job::State::Notified,
        job::State::Failed,
        job::State::Cancelled,
    ]);
    let jobs = jobs.and(job::Column::Error.is_null());
    let counts = [
        ("batches", count::<batch::Entity>(&db, batches).await?),
        ("jobs", count::<job::Entity>(&db, jobs).await?),
    ];
    db.close().await?;
    let open = counts.into_iter().filter(|(_, count)| *count > 0);
    Ok(open
        .map(|(what, count)| format!("{count} {what}"))
        .collect())
}

async fn count<E>(db: &DatabaseConnection, filter: sea_orm::sea_query::Expr) -> anyhow::Result<u64>
where
    E: EntityTrait,
    E::Model: Sync,
{
    Ok(E::find().filter(filter).count(db).await?)
}

/// The events that the gateway has not accepted.
#[must_use]
pub fn not_accepted<'a>(sent: &'a [SentEvent], passed: &[Passed]) -> Vec<&'a SentEvent> {
    let accepted = accepted_names(passed);
    let is_missing = |sent: &&SentEvent| match &sent.event {
        Event::Request { .. } => sent.job.is_none(),
        event => !accepted.contains(&name(event)),
    };
    sent.iter().filter(is_missing).collect()
}

/// What an event is called in the webhook that tells of it.
fn name(event: &Event) -> String {
    match event {
        Event::Message {
            number, contact, ..
        } => format!("{}: {}", contact_name(*contact), text(*number)),
        Event::Deal { number, .. } | Event::Request { number, .. } => deal_id(*number),
    }
}

fn accepted_names(passed: &[Passed]) -> BTreeSet<String> {
    let accepted = passed.iter().filter(|passed| passed.accepted());
    accepted
        .flat_map(|passed| {
            let body = &passed.body;
            let message = body["type"]
                .as_str()
                .filter(|kind| *kind == "InboundMessage");
            let message = message.map(|_| {
                let field = |name: &str| body[name].as_str().unwrap_or_default();
                format!("{}: {}", field("contactId"), field("body"))
            });
            let deals = body.as_array().into_iter().flatten();
            let deals = deals.map(|event| event["objectId"].to_string());
            message.into_iter().chain(deals).collect::<Vec<_>>()
        })
        .collect()
}
