//! A message that kills its worker, and its neighbours, which must not be parked with it.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use broker::{
    Attempt, ConsumerSettings, Failure, Handler, Outgoing, Publisher, Unavailable, Verdict, consume,
};
use lapin::options::{BasicGetOptions, BasicNackOptions};
use messages::Envelope;
use test_support::eventually;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::stage::{FOLLOW_UP_QUEUE, QUEUE, SOON, Stage, done, follow_up, settings_at};

/// Set for the process that is killed: the address of the test's virtual host.
const VICTIM: &str = "VICTIM_READS_AT";

/// In one hand with the killer.
const NEIGHBOURS: usize = 7;

/// The real thing: a process that dies with all that it has in hand, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_kills_its_worker_is_parked_and_its_neighbours_are_not() {
    if let Ok(address) = std::env::var(VICTIM) {
        return read_until_killed(&address).await;
    }
    let stage = Stage::start().await;
    let neighbours: BTreeSet<String> = (0..NEIGHBOURS).map(|n| format!("neighbour-{n}")).collect();
    for id in neighbours.iter().map(String::as_str).chain(["killer"]) {
        stage.put(id).await;
    }

    let mut deaths = 0;
    loop {
        let mut victim = spawn_victim(&stage);
        let parked = eventually("the killer is parked", SOON, async || {
            match stage.count(&QUEUE.parking_lot()).await {
                0 => Err("not yet"),
                _ => Ok(()),
            }
        });
        tokio::select! {
            () = parked => break,
            ended = victim.wait() => assert!(!ended.unwrap().success()),
        }
        deaths += 1;
        assert!(deaths <= 21, "the broker parks it after 20 returns");
    }
    let _last = spawn_victim(&stage);
    let mut answered = BTreeSet::new();
    while answered.len() < NEIGHBOURS {
        let follow_up = stage.take(FOLLOW_UP_QUEUE.name()).await.id();
        answered.insert(follow_up.trim_end_matches("-done").to_owned());
    }
    assert_eq!(answered, neighbours);
    assert_eq!(stage.count(&QUEUE.parking_lot()).await, 1);
    assert_eq!(stage.take(&QUEUE.parking_lot()).await.id(), "killer");
}

/// This very test in another process, which becomes the victim.
fn spawn_victim(stage: &Stage) -> Child {
    let name = "isolation::a_message_that_kills_its_worker_is_parked_and_its_neighbours_are_not";
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(VICTIM, stage.broker.amqp_url())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn read_until_killed(address: &str) {
    let broker = settings_at(address, SOON);
    let publisher = Publisher::start(broker.clone());
    let settings = ConsumerSettings {
        broker,
        queue: QUEUE,
        concurrency: u16::try_from(NEIGHBOURS + 1).unwrap(),
        attempts: 1,
        handler_deadline: SOON,
        grace: SOON,
    };
    let (consuming, _) = watch::channel(false);
    consume(
        settings,
        publisher,
        Victim,
        consuming,
        CancellationToken::new(),
    )
    .await;
}

struct Victim;

impl Handler for Victim {
    async fn handle(&self, event: &Envelope, _attempt: Attempt) -> Verdict {
        if event.id == "killer" {
            std::process::abort();
        }
        // As long as a short call to a provider.
        tokio::time::sleep(Duration::from_millis(100)).await;
        Verdict::Done(vec![follow_up(&format!("{}-done", event.id))])
    }

    async fn give_up(&self, _: &Envelope, _: &Failure) -> Result<Vec<Outgoing>, Unavailable> {
        Ok(Vec::new())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_came_back_three_times_is_handled_alone_and_the_others_are_not() {
    let stage = Stage::start().await;
    for id in ["often-1", "often-2", "often-3"] {
        stage.put(id).await;
    }
    for _ in 0..3 {
        give_back(&stage, 3).await;
    }
    for number in 0..3 {
        stage.put(&format!("new-{number}")).await;
    }

    let (running, together) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let most = together.clone();
    let reading = stage
        .read_with(
            |settings| settings.concurrency = 6,
            move |event, _| {
                let (running, most) = (running.clone(), most.clone());
                async move {
                    let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                    if event.id.starts_with("often") {
                        assert_eq!(now, 1, "{} was not alone", event.id);
                    }
                    most.fetch_max(now, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    let left = running.fetch_sub(1, Ordering::SeqCst) - 1;
                    if event.id.starts_with("often") {
                        assert_eq!(left, 0, "{} did not stay alone", event.id);
                    }
                    done().await
                }
            },
        )
        .await;
    reading.diary.reaches(6).await;
    reading.stop().await;
    assert_eq!(stage.count(QUEUE.name()).await, 0);
    assert_eq!(stage.count(&QUEUE.parking_lot()).await, 0, "nobody failed");
    assert!(
        together.load(Ordering::SeqCst) > 1,
        "the new ones were handled side by side"
    );
}

/// Takes this many messages and gives them back, as the broker does when a worker dies.
async fn give_back(stage: &Stage, messages: u32) {
    let connection = stage.connect().await;
    let channel = connection.create_channel().await.unwrap();
    for _ in 0..messages {
        let options = BasicGetOptions::default();
        eventually("a message", SOON, async || {
            let got = channel
                .basic_get(QUEUE.name().into(), options)
                .await
                .unwrap();
            got.map(|_| ()).ok_or("none")
        })
        .await;
    }
    let all = BasicNackOptions {
        multiple: true,
        requeue: true,
    };
    channel.basic_nack(0, all).await.unwrap();
    connection.close(200, "done".into()).await.unwrap();
}
