//! What providers do wrong.

use proptest::prelude::*;
use sandbox::{Fault, FaultKind, Provider};

/// What a provider does wrong, and how often.
pub(super) fn misbehaviour() -> impl Strategy<Value = (FaultKind, u16, u32)> {
    let kind = prop_oneof![
        2 => Just((FaultKind::Status, 429)),
        2 => Just((FaultKind::Status, 503)),
        3 => Just((FaultKind::StatusAfter, 500)),
        1 => Just((FaultKind::DropBefore, 0)),
        4 => Just((FaultKind::DropAfter, 0)),
        1 => Just((FaultKind::Garbage, 0)),
    ];
    (kind, prop_oneof![4 => 1..3u32, 1 => Just(8u32)])
        .prop_map(|((kind, status), times)| (kind, status, times))
}

pub(super) fn new_fault(
    provider: Provider,
    route: &str,
    (kind, status, times): (FaultKind, u16, u32),
) -> Fault {
    Fault {
        provider,
        route: route.to_owned(),
        kind,
        status,
        retry_after: (status == 429).then(|| "2".to_owned()),
        delay_ms: 0,
        message: None,
        times,
    }
}
