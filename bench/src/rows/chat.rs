//! One round of the chat pipeline: messages of many contacts, stored, batched, armed, flushed and
//! answered.
//!
//! The queue is full before the workers start. The time runs from the first message stored to the
//! last batch answered; where all messages are stored before the first timer is due, the pause in
//! between, in which there is nothing to do, is left out. Everything else counts, the part of the
//! wait in which batches are still worked off included.

use std::time::Duration;

use anyhow::ensure;
use chrono::{DateTime, TimeDelta, Utc};
use messages::{Envelope, event_type};
use sea_orm::ConnectionTrait as _;
use serde_json::json;

use super::Findings;
use super::growth::seed;
use crate::measure::Spread;
use crate::report::{Figure, RATIO, Row};
use crate::rig::database::{Database, Kind, StatementCost};
use crate::rig::millrace::Millrace;
use crate::rig::usage::{cpu_seconds, peak_mib, sqlite_cpu_seconds};
use crate::rig::{Bench, wait_until};

/// Messages of one contact.
pub(super) const MESSAGES_PER_CONTACT: usize = 3;

/// The shortest wait that Millrace takes, in seconds.
const WAIT_SECONDS: i64 = 5;

/// Contacts that write at the same time: as in life, the messages of one come with those of others
/// in between.
const CONTACTS_AT_ONCE: usize = 100;

/// Tells what belongs to a round's contacts from what was in the tables before, by an index.
const OF_THIS_ROUND: &str = "contact_id >= 'contact-' and contact_id < 'contact.'";

/// The database of a round, which stays when the round has ended.
pub(super) const DATABASE: &str = "bench_chat";

/// How long a round may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a round runs on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setup {
    pub(super) kind: Kind,
    pub(super) workers: usize,
    /// Messages that are in the tables before, answered long ago.
    pub(super) older_messages: usize,
}

/// What a round has found.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) per_second: f64,
    /// From the first message stored to the last batch answered, without the whole wait.
    per_second_without_wait: f64,
    /// CPU seconds of broker, database and workers. SQLite's are part of the workers', told apart by
    /// their threads.
    cpu: Cpu,
    worker_peak_mib: f64,
    pub(super) costs: Vec<StatementCost>,
    messages: usize,
}

#[derive(Debug, Clone, Copy)]
struct Cpu {
    broker: f64,
    database: f64,
    workers: f64,
}

/// Runs the pipeline once.
pub(super) async fn round(bench: &Bench, setup: Setup) -> anyhow::Result<Round> {
    let kind = setup.kind;
    let contacts = bench.scale.chat_messages / MESSAGES_PER_CONTACT;
    let messages = contacts * MESSAGES_PER_CONTACT;
    let wait = WAIT_SECONDS.to_string();
    let settings = [("MESSAGE_BATCH_WAIT_TIME", wait.as_str())];
    let mut millrace = Millrace::start(bench, "chat", kind, &settings).await?;
    seed(bench, &millrace.database, setup.older_messages).await?;
    let events = conversation_order(contacts).map(|(contact, number)| received(contact, number));
    millrace.host.publish("events", events).await?;
    millrace.database.forget_costs().await?;
    let replies_before = bench.providers.replies();
    let before = cpu(bench, &millrace)?;
    for _ in 0..setup.workers {
        millrace.start_worker(bench).await?;
    }
    until_answered(
        bench,
        &millrace.database,
        contacts,
        messages,
        replies_before,
    )
    .await?;
    let after = cpu(bench, &millrace)?;
    let sent = bench.providers.replies() - replies_before;
    let database = &millrace.database;
    let costs = database.costs().await?;
    check(database, messages, sent).await?;
    let first_stored = database.time(&inbound("min(received_at)")).await?;
    let last_stored = database.time(&inbound("max(received_at)")).await?;
    let last_answered = database
        .time("select max(finished_at) from batches")
        .await?;
    let whole = last_answered - first_stored;
    let working = whole - pause(first_stored, last_stored);
    let mut worker_peak_mib: f64 = 0.0;
    for worker in &millrace.workers {
        worker_peak_mib = worker_peak_mib.max(peak_mib(worker.id())?);
    }
    let round = Round {
        per_second: messages as f64 / working.as_seconds_f64(),
        per_second_without_wait: messages as f64
            / (whole - TimeDelta::seconds(WAIT_SECONDS)).as_seconds_f64(),
        cpu: Cpu {
            broker: after.broker - before.broker,
            database: after.database - before.database,
            workers: after.workers - before.workers,
        },
        worker_peak_mib,
        costs,
        messages,
    };
    bench.say(&format!(
        "Millrace on {}: {:.0} messages/s",
        kind.name(),
        round.per_second
    ));
    millrace.stop().await?;
    Ok(round)
}

/// A question about the messages of this round's contacts.
fn inbound(what: &str) -> String {
    format!("select {what} from messages where {OF_THIS_ROUND} and direction = 'inbound'")
}

/// Waits until all messages are stored and no batch waits for anything.
async fn until_answered(
    bench: &Bench,
    database: &Database,
    contacts: usize,
    messages: usize,
    replies_before: u64,
) -> anyhow::Result<()> {
    let waiting = "select count(*) from batches where state in ('open', 'closed')";
    let stored = inbound("count(*)");
    wait_until(PATIENCE, "a reply to every contact", async || {
        // As often as it costs nothing; and the database is asked only towards the end.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let replies = bench.providers.replies() - replies_before;
        Ok(replies >= contacts as u64
            && database.count(waiting).await? == 0
            && database.count(&stored).await? == i64::try_from(messages)?)
    })
    .await
}

/// Fails unless each message was answered, and each answered batch once.
async fn check(database: &Database, messages: usize, sent: u64) -> anyhow::Result<()> {
    // Of tables that it knows nothing about PostgreSQL would read far too much for the first question.
    database.connection.execute_unprepared("analyze").await?;
    let answered = format!(
        "{} and batch_id in (select id from batches \
         where {OF_THIS_ROUND} and state in ('replied', 'superseded'))",
        inbound("count(*)")
    );
    let answered = database.count(&answered).await?;
    ensure!(
        answered == i64::try_from(messages)?,
        "{answered} of {messages} messages were answered"
    );
    let replied =
        format!("select count(*) from batches where {OF_THIS_ROUND} and state = 'replied'");
    let replied = database.count(&replied).await?;
    ensure!(
        replied == i64::try_from(sent)?,
        "{replied} batches were answered {sent} times"
    );
    Ok(())
}

/// Each contact and its messages, in the order in which they come.
fn conversation_order(contacts: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..contacts)
        .step_by(CONTACTS_AT_ONCE)
        .flat_map(move |first| {
            let group = first..contacts.min(first + CONTACTS_AT_ONCE);
            (0..MESSAGES_PER_CONTACT)
                .flat_map(move |number| group.clone().map(move |contact| (contact, number)))
        })
}

/// The time between the last message stored and the first timer due, in which nothing can be done.
fn pause(first_stored: DateTime<Utc>, last_stored: DateTime<Utc>) -> TimeDelta {
    let first_due = first_stored + TimeDelta::seconds(WAIT_SECONDS);
    (first_due - last_stored).max(TimeDelta::zero())
}

fn cpu(bench: &Bench, millrace: &Millrace) -> anyhow::Result<Cpu> {
    let (mut workers, mut sqlite) = (0.0, 0.0);
    for worker in &millrace.workers {
        let of_sqlite = sqlite_cpu_seconds(worker.id())?;
        sqlite += of_sqlite;
        workers += cpu_seconds(worker.id())? - of_sqlite;
    }
    Ok(Cpu {
        broker: cpu_seconds(bench.options.broker_process)?,
        database: match millrace.database.kind {
            Kind::Postgres => cpu_seconds(bench.options.database_process)?,
            Kind::Sqlite => sqlite,
        },
        workers,
    })
}

/// A message from a contact, as the gateway publishes it.
pub(super) fn received(contact: usize, number: usize) -> (String, Vec<u8>) {
    let contact_id = format!("contact-{contact:07}");
    let message_id = format!("message-{contact:07}-{number}");
    let now = Utc::now();
    let data = json!({
        "contact_id": contact_id,
        "location_id": "bench",
        "conversation_id": format!("conversation-{contact:07}"),
        "message_id": message_id,
        "channel": "SMS",
        "text": "Hello, can I come on Tuesday at ten?",
        "sent_at": now,
    });
    let kind = event_type::MESSAGE_RECEIVED;
    let event = Envelope::new(kind, message_id, "/webhook", now, &data).with_subject(contact_id);
    (kind.to_owned(), event.encode())
}

/// Tells where the time went.
pub(super) fn tell_shares(row: u8, kind: Kind, rounds: &[Round], findings: &mut Findings) {
    let of = |value: &dyn Fn(&Round) -> f64| rounds.iter().map(value).collect::<Vec<f64>>();
    let total = |round: &Round| round.cpu.broker + round.cpu.database + round.cpu.workers;
    let per_message = |seconds: f64, round: &Round| seconds * 1e6 / round.messages as f64;
    let name = kind.name();
    let database = of(&|round| round.cpu.database / total(round));
    if let Some(Spread { median, .. }) = Spread::of(&database) {
        let what =
            format!("share of the CPU time of broker, database and workers that {name} takes");
        findings.rows.push(Row::told(row, &what, median, RATIO));
    }
    let mut tell = |what: &str, unit, rounds: &[f64]| {
        let what = format!("{name}: {what}");
        findings.figures.push(Figure::new(row, &what, unit, rounds));
    };
    let without_wait = of(&|round| round.per_second_without_wait);
    tell(
        "messages a second when the whole wait is left out",
        "messages/s",
        &without_wait,
    );
    let broker = of(&|round| per_message(round.cpu.broker, round));
    tell("CPU of the broker for a message", "µs", &broker);
    let database = of(&|round| per_message(round.cpu.database, round));
    tell("CPU of the database for a message", "µs", &database);
    let workers = of(&|round| per_message(round.cpu.workers, round));
    tell(
        "CPU of the workers for a message, the rest of them",
        "µs",
        &workers,
    );
    tell(
        "peak memory of a worker",
        "MiB",
        &of(&|round| round.worker_peak_mib),
    );
    tell_costs(row, rounds.last(), findings);
}

/// The dearest statements of the last round.
fn tell_costs(row: u8, round: Option<&Round>, findings: &mut Findings) {
    let Some(round) = round else { return };
    let calls: i64 = round.costs.iter().map(|cost| cost.calls).sum();
    if calls == 0 {
        return;
    }
    let messages = round.messages as f64;
    let calls = Figure::new(
        row,
        "PostgreSQL: statements for a message",
        "calls",
        &[calls as f64 / messages],
    );
    findings.figures.push(calls);
    for cost in round.costs.iter().take(8) {
        let what = format!("PostgreSQL: {}", shortened(&cost.statement));
        let microseconds = cost.total_ms * 1000.0 / messages;
        findings
            .figures
            .push(Figure::new(row, &what, "µs a message", &[microseconds]));
    }
}

/// A statement in one line, without what would break a table.
pub(super) fn shortened(statement: &str) -> String {
    let words: Vec<&str> = statement.split_whitespace().collect();
    let line = words.join(" ").replace('|', "\\|");
    if line.chars().count() <= 90 {
        return format!("`{line}`");
    }
    format!("`{}…`", line.chars().take(90).collect::<String>())
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::{MESSAGES_PER_CONTACT, conversation_order, pause, shortened};

    #[test]
    fn only_the_time_in_which_nothing_can_be_done_is_left_out() {
        let begin = DateTime::<Utc>::UNIX_EPOCH;
        let after = |seconds| begin + TimeDelta::seconds(seconds);
        assert_eq!(pause(begin, after(2)), TimeDelta::seconds(3));
        assert_eq!(pause(begin, after(5)), TimeDelta::zero());
        // While messages are still stored, the first batches are answered: all of it counts.
        assert_eq!(pause(begin, after(20)), TimeDelta::zero());
    }

    #[test]
    fn each_contact_writes_all_its_messages_in_order_with_others_in_between() {
        let order: Vec<(usize, usize)> = conversation_order(250).collect();
        assert_eq!(order.len(), 250 * MESSAGES_PER_CONTACT);
        assert_eq!([order[0], order[1], order[100]], [(0, 0), (1, 0), (0, 1)]);
        assert_eq!(order.last(), Some(&(249, MESSAGES_PER_CONTACT - 1)));
        let of_one: Vec<usize> = order
            .iter()
            .filter(|(contact, _)| *contact == 120)
            .map(|(_, number)| *number)
            .collect();
        assert_eq!(of_one, [0, 1, 2]);
    }

    #[test]
    fn a_statement_becomes_one_line_of_a_table() {
        assert_eq!(shortened("select\n  a || b"), "`select a \\|\\| b`");
        assert!(shortened(&"x ".repeat(200)).chars().count() < 100);
    }
}
