//! Which traces are recorded: all of them, until more begin than can be sent.
//!
//! A span that is recorded costs the request that it belongs to, and one that finds the exporter's queue
//! full is thrown away after that. So a process begins to record only so many traces a second, evenly. A
//! trace that began elsewhere was decided about there, and stays whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use opentelemetry::trace::{Link, SpanKind, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

/// How many traces a process begins to record in a second. One has some tens of spans over all processes,
/// so that these are a few thousand spans a second, about what a collector takes from one exporter
/// beside other work.
const TRACES_A_SECOND: u32 = 100;

/// The time that one trace takes up. It may be saved up for a second: so many may begin at once.
const INTERVAL: Duration = Duration::from_millis(1000 / TRACES_A_SECOND as u64);

/// Records what began elsewhere as was decided there, and of what begins here [`TRACES_A_SECOND`].
pub(crate) fn as_many_as_can_be_sent() -> Sampler {
    Sampler::ParentBased(Box::new(AtMost {
        begin: Instant::now(),
        free_from: Arc::default(),
    }))
}

#[derive(Debug, Clone)]
struct AtMost {
    begin: Instant,
    /// When the time of the last trace that was admitted ends, in microseconds since `begin`.
    free_from: Arc<AtomicU64>,
}

impl AtMost {
    /// Whether a trace that begins at this time, counted from `begin`, is recorded.
    fn admits(&self, now: Duration) -> bool {
        let now = now.as_micros() as u64;
        let longest_saved = now.saturating_sub(Duration::from_secs(1).as_micros() as u64);
        let next = |free_from: u64| {
            let from = free_from.max(longest_saved);
            (from <= now).then_some(from + INTERVAL.as_micros() as u64)
        };
        let order = Ordering::Relaxed;
        self.free_from.fetch_update(order, order, next).is_ok()
    }
}

impl ShouldSample for AtMost {
    fn should_sample(
        &self,
        _: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let decision = if self.admits(self.begin.elapsed()) {
            SamplingDecision::RecordAndSample
        } else {
            SamplingDecision::Drop
        };
        SamplingResult {
            decision,
            attributes: Vec::new(),
            trace_state: TraceState::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use opentelemetry::Context;
    use opentelemetry::trace::{
        SpanContext, SpanId, SpanKind, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    };
    use opentelemetry_sdk::trace::{SamplingDecision, ShouldSample as _};

    use super::{AtMost, TRACES_A_SECOND, as_many_as_can_be_sent};

    fn at_most() -> AtMost {
        AtMost {
            begin: Instant::now(),
            free_from: Arc::default(),
        }
    }

    #[test]
    fn a_few_traces_a_second_are_all_recorded() {
        let sampler = at_most();
        let each_40_ms = (0..1000).map(|number| Duration::from_millis(number * 40));
        assert!(each_40_ms.into_iter().all(|now| sampler.admits(now)));
    }

    #[test]
    fn of_many_so_many_are_recorded_that_they_can_be_sent_and_evenly() {
        let sampler = at_most();
        let mut admitted = [0_u32; 10];
        for microseconds in (0..10_000_000).step_by(62) {
            if sampler.admits(Duration::from_micros(microseconds)) {
                admitted[(microseconds / 1_000_000) as usize] += 1;
            }
        }
        assert!(
            (admitted.iter()).all(|count: &u32| count.abs_diff(TRACES_A_SECOND) <= 1),
            "{admitted:?}"
        );
    }

    #[test]
    fn after_a_quiet_time_a_burst_of_a_second_s_worth_is_recorded() {
        let sampler = at_most();
        let now = Duration::from_secs(3600);
        let admitted = (0..5000).filter(|_| sampler.admits(now)).count();
        assert!(
            admitted.abs_diff(TRACES_A_SECOND as usize) <= 1,
            "{admitted}"
        );
    }

    #[test]
    fn what_began_elsewhere_is_recorded_as_was_decided_there() {
        let sampler = as_many_as_can_be_sent();
        for (flags, expected) in [
            (TraceFlags::SAMPLED, SamplingDecision::RecordAndSample),
            (TraceFlags::NOT_SAMPLED, SamplingDecision::Drop),
        ] {
            let (trace, span) = (TraceId::from(7), SpanId::from(7));
            let parent = SpanContext::new(trace, span, flags, true, TraceState::NONE);
            let parent = Context::new().with_remote_span_context(parent);
            for _ in 0..10 * TRACES_A_SECOND {
                let kind = SpanKind::Consumer;
                let result = sampler.should_sample(Some(&parent), trace, "", &kind, &[], &[]);
                assert_eq!(result.decision, expected);
            }
        }
    }
}
