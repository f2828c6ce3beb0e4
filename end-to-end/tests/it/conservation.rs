//! What was accepted is accounted for, and what somebody takes away is missed.

use std::process::Output;

use end_to_end::{World, on_both_databases, on_sqlite};
use entities::batch;
use entities::job::State;
use serde_json::{Value, json};

use crate::faults::a_reply_is_parked;

on_both_databases!(after_both_flows_nothing_is_missing);

on_sqlite!(
    a_parked_message_that_somebody_purged_by_hand_is_missed,
    a_batch_whose_message_is_gone_is_missed,
);

async fn after_both_flows_nothing_is_missing(world: World) {
    let _gateway = world.spawn_gateway().await;
    let _worker = world.spawn_worker("all").await;
    world.contact_writes_twice_delivered("ada", "Hello!").await;
    world.close_batch("ada", 1).await;
    world.until_batch("ada", batch::State::Replied).await;
    world.do_not_disturb("grace").await;
    world.contact_writes("grace", "Hello?").await;
    world.close_batch("grace", 1).await;
    world.until_batch("grace", batch::State::Suppressed).await;
    let body = json!({"companyId": "c1", "company": {"name": "Bolt Works"}});
    let job = world.generate(&body, Some("order-1")).await;
    world.until_job(&job, State::Notified).await;

    let (balanced, balance) = conservation(&world, &[]).await;
    assert!(balanced, "{balance}");
    let reply = figure(&balance, "chat.reply");
    assert_eq!(reply["accepted"], 2);
    assert_eq!(reply["done"], 1);
    assert_eq!(reply["suppressed_by_reason"]["do_not_disturb"], 1);
    for consumer in [
        "research.submission",
        "research.completion",
        "notification.delivery",
    ] {
        assert_eq!(figure(&balance, consumer)["done"], 1, "{balance}");
    }
    assert!(figure(&balance, "chat.intake")["duplicate"].as_u64() >= Some(1));
}

async fn a_parked_message_that_somebody_purged_by_hand_is_missed(world: World) {
    let _gateway = world.spawn_gateway().await;
    let _worker = world.spawn_worker("all").await;
    a_reply_is_parked(&world).await;
    let (balanced, balance) = conservation(&world, &[]).await;
    assert!(balanced, "{balance}");
    let reply = figure(&balance, "chat.reply");
    assert_eq!((&reply["parked"], &reply["done"]), (&json!(1), &json!(0)));
    assert_eq!(reply["parked_by_reason"]["highlevel_refused"], 1);

    world.broker.purge_queue("chat.reply.dead");
    let (balanced, balance) = conservation(&world, &["--wait", "0"]).await;
    assert!(!balanced);
    assert_eq!(
        figure(&balance, "chat.reply")["unaccounted"],
        1,
        "{balance}"
    );
    assert_eq!(balance["unaccounted"], 1);
}

async fn a_batch_whose_message_is_gone_is_missed(world: World) {
    let _gateway = world.spawn_gateway().await;
    let _worker = world.spawn_worker("batching").await;
    world.contact_writes("ada", "Hello!").await;
    world.close_batch("ada", 1).await;
    world
        .until("a message for the worker of replies", |world| {
            world.broker.waiting("chat.reply").len() == 1
        })
        .await;
    let (balanced, balance) = conservation(&world, &["--margin", "0"]).await;
    assert!(balanced, "{balance}");
    assert_eq!(figure(&balance, "chat.reply")["open"], 1);

    world.broker.purge_queue("chat.reply");
    // Its timers have to return before nothing can be mistaken for its message.
    let (balanced, balance) = conservation(&world, &["--wait", "0"]).await;
    assert!(
        balanced,
        "within the margin it may be in a worker's hands: {balance}"
    );
    world
        .until("an empty lane", |world| {
            world.broker.waiting("delay.5s").is_empty()
        })
        .await;
    world.broker.purge_queue("delay.300s");
    let (balanced, balance) = conservation(&world, &["--margin", "0", "--wait", "0"]).await;
    assert!(!balanced);
    assert_eq!(
        figure(&balance, "chat.reply")["unaccounted"],
        1,
        "{balance}"
    );
}

/// Whether the command says that nothing is missing, and its figures.
async fn conservation(world: &World, arguments: &[&str]) -> (bool, Value) {
    let command = [&["conservation", "--json"], arguments].concat();
    let Output {
        status,
        stdout,
        stderr,
    } = world.worker_command(&command).await;
    let json = serde_json::from_slice(&stdout);
    let json = json.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&stderr)));
    (status.success(), json)
}

fn figure<'a>(balance: &'a Value, consumer: &str) -> &'a Value {
    let consumers = balance["consumers"].as_array().unwrap();
    let mut of_it = consumers
        .iter()
        .filter(|figure| figure["consumer"] == consumer);
    of_it.next().unwrap()
}
