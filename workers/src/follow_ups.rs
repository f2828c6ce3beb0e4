//! The messages that workers send on. Their ids are derived from what they are about, so that the
//! same follow-up sent twice has the same id.

use std::fmt::Display;
use std::time::Duration;

use broker::{Lane, Outgoing, WorkQueue};
use entities::{BatchId, ContactId, JobId, ResponseId, batch, job};
use messages::{
    BatchClosed, BudgetExceeded, DocumentCreated, Envelope, FlushRequested, FlushTrigger,
    ReplyFailed, ResearchFailed, ResearchRequested, ResearchSubmitted, ResubmissionDue, event_type,
};
use serde::Serialize;

/// Who makes these events, as CloudEvents names it.
pub(crate) const SOURCE: &str = "/worker";

/// An event of ours.
pub(crate) fn event<T: Serialize>(
    event_type: &str,
    id: String,
    subject: impl Display,
    data: &T,
) -> Envelope {
    Envelope::new(event_type, id, SOURCE, crate::time::now(), data)
        .with_subject(subject.to_string())
}

/// Asks to close a batch that its timers have forgotten.
pub(crate) fn sweep(batch: &batch::Model) -> Outgoing {
    let id = format!("sweep:{}", batch.id);
    let flush = flush(&batch.contact_id, batch.id, FlushTrigger::Sweeper);
    let event = event(event_type::FLUSH_REQUESTED, id, batch.id, &flush);
    Outgoing::event(event.with_traceparent(batch.traceparent.clone()))
}

/// What asks to close this batch.
pub(crate) fn flush(contact: &ContactId, batch: BatchId, trigger: FlushTrigger) -> FlushRequested {
    FlushRequested {
        contact_id: contact.to_string(),
        batch_id: Some(batch.0),
        trigger,
    }
}

/// The batch wants a reply.
pub(crate) fn batch_closed(contact: &ContactId, batch: BatchId) -> Outgoing {
    Outgoing::event(closed(contact, batch))
}

/// The batch still wants a reply: the same message, in the trace of its first.
pub(crate) fn batch_closed_again(batch: &batch::Model) -> Outgoing {
    let event = closed(&batch.contact_id, batch.id);
    Outgoing::event(event.with_traceparent(batch.traceparent.clone()))
}

fn closed(contact: &ContactId, batch: BatchId) -> Envelope {
    let data = BatchClosed {
        batch_id: batch.0,
        contact_id: contact.to_string(),
    };
    event(
        event_type::BATCH_CLOSED,
        format!("closed:{batch}"),
        batch,
        &data,
    )
}

/// The batch got no reply.
pub(crate) fn reply_failed(contact: &ContactId, batch: BatchId, reason: &str) -> Outgoing {
    let data = ReplyFailed {
        batch_id: batch.0,
        contact_id: contact.to_string(),
        reason: reason.to_owned(),
    };
    Outgoing::event(event(
        event_type::REPLY_FAILED,
        format!("reply-failed:{batch}"),
        batch,
        &data,
    ))
}

/// The token that asks OpenAI when its webhook stays away.
pub(crate) fn watch(job: JobId, response: &ResponseId, after: Duration) -> Outgoing {
    Outgoing::delayed(
        lane(after),
        WorkQueue::ResearchCompletion,
        watch_token(job, response),
    )
}

/// Asks OpenAI now, in the job's trace; `None` where the job has no response to ask for.
pub(crate) fn watch_again(job: &job::Model) -> Option<Outgoing> {
    let token = watch_token(job.id, job.response_id.as_ref()?);
    let token = token.with_traceparent(job.traceparent.clone());
    Some(Outgoing::to_queue(WorkQueue::ResearchCompletion, token))
}

fn watch_token(job: JobId, response: &ResponseId) -> Envelope {
    let data = ResearchSubmitted {
        job_id: job.0,
        response_id: response.to_string(),
    };
    event(
        event_type::RESEARCH_SUBMITTED,
        format!("watch:{job}:{response}"),
        job,
        &data,
    )
}

/// The lane for this wait, at most an hour: who waits longer is sent through it again.
fn lane(after: Duration) -> Lane {
    Lane::seconds(after.as_secs().clamp(1, 3600) as u32)
}

/// Drives a job on that has its row already.
pub(crate) fn resume_job(job: &job::Model) -> Outgoing {
    Outgoing::to_queue(WorkQueue::ResearchSubmission, resume(job))
}

/// Drives a job on that has its row already, after a while.
pub(crate) fn resume_job_later(job: &job::Model, after: Duration) -> Outgoing {
    Outgoing::delayed(lane(after), WorkQueue::ResearchSubmission, resume(job))
}

/// Whether the event was sent by ourselves to drive a job on.
pub(crate) fn is_resume(event: &Envelope) -> bool {
    event.id.starts_with(RESUME)
}

/// What the ids of such events start with.
const RESUME: &str = "resume:";

fn resume(job: &job::Model) -> Envelope {
    let data = ResearchRequested {
        job_id: job.id.0,
        idempotency_key: job.idempotency_key.clone(),
        company_id: job.company_id.clone(),
        stage_ts: job.stage_ts.clone(),
        company: serde_json::Map::new(),
        enriched_data: serde_json::Map::new(),
        deal_id: job.deal_id.clone(),
        refresh: job.refresh,
        extra: serde_json::Map::new(),
    };
    let id = format!("{RESUME}{}:{}", job.id, job.attempt);
    let event = event(event_type::RESEARCH_REQUESTED, id, job.id, &data);
    event.with_traceparent(job.traceparent.clone())
}

/// Asks, behind the webhooks that have come, whether a submission of unknown outcome is repeated.
pub(crate) fn resubmission_due(job: &job::Model) -> Outgoing {
    let data = ResubmissionDue {
        job_id: job.id.0,
        attempt: job.attempt,
    };
    let id = format!("resubmission-due:{}:{}", job.id, job.attempt);
    let event = event(event_type::RESUBMISSION_DUE, id, job.id, &data);
    let event = event.with_traceparent(job.traceparent.clone());
    Outgoing::to_queue(WorkQueue::ResearchCompletion, event)
}

/// The job ended without a document.
pub(crate) fn research_failed(job: JobId, reason: &str) -> Outgoing {
    let data = ResearchFailed {
        job_id: job.0,
        reason: reason.to_owned(),
    };
    Outgoing::event(event(
        event_type::RESEARCH_FAILED,
        format!("research-failed:{job}"),
        job,
        &data,
    ))
}

/// The job has its document.
pub(crate) fn document_created(job: JobId) -> Outgoing {
    Outgoing::event(created(job))
}

/// The job has its document: the same message, in the job's trace.
pub(crate) fn document_created_again(job: &job::Model) -> Outgoing {
    Outgoing::event(created(job.id).with_traceparent(job.traceparent.clone()))
}

fn created(job: JobId) -> Envelope {
    let data = DocumentCreated { job_id: job.0 };
    event(
        event_type::DOCUMENT_CREATED,
        format!("document:{job}"),
        job,
        &data,
    )
}

/// The job waits for tomorrow's budget. One event for each job and day.
pub(crate) fn budget_exceeded(data: &BudgetExceeded) -> Outgoing {
    let id = format!("budget:{}:{}", data.job_id, crate::time::now().date_naive());
    Outgoing::event(event(event_type::BUDGET_EXCEEDED, id, data.job_id, data))
}
