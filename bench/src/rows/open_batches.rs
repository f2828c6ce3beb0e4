//! Row 6: what many open batches cost: memory of gateway and worker, and time for one more message.

use std::time::Duration;

use anyhow::ensure;

use super::{Findings, heading};
use crate::load::{Load, Pace, Requests, post_json};
use crate::measure::median;
use crate::report::{Figure, RATIO, Row};
use crate::rig::database::Kind;
use crate::rig::millrace::{Millrace, WEBHOOK_SECRET};
use crate::rig::usage::resident_mib;
use crate::rig::{Bench, wait_until};

/// How long storing may take: less than the wait, or the first batches would close.
const PATIENCE: Duration = Duration::from_secs(280);

/// The measurements with so many batches open.
struct Step {
    open: usize,
    gateway_mib: f64,
    worker_mib: f64,
    /// Time for one more message, in each round.
    microseconds: Vec<f64>,
}

/// Opens more and more batches in one gateway and one worker. The rounds follow each other at each
/// number of open batches.
pub(super) async fn measure(bench: &Bench, findings: &mut Findings) -> anyhow::Result<()> {
    heading("Row 6: many open batches");
    let settings = [
        ("MESSAGE_BATCH_WAIT_TIME", "300"),
        ("MESSAGE_BATCH_MAX_WAIT", "3600"),
    ];
    let mut millrace = Millrace::start(bench, "open_batches", Kind::Postgres, &settings).await?;
    millrace.start_worker(bench).await?;
    let mut steps: Vec<Step> = Vec::new();
    for open in bench.scale.open_batches.clone() {
        let before = steps.last().map_or(0, |step| step.open);
        send(
            bench,
            &millrace,
            (before..open).map(|contact| (contact, "first".to_owned())),
        )
        .await?;
        let step = measure_step(bench, &millrace, open).await?;
        bench.say(&format!(
            "{open} open: gateway {:.1} MiB, worker {:.1} MiB, {:.0} µs for one more message",
            step.gateway_mib,
            step.worker_mib,
            median(&step.microseconds)
        ));
        steps.push(step);
    }
    millrace.stop().await?;
    tell(&steps, findings);
    Ok(())
}

async fn measure_step(bench: &Bench, millrace: &Millrace, open: usize) -> anyhow::Result<Step> {
    let mut microseconds = Vec::new();
    for round in 0..bench.scale.rounds {
        microseconds.push(one_more_message(bench, millrace, open, round).await?);
    }
    let still_open = millrace
        .database
        .count("select count(*) from batches where state = 'open'")
        .await?;
    ensure!(
        still_open == i64::try_from(open)?,
        "{still_open} of {open} batches are open"
    );
    Ok(Step {
        open,
        gateway_mib: resident_mib(millrace.gateway.id())?,
        worker_mib: resident_mib(millrace.workers[0].id())?,
        microseconds,
    })
}

/// The time for one more message, in microseconds: of many, spread over all open batches, from the
/// first stored to the last. No contact's messages follow each other: those would be stored together,
/// and cost less.
async fn one_more_message(
    bench: &Bench,
    millrace: &Millrace,
    open: usize,
    round: usize,
) -> anyhow::Result<f64> {
    let further = bench.scale.further_messages;
    let label = format!("further-{open}-{round}");
    let step = (open / further).max(1);
    let contacts = (0..further).map(|number| number * step % open);
    let messages = contacts
        .enumerate()
        .map(|(number, contact)| (contact, format!("{label}-{number}")));
    send(bench, millrace, messages).await?;
    let these = format!("from messages where provider_message_id like '%-{label}-%'");
    let time = async |which| {
        let question = format!("select {which}(received_at) {these}");
        millrace.database.time(&question).await
    };
    let took = time("max").await? - time("min").await?;
    Ok(took.as_seconds_f64() * 1e6 / (further - 1) as f64)
}

/// Sends messages of these contacts through the gateway, and waits until they are stored.
async fn send(
    bench: &Bench,
    millrace: &Millrace,
    messages: impl Iterator<Item = (usize, String)>,
) -> anyhow::Result<()> {
    let stored = "select count(*) from messages";
    let before = millrace.database.count(stored).await?;
    let requests: Vec<Vec<u8>> = messages
        .map(|(contact, label)| {
            let body = format!(
                r#"{{"type":"InboundMessage","locationId":"bench","contactId":"contact-{contact:07}","conversationId":"conversation-{contact:07}","messageId":"message-{contact:07}-{label}","messageType":"SMS","direction":"inbound","body":"Hello, can I come on Tuesday?"}}"#
            );
            post_json("/webhook", &[("x-webhook-token", WEBHOOK_SECRET)], &body)
        })
        .collect();
    let count = i64::try_from(requests.len())?;
    let load = Load {
        address: millrace.gateway_address,
        requests: Requests::Whole(requests),
        connections: bench.scale.connections,
        pace: Pace::Saturating,
        warm_up: Duration::ZERO,
        window: PATIENCE,
    };
    let answers = load.run().await?;
    ensure!(
        answers.refused.is_empty(),
        "the gateway answered {:?}",
        answers.refused
    );
    ensure!(
        i64::try_from(answers.accepted)? == count,
        "{} of {count} were taken",
        answers.accepted
    );
    wait_until(PATIENCE, "all messages stored", async || {
        tokio::time::sleep(Duration::from_millis(200)).await;
        Ok(millrace.database.count(stored).await? >= before + count)
    })
    .await
}

fn tell(steps: &[Step], findings: &mut Findings) {
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
        return;
    };
    let growth = |of: fn(&Step) -> f64| of(last) / of(first);
    let memory = growth(|step| step.gateway_mib).max(growth(|step| step.worker_mib));
    let (from, to) = (first.open, last.open);
    let what =
        format!("memory of gateway or worker, whichever grows more, {to} open batches to {from}");
    findings
        .rows
        .push(Row::at_most(6, &what, memory, RATIO, 1.2));
    let what = format!("time for one more message, {to} open batches to {from}");
    let time = growth(|step| median(&step.microseconds));
    findings.rows.push(Row::at_most(6, &what, time, RATIO, 1.5));
    for step in steps {
        let open = step.open;
        let mut figure = |what: &str, unit, values: &[f64]| {
            let what = format!("{open} open batches: {what}");
            findings.figures.push(Figure::new(6, &what, unit, values));
        };
        figure("memory of the gateway", "MiB", &[step.gateway_mib]);
        figure("memory of the worker", "MiB", &[step.worker_mib]);
        figure("time for one more message", "µs", &step.microseconds);
    }
}
