//! Waits until nothing moves any more.

use std::time::{Duration, Instant};

use entities::{batch, job};
use sea_orm::QueryFilter as _;
use sea_orm::sea_query::ExprTrait as _;
use sea_orm::{ColumnTrait as _, DatabaseConnection, EntityTrait, PaginatorTrait as _};

use crate::events::Sent;
use crate::world::World;

/// How often it looks. RabbitMQ's figures are up to a second old.
const INTERVAL: Duration = Duration::from_secs(1);

/// How many looks in a row must find nothing.
const LOOKS: u32 = 4;

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
        let waiting = sent.waiting(world);
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
    match queues(world).await {
        Ok(queues) => moving.extend(queues),
        Err(error) => moving.push(format!("RabbitMQ: {error:#}")),
    }
    match open_rows(world).await {
        Ok(rows) => moving.extend(rows),
        Err(error) => moving.push(format!("the database: {error:#}")),
    }
    moving
}

async fn queues(world: &World) -> anyhow::Result<Vec<String>> {
    let depths = world.management.depths().await?.into_iter();
    let mut moving: Vec<String> = depths
        .filter(|depth| !depth.is_kept())
        .map(|depth| format!("{} in {}", depth.messages, depth.queue))
        .collect();
    let moves = world.management.moves().await?;
    if moves > 0 {
        moving.push(format!("{moves} moves of parked messages"));
    }
    Ok(moving)
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
