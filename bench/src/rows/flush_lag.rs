//! Row 5: how late batches close that are due within two seconds, beyond how late the broker is.
//!
//! Batches are opened with a wait that is longer than the round. Then the bench itself puts one
//! quiet timer for each into the lane of five seconds, evenly over two seconds, and a batch's lag is
//! from the time at which its timer was due to the time at which it closed. The broker's own lag is
//! that of the same number of messages through the same lane to a consumer that does nothing, just
//! before.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt as _;
use lapin::options::{BasicAckOptions, BasicConsumeOptions};
use lapin::types::FieldTable;
use messages::{Envelope, FlushRequested, FlushTrigger, event_type};
use serde_json::json;
use uuid::Uuid;

use super::chat::received;
use super::{Findings, heading};
use crate::measure::{median, percentile};
use crate::report::{Figure, Row};
use crate::rig::broker::VirtualHost;
use crate::rig::database::Kind;
use crate::rig::millrace::{API_KEY, Millrace};
use crate::rig::{Bench, wait_until};

/// The lane that the timers go through. Millrace declares a lane when it first uses it.
const LANE: &str = "delay.5s";

/// How long it holds them.
const DELAY: TimeDelta = TimeDelta::seconds(5);

/// Within which time all batches become due.
const DUE_WITHIN: Duration = Duration::from_secs(2);

/// The queue that only the bench reads.
const BARE_QUEUE: &str = "bench.lane";

/// The share of batches that the target speaks of.
const SHARE: f64 = 0.99;

/// How long storing, or closing, may take.
const PATIENCE: Duration = Duration::from_secs(240);

/// Measures the broker and Millrace in turns.
pub(super) async fn measure(bench: &Bench, findings: &mut Findings) -> anyhow::Result<()> {
    heading("Row 5: lag of batches that are due");
    let limits = [150.0, 500.0];
    for (count, limit) in bench.scale.due_batches.clone().into_iter().zip(limits) {
        let (mut bare, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..bench.scale.rounds {
            let (of_broker, of_millrace) = round(bench, count).await?;
            bench.say(&format!(
                "{count} batches, p99: Millrace {of_millrace:.0} ms, the broker alone {of_broker:.0} ms"
            ));
            bare.push(of_broker);
            ours.push(of_millrace);
        }
        let beyond: Vec<f64> = ours
            .iter()
            .zip(&bare)
            .map(|(ours, bare)| ours - bare)
            .collect();
        let what =
            format!("p99 of the lag of {count} batches due within 2 s, beyond the broker's own");
        findings
            .rows
            .push(Row::at_most(5, &what, median(&beyond), "ms", limit));
        for (who, lags) in [("Millrace", &ours), ("the broker alone", &bare)] {
            let what = format!("{who}: p99 of the lag of {count} due within 2 s");
            findings.figures.push(Figure::new(5, &what, "ms", lags));
        }
    }
    Ok(())
}

/// The lag that one in a hundred exceeds: of the broker alone, and of Millrace.
async fn round(bench: &Bench, count: usize) -> anyhow::Result<(f64, f64)> {
    let settings = [
        ("MESSAGE_BATCH_WAIT_TIME", "5"),
        ("MESSAGE_BATCH_MAX_WAIT", "3600"),
    ];
    let mut millrace = Millrace::start(bench, "flush_lag", Kind::Postgres, &settings).await?;
    millrace.start_worker(bench).await?;
    // One batch more, which makes Millrace declare the lane.
    millrace
        .host
        .publish("events", [received(count, 0)])
        .await?;
    until_counted(&millrace, &in_state("replied"), 1).await?;
    set_wait(bench, &millrace).await?;

    let mut bare = lags_of_broker(&millrace.host, count).await?;
    let messages = (0..count).map(|contact| received(contact, 0));
    millrace.host.publish("events", messages).await?;
    until_counted(&millrace, &in_state("open"), count).await?;
    let mut ours = lags_of_millrace(&millrace, count).await?;
    millrace.stop().await?;
    Ok((percentile(&mut bare, SHARE), percentile(&mut ours, SHARE)))
}

fn in_state(state: &str) -> String {
    format!("select count(*) from batches where state = '{state}'")
}

/// From now on batches wait for longer than a round takes.
async fn set_wait(bench: &Bench, millrace: &Millrace) -> anyhow::Result<()> {
    let url = format!("http://{}/batch-config", millrace.gateway_address);
    let request = bench.http.post(url).header("x-api-key", API_KEY);
    let answer = request
        .json(&json!({"batch_wait_time": 300}))
        .send()
        .await?;
    let status = answer.status();
    ensure!(status.is_success(), "the wait could not be set: {status}");
    Ok(())
}

async fn lags_of_broker(host: &VirtualHost, count: usize) -> anyhow::Result<Vec<f64>> {
    host.declare(BARE_QUEUE).await?;
    let channel = host.connection.create_channel().await?;
    let mut deliveries = channel
        .basic_consume(
            BARE_QUEUE.into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await?;
    let consuming = tokio::spawn(async move {
        let mut lags = Vec::with_capacity(count);
        while lags.len() < count {
            let delivery = deliveries
                .next()
                .await
                .context("the subscription ended")??;
            let arrived = Utc::now();
            let published: DateTime<Utc> = std::str::from_utf8(&delivery.data)?.parse()?;
            lags.push(milliseconds(arrived - published - DELAY));
            delivery.ack(BasicAckOptions::default()).await?;
        }
        anyhow::Ok(lags)
    });
    let timers = (0..count).map(|_| {
        (BARE_QUEUE, |now: DateTime<Utc>| {
            now.to_rfc3339().into_bytes()
        })
    });
    arm(host, count, timers).await?;
    tokio::time::timeout(PATIENCE, consuming).await??
}

async fn lags_of_millrace(millrace: &Millrace, count: usize) -> anyhow::Result<Vec<f64>> {
    let question = "select id, contact_id, sequence from batches where state = 'open'";
    let mut batches: Vec<(Uuid, String, i32)> = Vec::with_capacity(count);
    for row in millrace.database.rows(question).await? {
        batches.push((
            row.try_get("", "id")?,
            row.try_get("", "contact_id")?,
            row.try_get("", "sequence")?,
        ));
    }
    let timers = batches.iter().map(|(id, contact, sequence)| {
        let event = move |now| quiet_timer(*id, contact, *sequence, now);
        ("chat.flush", event)
    });
    let armed = arm(&millrace.host, count, timers).await?;
    let due: HashMap<Uuid, DateTime<Utc>> = batches
        .iter()
        .zip(armed)
        .map(|((id, _, _), armed)| (*id, armed + DELAY))
        .collect();

    // The one that was before is among them.
    let closed = "select count(*) from batches where closed_by = 'quiet'";
    until_counted(millrace, closed, count + 1).await?;
    let mut lags = Vec::with_capacity(count);
    for row in millrace
        .database
        .rows("select id, closed_at from batches")
        .await?
    {
        let (id, closed_at): (Uuid, DateTime<Utc>) =
            (row.try_get("", "id")?, row.try_get("", "closed_at")?);
        if let Some(due) = due.get(&id) {
            lags.push(milliseconds(closed_at - *due));
        }
    }
    ensure!(
        lags.len() == count,
        "{} of {count} batches were found",
        lags.len()
    );
    Ok(lags)
}

/// Publishes the timers evenly over [`DUE_WITHIN`], and returns when each was published. A timer is
/// the queue that it goes to and what makes its body at that time.
async fn arm<B: FnOnce(DateTime<Utc>) -> Vec<u8>>(
    host: &VirtualHost,
    count: usize,
    timers: impl Iterator<Item = (&'static str, B)>,
) -> anyhow::Result<Vec<DateTime<Utc>>> {
    let begin = tokio::time::Instant::now();
    let mut armed = Vec::with_capacity(count);
    let mut confirms = Vec::with_capacity(count);
    for (number, (queue, body)) in timers.enumerate() {
        let due = DUE_WITHIN.mul_f64(number as f64 / count as f64);
        tokio::time::sleep_until(begin + due).await;
        let now = Utc::now();
        confirms.push(host.publish_one(LANE, queue, &body(now)).await?);
        armed.push(now);
    }
    for confirm in confirms {
        ensure!(confirm.await?.is_ack(), "the broker refused a timer");
    }
    Ok(armed)
}

fn quiet_timer(batch: Uuid, contact: &str, sequence: i32, now: DateTime<Utc>) -> Vec<u8> {
    let data = FlushRequested {
        contact_id: contact.to_owned(),
        batch_id: Some(batch),
        trigger: FlushTrigger::Quiet { sequence },
    };
    let id = format!("bench:{batch}");
    Envelope::new(event_type::FLUSH_REQUESTED, id, "/bench", now, &data).encode()
}

async fn until_counted(millrace: &Millrace, question: &str, count: usize) -> anyhow::Result<()> {
    wait_until(PATIENCE, question, async || {
        tokio::time::sleep(Duration::from_millis(200)).await;
        Ok(millrace.database.count(question).await? >= i64::try_from(count)?)
    })
    .await
}

fn milliseconds(time: TimeDelta) -> f64 {
    time.as_seconds_f64() * 1000.0
}
