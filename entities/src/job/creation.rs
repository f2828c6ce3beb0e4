//! A job comes into being, and learns what it is to ask.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, entity::prelude::*};

use super::{ActiveModel, Entity, Source, State, transitions::change};
use crate::{
    JobId,
    write::{insert_if_absent, won},
};

/// A job as the request tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    /// What makes a repeated request the same job; its id is derived from it.
    pub idempotency_key: String,
    /// Where the wish came from.
    pub source: Source,
    /// The company, by the asking system's id.
    pub company_id: String,
    /// The company's name, if known already.
    pub company_name: Option<String>,
    /// The company's domain, if known already.
    pub company_domain: Option<String>,
    /// The HubSpot account.
    pub portal_id: Option<i64>,
    /// The HubSpot deal.
    pub deal_id: Option<String>,
    /// The stage that the deal reached.
    pub stage: Option<String>,
    /// When it reached the stage, as the asking system writes it.
    pub stage_ts: Option<String>,
    /// Whether new research is wanted even if a fresh document exists.
    pub refresh: bool,
    /// The trace of the request.
    pub traceparent: Option<String>,
}

impl NewJob {
    /// The id of this job.
    #[must_use]
    pub fn id(&self) -> JobId {
        JobId::from_idempotency_key(&self.idempotency_key)
    }
}

/// What is asked of the model, and about whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The company's id: a deal's job learns it only now.
    pub company_id: String,
    /// The company's name.
    pub company_name: Option<String>,
    /// The company's domain.
    pub company_domain: Option<String>,
    /// What is asked.
    pub input: Json,
    /// A hash of it.
    pub input_hash: String,
}

/// Inserts the job as `queued`. `false` when it exists; nothing is changed then.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn insert<C: ConnectionTrait>(
    tx: &C,
    job: NewJob,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let row = ActiveModel {
        id: Set(job.id()),
        state: Set(State::Queued),
        source: Set(job.source),
        idempotency_key: Set(job.idempotency_key),
        company_id: Set(job.company_id),
        company_name: Set(job.company_name),
        company_domain: Set(job.company_domain),
        portal_id: Set(job.portal_id),
        deal_id: Set(job.deal_id),
        stage: Set(job.stage),
        stage_ts: Set(job.stage_ts),
        refresh: Set(job.refresh),
        attempt: Set(1),
        traceparent: Set(job.traceparent),
        created_at: Set(now),
        updated_at: Set(now),
        ..Default::default()
    };
    insert_if_absent(tx, row).await
}

/// Stores what is to be asked, while the job waits to be submitted. `false` when it does not wait
/// any more.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn set_input<C: ConnectionTrait>(
    tx: &C,
    id: JobId,
    input: Input,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let row = ActiveModel {
        company_id: Set(input.company_id),
        company_name: Set(input.company_name),
        company_domain: Set(input.company_domain),
        input: Set(Some(input.input)),
        input_hash: Set(Some(input.input_hash)),
        updated_at: Set(now),
        ..Default::default()
    };
    let waiting = [State::Queued, State::AwaitingBudget];
    won::<_, Entity>(tx, change(id, &waiting, row)).await
}
