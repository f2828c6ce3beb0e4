//! Tables as they are after years: contacts with answered batches, messages, replies, and what is
//! kept so that nothing happens twice.

use sea_orm::{ConnectionTrait as _, TransactionTrait as _};

use super::super::chat::MESSAGES_PER_CONTACT;
use crate::rig::Bench;
use crate::rig::database::{Database, Kind};

/// Answered batches of one contact.
const BATCHES_PER_CONTACT: usize = 10;

/// Contacts of one transaction. SQLite writes all that a transaction changes to its log before the
/// database takes it over: ten million messages at once would need as much disk again.
const CONTACTS_AT_ONCE: usize = 10_000;

/// What is written otherwise in each database.
struct Dialect {
    /// Rows with the numbers `n` from FIRST to LAST.
    numbers: &'static str,
    new_id: &'static str,
    /// The id of a batch `b` as text.
    batch_id: &'static str,
    /// A time before today, another for each `n`.
    long_ago: &'static str,
    empty_list: &'static str,
    /// Lets the planner know how long the tables are now.
    finally: &'static str,
}

const POSTGRES: Dialect = Dialect {
    numbers: "generate_series(FIRST, LAST) as n",
    new_id: "gen_random_uuid()",
    batch_id: "b.id::text",
    long_ago: "now() - interval '1 day' - n * interval '1 second'",
    empty_list: "'[]'::jsonb",
    finally: "vacuum analyze",
};

const SQLITE: Dialect = Dialect {
    numbers: "(with recursive numbers(n) as \
              (select FIRST union all select n + 1 from numbers where n < LAST) select n from numbers)",
    new_id: "randomblob(16)",
    batch_id: "hex(b.id)",
    long_ago: "strftime('%Y-%m-%dT%H:%M:%S.000000+00:00', 'now', '-1 day', '-' || n || ' seconds')",
    empty_list: "'[]'",
    finally: "analyze",
};

/// Fills the tables with so many messages: three to a batch, ten batches to a contact, a reply to
/// each batch.
pub(crate) async fn seed(
    bench: &Bench,
    database: &Database,
    messages: usize,
) -> anyhow::Result<()> {
    let contacts = messages.div_ceil(MESSAGES_PER_CONTACT * BATCHES_PER_CONTACT);
    if contacts == 0 {
        return Ok(());
    }
    let dialect = match database.kind {
        Kind::Postgres => POSTGRES,
        Kind::Sqlite => SQLITE,
    };
    let mut told = 0;
    for before in (0..contacts).step_by(CONTACTS_AT_ONCE) {
        let last = contacts.min(before + CONTACTS_AT_ONCE);
        let transaction = database.connection.begin().await?;
        for statement in statements(&dialect, before + 1, last) {
            transaction.execute_unprepared(&statement).await?;
        }
        transaction.commit().await?;
        let millions = last * MESSAGES_PER_CONTACT * BATCHES_PER_CONTACT / 1_000_000;
        if millions > told {
            told = millions;
            bench.say(&format!("filled with {told},000,000 older messages"));
        }
    }
    database
        .connection
        .execute_unprepared(dialect.finally)
        .await?;
    Ok(())
}

/// The statements that write the contacts from this number to that one, with all that is theirs.
fn statements(dialect: &Dialect, first: usize, last: usize) -> [String; 6] {
    let Dialect {
        numbers,
        new_id,
        batch_id,
        long_ago,
        empty_list,
        ..
    } = dialect;
    let numbers = |first: usize, last: usize| {
        let first = numbers.replace("FIRST", &first.to_string());
        first.replace("LAST", &last.to_string())
    };
    let contacts = numbers(first, last);
    let batches = numbers(
        (first - 1) * BATCHES_PER_CONTACT + 1,
        last * BATCHES_PER_CONTACT,
    );
    let number_in_batch = numbers(1, MESSAGES_PER_CONTACT);
    let their_batches = format!(
        "(select 'old-' || n as contact_id from {contacts}) c \
         join batches b on b.contact_id = c.contact_id"
    );
    [
        format!(
            "insert into contacts (id, dnd, dnd_channels, created_at, updated_at) \
             select 'old-' || n, false, {empty_list}, {long_ago}, {long_ago} from {contacts}"
        ),
        format!(
            "insert into batches (id, contact_id, state, sequence, channel, opened_at, \
             last_message_at, closed_at, closed_by, finished_at) \
             select {new_id}, 'old-' || ((n - 1) / {BATCHES_PER_CONTACT} + 1), 'replied', \
             {MESSAGES_PER_CONTACT}, 'SMS', {long_ago}, {long_ago}, {long_ago}, 'quiet', {long_ago} \
             from {batches}"
        ),
        format!(
            "insert into messages (id, event_id, contact_id, batch_id, sequence, direction, author, \
             provider_message_id, channel, text, attachments, sent_at, received_at) \
             select {new_id}, 'old-' || {batch_id} || '-' || n, b.contact_id, b.id, n, 'inbound', \
             'contact', 'old-' || {batch_id} || '-' || n, 'SMS', \
             'Hello, can I come on Tuesday at ten?', {empty_list}, b.opened_at, b.opened_at \
             from {their_batches} cross join {number_in_batch}"
        ),
        format!(
            "insert into processed_events (consumer, event_id, processed_at) \
             select 'chat.intake', 'old-' || {batch_id} || '-' || n, b.opened_at \
             from {their_batches} cross join {number_in_batch}"
        ),
        format!(
            "insert into replies (batch_id, text, send, model, generated_at, sent_at) \
             select b.id, 'Thank you.', true, 'gpt-5.4-mini', b.finished_at, b.finished_at \
             from {their_batches}"
        ),
        format!(
            "insert into effects (key, state, started_at, finished_at) \
             select 'reply:' || {batch_id} || ':send', 'done', b.finished_at, b.finished_at \
             from {their_batches}"
        ),
    ]
}
