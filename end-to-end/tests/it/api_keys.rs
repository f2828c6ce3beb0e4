//! An operator hands out a key and takes it back while the gateway runs.

use std::time::Duration;

use end_to_end::{World, on_both_databases};
use reqwest::Method;
use test_support::eventually;

/// Gateways believe their list of keys for ten seconds.
const PATIENCE: Duration = Duration::from_secs(60);

on_both_databases!(a_key_works_from_its_making_to_its_revocation);

async fn status(world: &World, method: Method, path: &str, key: &str) -> u16 {
    let request = world.request(method, path).header("x-api-key", key);
    world.ask(request).await.status
}

async fn a_key_works_from_its_making_to_its_revocation(mut world: World) {
    world.unset("API_KEYS");
    let arguments = ["api-key", "new", "--name", "crm", "--scopes", "read"];
    let made = world.worker_command(&arguments).await;
    assert!(made.status.success(), "{made:?}");
    // The key alone, for scripts.
    let key = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    assert!(key.starts_with("millrace_"), "{key}");
    world.start_gateway().await;

    let opened = status(&world, Method::GET, "/queue-status", &key).await;
    assert_eq!(opened, 200);
    let beyond = status(&world, Method::POST, "/force-process-batch/ada", &key).await;
    assert_eq!(beyond, 403);

    let list = world.worker_command(&["api-key", "list"]).await;
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.contains("crm  read  made "), "{list}");
    assert!(!list.contains(&key), "{list}");
    let id = list.split_whitespace().next().unwrap();
    let revoked = world.worker_command(&["api-key", "revoke", id]).await;
    assert!(revoked.status.success(), "{revoked:?}");
    let again = world.worker_command(&["api-key", "revoke", id]).await;
    assert!(!again.status.success(), "{again:?}");
    eventually("the key is refused", PATIENCE, async || {
        match status(&world, Method::GET, "/queue-status", &key).await {
            401 => Ok(()),
            other => Err(other),
        }
    })
    .await;
}
