//! A worker meets a database that is older than itself.

use end_to_end::{World, on_both_databases};

on_both_databases!(an_older_schema_is_named);

async fn an_older_schema_is_named(mut world: World) {
    world.use_empty_database().await;
    let mut worker = world.spawn_unready_worker();
    let status = worker.ended().await;
    let output = worker.output();
    assert!(!status.success(), "{output}");
    assert!(output.contains("older than this build"), "{output}");
    assert!(output.contains("millrace-worker migrate"), "{output}");

    let migrated = world.worker_command(&["migrate"]).await;
    assert!(migrated.status.success(), "{migrated:?}");
    let _worker = world.spawn_worker("all").await;
    let again = world.worker_command(&["migrate"]).await;
    let again = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(again.contains("up to date"), "{again}");
}
