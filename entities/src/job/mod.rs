//! Research jobs: one deal or one request that becomes one document.
//!
//! `queued → submitted → completed → documented → notified`, or `failed`, `cancelled`,
//! `awaiting_budget` (which goes back to `queued` when there is money again).

mod budget;
mod creation;
mod queries;
mod recovery;
mod transitions;

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{JobId, ResponseId};

pub use budget::{Reservation, reserve_budget, spent_since};
pub use creation::{Input, NewJob, insert, set_input};
pub use queries::{find, find_by_response, fresh_document, lock, stuck};
pub use recovery::{requeue_for_attempt, requeue_unanswered, resume_failed};
pub use transitions::{
    Completion, Usage, cancel, expect_back, fail, fail_submission, mark_completed, mark_documented,
    mark_notified, mark_submitted, note_error, reuse_document, touch,
};

/// One research job.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "research_jobs")]
pub struct Model {
    /// Its id, derived from the idempotency key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: JobId,
    /// How far it is.
    pub state: State,
    /// Where the wish came from.
    pub source: Source,
    /// What makes a repeated wish the same job.
    pub idempotency_key: String,
    /// The company, by the asking system's id.
    pub company_id: String,
    /// The company's name, once known.
    pub company_name: Option<String>,
    /// The company's domain, once known.
    pub company_domain: Option<String>,
    /// The HubSpot account.
    pub portal_id: Option<i64>,
    /// The HubSpot deal.
    pub deal_id: Option<String>,
    /// The stage that the deal reached.
    pub stage: Option<String>,
    /// When it reached the stage, as the asking system writes it.
    pub stage_ts: Option<String>,
    /// What is asked of the model; empty until it has been gathered.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub input: Option<Json>,
    /// A hash of the input: the same question gets the same document while it is fresh.
    pub input_hash: Option<String>,
    /// Whether new research is wanted even if a fresh document exists.
    pub refresh: bool,
    /// Which submission this is, from 1.
    pub attempt: i32,
    /// OpenAI's id of the response.
    pub response_id: Option<ResponseId>,
    /// The response as it came: JSON.
    #[sea_orm(column_type = "Text", nullable)]
    pub response: Option<String>,
    /// The model that did the research.
    pub model: Option<String>,
    /// What it was expected to cost, in US dollars.
    pub estimated_cost_usd: Option<f64>,
    /// What it did cost, in US dollars.
    pub cost_usd: Option<f64>,
    /// Tokens read.
    pub input_tokens: Option<i64>,
    /// Of these, tokens read from the provider's cache.
    pub cached_tokens: Option<i64>,
    /// Tokens written.
    pub output_tokens: Option<i64>,
    /// Of these, tokens of reasoning.
    pub reasoning_tokens: Option<i64>,
    /// Tokens read and written.
    pub total_tokens: Option<i64>,
    /// Why it failed or was cancelled.
    #[sea_orm(column_type = "Text", nullable)]
    pub error: Option<String>,
    /// The trace of the request (W3C Trace Context).
    pub traceparent: Option<String>,
    /// When money was set aside for it: the day that pays.
    pub reserved_at: Option<DateTime<Utc>>,
    /// When we first heard of it.
    pub created_at: DateTime<Utc>,
    /// When it was submitted.
    pub submitted_at: Option<DateTime<Utc>>,
    /// When its response was stored.
    pub completed_at: Option<DateTime<Utc>>,
    /// When its document was stored.
    pub documented_at: Option<DateTime<Utc>>,
    /// When everybody concerned had been told.
    pub notified_at: Option<DateTime<Utc>>,
    /// When its row last changed.
    pub updated_at: DateTime<Utc>,
    /// When its message, which waits in a lane for its next attempt, is due back.
    pub due_back_at: Option<DateTime<Utc>>,
}

/// The document is found by the job's id.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It waits to be submitted.
    Queued,
    /// OpenAI works on it.
    Submitted,
    /// Its response is stored.
    Completed,
    /// Its document is stored.
    Documented,
    /// Everybody concerned has been told: the end.
    Notified,
    /// It was given up; a replay may resume it.
    Failed,
    /// It was called off.
    Cancelled,
    /// The day's money is spent.
    AwaitingBudget,
}

/// Where the wish for a job came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A deal reached its stage.
    #[sea_orm(string_value = "hubspot")]
    #[serde(rename = "hubspot")]
    HubSpot,
    /// A client asked for it.
    Api,
}
