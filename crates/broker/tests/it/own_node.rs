//! What would disturb other tests: alarms, timeouts, and nodes that die. Each test has nodes of its
//! own.

use std::collections::BTreeSet;
use std::time::Duration;

use broker::{Outgoing, PublishError, Publisher, PublisherStatus, Verdict};
use test_support::{Node, eventually};
use tokio_util::sync::CancellationToken;

use crate::stage::{QUEUE, SOON, Stage, done, event, settings_at};

/// Publishers and consumers have connections of their own, so that this holds.
#[tokio::test(flavor = "multi_thread")]
async fn under_an_alarm_publishing_fails_at_once_and_acks_go_on() {
    let node = Node::start(&[]).await;
    let stage = Stage::on(node.broker()).await;
    let alarms = [
        [
            ["set_vm_memory_high_watermark", "0.000001"],
            ["set_vm_memory_high_watermark", "0.6"],
        ],
        [
            ["set_disk_free_limit", "1000000000000000"],
            ["set_disk_free_limit", "50MB"],
        ],
    ];
    for [on, off] in alarms {
        stage.put("before").await;
        node.control(&on);
        eventually("publishing is refused", SOON, async || {
            match stage
                .publisher
                .publish(&Outgoing::event(event("during")))
                .await
            {
                Err(PublishError::Blocked) => Ok(()),
                other => Err(other),
            }
        })
        .await;
        assert_eq!(stage.publisher.status(), PublisherStatus::Blocked);

        let reading = stage.read(|_, _| done()).await;
        reading.diary.reaches(1).await;
        eventually("its ack is taken", SOON, async || {
            match stage.broker.queue(QUEUE.name()) {
                queue if queue["messages"] == 0 => Ok(()),
                queue => Err(queue["messages"].clone()),
            }
        })
        .await;

        node.control(&off);
        eventually("publishing works again", SOON, async || {
            stage
                .publisher
                .publish(&Outgoing::event(event("after")))
                .await
        })
        .await;
        reading.diary.reaches(2).await;
        reading.stop().await;
    }
}

/// RabbitMQ closes the channel of a consumer that acks too late, and hands out all that it had.
#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_the_broker_takes_back_comes_again() {
    let node = Node::start(&["consumer_timeout = 2000"]).await;
    // It looks once a minute.
    node.control(&[
        "eval",
        "application:set_env(rabbit, channel_tick_interval, 1000).",
    ]);
    let stage = Stage::on(node.broker()).await;
    stage.put("slow").await;
    let taken_back = CancellationToken::new();
    let waiting = taken_back.clone();
    let mut reading = stage
        .read(move |_, _| {
            let waiting = waiting.clone();
            async move {
                waiting.cancelled().await;
                Verdict::Done(Vec::new())
            }
        })
        .await;
    reading.diary.reaches(1).await;
    let lost = reading.consuming.wait_for(|consuming| !consuming);
    tokio::time::timeout(SOON, lost).await.unwrap().unwrap();
    taken_back.cancel();
    reading.diary.reaches(2).await;
    assert_eq!(reading.diary.ids(), ["slow", "slow"]);
    eventually("the second ack counts", SOON, async || {
        match stage.broker.queue(QUEUE.name()) {
            queue if queue["messages"] == 0 => Ok(()),
            queue => Err(queue["messages"].clone()),
        }
    })
    .await;
    reading.stop().await;
}

/// What docs/cluster.md promises.
#[tokio::test(flavor = "multi_thread")]
async fn any_node_of_three_may_die_and_come_back() {
    let mut nodes = Node::cluster().await;
    let stage = Stage::on(nodes[0].broker()).await;
    let addresses = nodes
        .each_ref()
        .map(|node| node.amqp_url(&stage.broker))
        .join(",");
    let publisher = Publisher::start(settings_at(&addresses, Duration::from_secs(10)));
    let reading = stage
        .read_with(
            |settings| {
                settings.broker.url.clone_from(&addresses);
                settings.concurrency = 4;
            },
            |_, _| done(),
        )
        .await;
    let never = CancellationToken::new();
    let mut confirmed = BTreeSet::new();
    for (death, victim) in nodes.iter_mut().enumerate() {
        victim.kill();
        for number in 0..50 {
            let id = format!("{death}-{number}");
            let message = [Outgoing::event(event(&id))];
            let publishing = publisher.publish_all_until(&message, &never);
            tokio::time::timeout(SOON, publishing)
                .await
                .unwrap()
                .unwrap();
            confirmed.insert(id);
        }
        eventually("what two nodes have is read", SOON, async || {
            let read: BTreeSet<String> = reading.diary.ids().into_iter().collect();
            let missing: Vec<_> = confirmed.difference(&read).cloned().collect();
            if missing.is_empty() {
                Ok(())
            } else {
                Err(missing)
            }
        })
        .await;
        victim.restart().await;
    }
    reading.stop().await;
}
