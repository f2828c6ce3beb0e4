//! Parking: the message goes to its queue's parking lot with the reason in its headers.

use crate::delivery::{ATTEMPTS, Attempt, FAILURE_DETAIL, FAILURE_REASON, FIRST_SEEN, TRACE_ID};
use crate::outgoing::{Original, Outgoing};
use crate::topology::WorkQueue;
use crate::trace;
use crate::verdict::Failure;

/// Headers are for people to read; AMQP frames are not endless.
const DETAIL_LIMIT: usize = 2000;

/// The original bytes for the parking lot. `x-attempt` is left out, so that a replay starts afresh.
pub(crate) fn parked(
    queue: WorkQueue,
    original: &Original<'_>,
    attempt: &Attempt,
    failure: &Failure,
) -> Outgoing {
    let detail: String = failure.detail.chars().take(DETAIL_LIMIT).collect();
    let parked = Outgoing::parked(queue, original)
        .with_header(FAILURE_REASON, failure.reason)
        .with_header(FAILURE_DETAIL, detail)
        .with_header(ATTEMPTS, attempt.number.to_string())
        .with_header(FIRST_SEEN, attempt.first_seen.to_rfc3339());
    let traceparent = original
        .event
        .and_then(|event| event.traceparent.as_deref());
    match traceparent.and_then(trace::trace_id) {
        Some(id) => parked.with_header(TRACE_ID, id),
        None => parked,
    }
}
