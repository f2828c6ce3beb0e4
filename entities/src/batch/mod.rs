//! Batches: a burst of messages from one contact that gets one reply.
//!
//! `open → closed → replied | superseded | suppressed | failed`, and `failed → closed` when a
//! parked message is replayed. A contact has at most one open batch (a partial unique index).

mod intake;
mod queries;
mod transitions;

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{BatchId, ContactId};

pub use intake::{Added, BatchRoute, Incoming, add_messages};
pub(crate) use queries::not_swept_since;
pub use queries::{
    Opened, closed_of, count_open, find, find_all, hold_free, latest_of_contact, open_batches,
    open_of_contact, opened, overdue_open, stale_closed, unanswered_before,
};
pub use transitions::{
    close, close_all, close_if_quiet, expect_back, finish, finish_all_sent, finish_sent,
    resume_failed, sweep,
};

/// One batch.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "batches")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: BatchId,
    /// Whose messages these are.
    pub contact_id: ContactId,
    /// The sub-account they came to.
    pub location_id: Option<String>,
    /// How far it is.
    pub state: State,
    /// How many messages it holds; each one raises it.
    pub sequence: i32,
    /// The channel of its latest message, as the webhook named it: the reply's way out.
    pub channel: String,
    /// The conversation of its latest message that named one.
    pub conversation_id: Option<String>,
    /// The custom provider of its latest message.
    pub conversation_provider_id: Option<String>,
    /// The trace of its first message (W3C Trace Context).
    pub traceparent: Option<String>,
    /// When its first message was stored. Later for each batch of a contact, even when the pods'
    /// clocks disagree.
    pub opened_at: DateTime<Utc>,
    /// When its latest message was stored.
    pub last_message_at: DateTime<Utc>,
    /// When it closed.
    pub closed_at: Option<DateTime<Utc>>,
    /// What closed it.
    pub closed_by: Option<ClosedBy>,
    /// When it reached its end state.
    pub finished_at: Option<DateTime<Utc>>,
    /// Why it ended so, where that is not plain.
    pub reason: Option<String>,
    /// When the sweeper last drove it on.
    pub swept_at: Option<DateTime<Utc>>,
    /// When its message, which waits in a lane for its next attempt, is due back.
    pub due_back_at: Option<DateTime<Utc>>,
}

/// Messages and reply are found by the batch's id.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// How far a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It takes messages.
    Open,
    /// It waits for its reply.
    Closed,
    /// The reply was sent.
    Replied,
    /// The contact wrote again before the reply was sent; the next batch answers everything.
    Superseded,
    /// No reply may be sent, or none is called for.
    Suppressed,
    /// No reply could be made or sent; the message is parked.
    Failed,
}

/// What closed a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum ClosedBy {
    /// No newer message within the wait.
    Quiet,
    /// The longest wait was over.
    Deadline,
    /// Somebody asked for it.
    Operator,
    /// Its timers were lost, and the sweeper found it.
    Sweeper,
}

/// How a batch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// See [`State::Replied`].
    Replied,
    /// See [`State::Superseded`].
    Superseded,
    /// See [`State::Suppressed`].
    Suppressed,
    /// See [`State::Failed`].
    Failed,
}

impl From<Outcome> for State {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Replied => Self::Replied,
            Outcome::Superseded => Self::Superseded,
            Outcome::Suppressed => Self::Suppressed,
            Outcome::Failed => Self::Failed,
        }
    }
}
