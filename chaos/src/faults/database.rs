//! PostgreSQL: stopped, cut off, slow. A run on SQLite has none of these.

use std::time::Duration;

use crate::log::Kind;
use crate::world::World;

pub(super) fn cut(world: &World) {
    if let Some(proxy) = &world.database_proxy {
        world.log.fault(Kind::DatabaseCut, "");
        proxy.cut();
    }
}

pub(super) async fn freeze(world: &World, time: Duration) {
    if let Some(proxy) = &world.database_proxy {
        world.log.fault_for(Kind::DatabaseFrozen, time, "");
        proxy.freeze(time).await;
    }
}

pub(super) async fn slow(world: &World, latency: Duration, time: Duration) {
    if let Some(proxy) = &world.database_proxy {
        let detail = format!("by {latency:?}");
        world.log.fault_for(Kind::DatabaseSlow, time, detail);
        proxy.slow(latency, time).await;
    }
}

pub(super) async fn stop(world: &World, away: Duration) -> anyhow::Result<()> {
    let program = world.database_program.lock().await;
    let Some(program) = program.as_deref() else {
        return Ok(());
    };
    world.log.fault_for(Kind::DatabaseStopped, away, "");
    World::run_database_program(program, "stop").await?;
    tokio::time::sleep(away).await;
    World::run_database_program(program, "start").await?;
    world.log.note("the database is back");
    Ok(())
}
