//! The job that an event asks for.

use entities::JobId;
use entities::job::{NewJob, Source};
use messages::{DealStageChanged, Envelope, ResearchRequested, event_type};

/// The job that an event of this queue is about.
pub(super) fn job_of(event: &Envelope) -> Option<JobId> {
    if event.event_type == event_type::DEAL_STAGE_CHANGED {
        let data: DealStageChanged = event.data().ok()?;
        return Some(JobId::from_idempotency_key(&data.idempotency_key()));
    }
    event
        .data::<ResearchRequested>()
        .ok()
        .map(|data| JobId(data.job_id))
}

/// The job of a deal that reached the stage; its company is not known yet.
pub(super) fn job_of_deal(data: &DealStageChanged, event: &Envelope) -> NewJob {
    NewJob {
        idempotency_key: data.idempotency_key(),
        source: Source::HubSpot,
        company_id: format!("deal-{}", data.deal_id),
        company_name: None,
        company_domain: None,
        portal_id: Some(data.portal_id),
        deal_id: Some(data.deal_id.to_string()),
        stage: Some(data.stage.clone()),
        stage_ts: Some(data.occurred_at_ms.to_string()),
        refresh: false,
        traceparent: event.traceparent.clone(),
    }
}

/// The job of a client's request.
pub(super) fn job_of_request(data: ResearchRequested, event: &Envelope) -> NewJob {
    NewJob {
        idempotency_key: data.idempotency_key,
        source: Source::Api,
        company_id: data.company_id,
        company_name: None,
        company_domain: None,
        portal_id: None,
        deal_id: data.deal_id,
        stage: None,
        stage_ts: data.stage_ts,
        refresh: data.refresh,
        traceparent: event.traceparent.clone(),
    }
}
