//! Tables as they are after years: contacts with answered batches, messages, replies, and what is
//! kept so that nothing happens twice.

use sea_orm::ConnectionTrait as _;

use super::super::chat::MESSAGES_PER_CONTACT;
use crate::rig::database::{Database, Kind};

/// What is written otherwise in each database.
struct Dialect {
    /// Rows with the numbers `n` from 1 to COUNT.
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
    numbers: "generate_series(1, COUNT) as n",
    new_id: "gen_random_uuid()",
    batch_id: "b.id::text",
    long_ago: "now() - interval '1 day' - n * interval '1 second'",
    empty_list: "'[]'::jsonb",
    finally: "vacuum analyze",
};

const SQLITE: Dialect = Dialect {
    numbers: "(with recursive numbers(n) as \
              (select 1 union all select n + 1 from numbers where n < COUNT) select n from numbers)",
    new_id: "randomblob(16)",
    batch_id: "hex(b.id)",
    long_ago: "strftime('%Y-%m-%dT%H:%M:%S.000000+00:00', 'now', '-1 day', '-' || n || ' seconds')",
    empty_list: "'[]'",
    finally: "analyze",
};

/// Fills the tables with so many messages: three to a batch, ten batches to a contact, a reply to
/// each batch.
pub(crate) async fn seed(database: &Database, messages: usize) -> anyhow::Result<()> {
    let batches = messages / MESSAGES_PER_CONTACT;
    if batches == 0 {
        return Ok(());
    }
    let contacts = batches.div_ceil(10);
    let Dialect {
        numbers,
        new_id,
        batch_id,
        long_ago,
        empty_list,
        finally,
    } = match database.kind {
        Kind::Postgres => POSTGRES,
        Kind::Sqlite => SQLITE,
    };
    let from = |count: usize| numbers.replace("COUNT", &count.to_string());
    let statements = [
        format!(
            "insert into contacts (id, dnd, dnd_channels, created_at, updated_at) \
             select 'old-' || n, false, {empty_list}, {long_ago}, {long_ago} from {}",
            from(contacts)
        ),
        format!(
            "insert into batches (id, contact_id, state, sequence, channel, opened_at, \
             last_message_at, closed_at, closed_by, finished_at) \
             select {new_id}, 'old-' || (n % {contacts} + 1), 'replied', {MESSAGES_PER_CONTACT}, \
             'SMS', {long_ago}, {long_ago}, {long_ago}, 'quiet', {long_ago} from {}",
            from(batches)
        ),
        format!(
            "insert into messages (id, event_id, contact_id, batch_id, sequence, direction, author, \
             provider_message_id, channel, text, attachments, sent_at, received_at) \
             select {new_id}, 'old-' || {batch_id} || '-' || n, b.contact_id, b.id, n, 'inbound', \
             'contact', 'old-' || {batch_id} || '-' || n, 'SMS', \
             'Hello, can I come on Tuesday at ten?', {empty_list}, b.opened_at, b.opened_at \
             from batches b cross join {}",
            from(MESSAGES_PER_CONTACT)
        ),
        "insert into processed_events (consumer, event_id, processed_at) \
         select 'chat.intake', event_id, received_at from messages"
            .to_owned(),
        "insert into replies (batch_id, text, send, model, generated_at, sent_at) \
         select id, 'Thank you.', true, 'gpt-5.4-mini', finished_at, finished_at from batches"
            .to_owned(),
        format!(
            "insert into effects (key, state, started_at, finished_at) \
             select 'reply:' || {batch_id} || ':send', 'done', finished_at, finished_at from batches b"
        ),
        finally.to_owned(),
    ];
    for statement in statements {
        database.connection.execute_unprepared(&statement).await?;
    }
    Ok(())
}
