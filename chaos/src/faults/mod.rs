//! Carries faults out, and measures how long it takes until all is well again.

mod broker;
mod database;
mod parts;
mod providers;

use sandbox::Deliver;

use crate::schedule::Fault;
use crate::world::World;

/// Carries a fault out. Returns when what it broke has been mended.
///
/// # Errors
/// When that is impossible: the run ends.
pub async fn strike(world: &World, fault: Fault) -> anyhow::Result<()> {
    match fault {
        Fault::KillGateway(number) => parts::kill_gateway(world, number).await,
        Fault::KillWorker(number) => parts::kill_worker(world, number).await,
        Fault::KillAllWorkers => parts::kill_all_workers(world).await,
        Fault::FreezeWorker(number, time) => parts::freeze_worker(world, number, time).await,
        Fault::RollingRestart => parts::restart_all(world).await,
        Fault::CrashWorker(number, point, times) => {
            parts::crash_worker(world, number, point, times).await
        }
        Fault::CrashGateway(number, point, times) => {
            parts::crash_gateway(world, number, point, times).await
        }
        Fault::KillBroker(node, away) => broker::kill(world, node, away).await,
        Fault::RestartBroker(node) => broker::restart(world, node).await,
        Fault::CutBroker => {
            broker::cut(world);
            Ok(())
        }
        Fault::FreezeBroker(time) => {
            broker::freeze(world, time).await;
            Ok(())
        }
        Fault::SlowBroker { latency, time } => {
            broker::slow(world, latency, time).await;
            Ok(())
        }
        Fault::MemoryAlarm(time) => broker::alarm(world, &broker::MEMORY, time).await,
        Fault::DiskAlarm(time) => broker::alarm(world, &broker::DISK, time).await,
        Fault::LoseTimers(wait) => {
            broker::lose_timers(world, wait).await;
            Ok(())
        }
        Fault::ReplayParked => {
            broker::replay_parked(world).await;
            Ok(())
        }
        Fault::CutDatabase => {
            database::cut(world);
            Ok(())
        }
        Fault::FreezeDatabase(time) => {
            database::freeze(world, time).await;
            Ok(())
        }
        Fault::SlowDatabase { latency, time } => {
            database::slow(world, latency, time).await;
            Ok(())
        }
        Fault::StopDatabase(away) => database::stop(world, away).await,
        Fault::Provider(fault) => {
            providers::misbehave(world, &fault);
            Ok(())
        }
        Fault::Webhooks(deliver, time) => {
            providers::deliver_webhooks(world, deliver, time).await;
            Ok(())
        }
        Fault::LoseAnswers(count) => {
            providers::lose_answers(world, count);
            Ok(())
        }
    }
}

/// Ends what would strike later. Faults of providers that nobody has met yet stay; each is met once.
pub fn stop(world: &World) {
    world.relay.stop_losing();
    providers::set_delivery(world, Deliver::Normal);
}
