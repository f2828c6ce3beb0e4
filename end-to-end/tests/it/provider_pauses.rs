//! A provider that asks one worker for a pause (429, `Retry-After`) is left alone by all of them.

use chrono::{DateTime, FixedOffset};
use end_to_end::{World, on_both_databases};
use sandbox::{Fault, Provider};
use serde_json::json;

use crate::faults::{SEND_MESSAGE, refused};

on_both_databases!(
    no_worker_sends_while_highlevel_wants_a_pause,
    no_worker_notifies_while_the_receiver_wants_a_pause,
);

/// Whatever is posted to the receiver of notifications: there is one thing to post.
const NEWS: (Provider, &str) = (Provider::Notify, "POST ");

/// In seconds.
const PAUSE: i64 = 8;

async fn no_worker_sends_while_highlevel_wants_a_pause(world: World) {
    world.sandbox.add_fault(pause(SEND_MESSAGE));
    let _gateway = world.spawn_gateway().await;
    let _workers = [
        world.spawn_worker("all").await,
        world.spawn_worker("all").await,
    ];
    world.contact_writes("first", "Hello!").await;
    world.close_batch("first", 1).await;
    until_refused(&world, SEND_MESSAGE).await;
    world.contact_writes("second", "Hello!").await;
    world.close_batch("second", 1).await;
    world
        .until("both are answered", |world| {
            ["first", "second"]
                .iter()
                .all(|contact| world.sent_to(contact).len() == 1)
        })
        .await;
    was_left_alone(&world, SEND_MESSAGE);
}

async fn no_worker_notifies_while_the_receiver_wants_a_pause(world: World) {
    world.sandbox.add_fault(pause(NEWS));
    let _gateway = world.spawn_gateway().await;
    let _workers = [
        world.spawn_worker("all").await,
        world.spawn_worker("all").await,
    ];
    let research = async |company: &str| {
        let body = json!({"companyId": company, "company": {"name": company}});
        world.generate(&body, None).await;
    };
    research("first").await;
    until_refused(&world, NEWS).await;
    research("second").await;
    world
        .until("both are told", |world| {
            world.news("document.created").len() == 2
        })
        .await;
    was_left_alone(&world, NEWS);
}

fn pause(route: (Provider, &str)) -> Fault {
    Fault {
        retry_after: Some(PAUSE.to_string()),
        ..refused(route, 429)
    }
}

async fn until_refused(world: &World, route: (Provider, &str)) {
    world
        .until("the request to pause", |world| {
            requests(world, route).len() == 1
        })
        .await;
}

/// Between the request that was refused and the next one, whichever worker made it.
fn was_left_alone(world: &World, route: (Provider, &str)) {
    let times = requests(world, route);
    assert_eq!(times.len(), 3, "{times:?}");
    let seconds = (times[1] - times[0]).num_seconds();
    assert!(seconds >= PAUSE - 1, "after {seconds} s");
}

/// When each of them came.
fn requests(world: &World, (provider, route): (Provider, &str)) -> Vec<DateTime<FixedOffset>> {
    let received = world.sandbox.received(Some(provider)).into_iter();
    let met = received
        .filter(|request| format!("{} {}", request.method, request.path).starts_with(route));
    met.map(|request| DateTime::parse_from_rfc3339(&request.at).unwrap())
        .collect()
}
