//! Data of the research flow's events.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::envelope::EventData;
use crate::event_type;

/// A HubSpot deal's `dealstage` property changed (contracts/hubspot.md §2.2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DealStageChanged {
    /// The HubSpot account.
    pub portal_id: i64,
    /// The deal.
    pub deal_id: i64,
    /// Internal id of the stage that the deal has reached.
    pub stage: String,
    /// When it happened, in Unix milliseconds.
    pub occurred_at_ms: i64,
    /// The other fields of HubSpot's event, unchanged.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

impl EventData for DealStageChanged {
    const TYPES: &'static [&'static str] = &[event_type::DEAL_STAGE_CHANGED];
}

impl DealStageChanged {
    /// The key from which the job id is made: a redelivery is the same job, a deal that comes back
    /// to the stage is a new one (design.md §7).
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        format!(
            "hubspot:{}:{}:{}:{}",
            self.portal_id, self.deal_id, self.stage, self.occurred_at_ms
        )
    }
}

/// A client asked for research (`POST /generate`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResearchRequested {
    /// The job, a UUIDv5 of `idempotency_key`: the gateway answers with it before any row exists.
    pub job_id: Uuid,
    /// What makes two requests the same.
    pub idempotency_key: String,
    /// The client's id of the company.
    pub company_id: String,
    /// When the company reached the stage, as the client wrote it.
    #[serde(default)]
    pub stage_ts: Option<String>,
    /// What the client knows about the company.
    #[serde(default)]
    pub company: Map<String, Value>,
    /// More about the company, from enrichment services.
    #[serde(default)]
    pub enriched_data: Map<String, Value>,
    /// The HubSpot deal to update when the document is there.
    #[serde(default)]
    pub deal_id: Option<String>,
    /// Ask for new research even where a fresh document exists.
    #[serde(default)]
    pub refresh: bool,
    /// The other fields of the client's request, unchanged.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

impl EventData for ResearchRequested {
    const TYPES: &'static [&'static str] = &[event_type::RESEARCH_REQUESTED];
}

/// Research was submitted to OpenAI. In a delay lane this is the watch token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResearchSubmitted {
    /// The job.
    pub job_id: Uuid,
    /// OpenAI's id of the background response.
    pub response_id: String,
}

impl EventData for ResearchSubmitted {
    const TYPES: &'static [&'static str] = &[event_type::RESEARCH_SUBMITTED];
}

/// A submission of unknown outcome has waited long enough for its webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResubmissionDue {
    /// The job.
    pub job_id: Uuid,
    /// Which submission of the job, from 1.
    pub attempt: i32,
}

impl EventData for ResubmissionDue {
    const TYPES: &'static [&'static str] = &[event_type::RESUBMISSION_DUE];
}

/// OpenAI says that a background response has ended. The result has to be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseEnded {
    /// OpenAI's id of the background response.
    pub response_id: String,
    /// OpenAI's id of the event; unlike the envelope's id not the same for every delivery.
    #[serde(default)]
    pub event_id: Option<String>,
    /// When the response reached its state, in Unix seconds.
    #[serde(default)]
    pub created_at: Option<i64>,
    /// The other fields of OpenAI's event, unchanged.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

impl EventData for ResponseEnded {
    const TYPES: &'static [&'static str] = &[
        event_type::RESPONSE_COMPLETED,
        event_type::RESPONSE_FAILED,
        event_type::RESPONSE_INCOMPLETE,
        event_type::RESPONSE_CANCELLED,
    ];
}

/// A research document exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentCreated {
    /// The job.
    pub job_id: Uuid,
}

impl EventData for DocumentCreated {
    const TYPES: &'static [&'static str] = &[event_type::DOCUMENT_CREATED];
}

/// A research job ended without a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResearchFailed {
    /// The job.
    pub job_id: Uuid,
    /// What happened, in words for people.
    pub reason: String,
}

impl EventData for ResearchFailed {
    const TYPES: &'static [&'static str] = &[event_type::RESEARCH_FAILED];
}

/// A research job waits because the daily budget is spent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BudgetExceeded {
    /// The job that waits.
    pub job_id: Uuid,
    /// What the job is expected to cost, in US dollars.
    pub estimated_cost_usd: f64,
    /// What was spent or reserved today, in US dollars.
    pub spent_usd: f64,
    /// The limit for a day, in US dollars.
    pub daily_budget_usd: f64,
}

impl EventData for BudgetExceeded {
    const TYPES: &'static [&'static str] = &[event_type::BUDGET_EXCEEDED];
}
