//! The services outside, and the way to and from them.

use std::time::Duration;

use sandbox::{Deliver, DeliveryMode, Provider};

use crate::log::Kind;
use crate::schedule::ProviderFault;
use crate::world::World;

/// How long a provider that is slow takes: longer than anybody likes, shorter than anybody's
/// deadline.
const SLOW_MILLISECONDS: u64 = 3000;

/// How late OpenAI's webhooks come that come late.
const LATE_MILLISECONDS: u64 = 3000;

pub(super) fn misbehave(world: &World, fault: &ProviderFault) {
    let ProviderFault {
        provider,
        route,
        kind,
        status,
        retry_after,
        times,
    } = fault;
    let detail = format!("{route}: {kind:?} {status} {retry_after:?}, {times} times");
    let name = match provider {
        Provider::OpenAi => Kind::OpenAi,
        Provider::HubSpot => Kind::HubSpot,
        Provider::HighLevel => Kind::HighLevel,
        Provider::Google => Kind::Google,
        Provider::Notify => Kind::Notify,
    };
    world.log.fault(name, detail);
    world.sandbox.add_fault(sandbox::Fault {
        provider: *provider,
        route: (*route).to_owned(),
        kind: *kind,
        status: *status,
        message: None,
        retry_after: retry_after.map(|seconds| seconds.to_string()),
        delay_ms: SLOW_MILLISECONDS,
        times: *times,
    });
}

/// OpenAI delivers its webhooks in this way for this time.
pub(super) async fn deliver_webhooks(world: &World, deliver: Deliver, time: Duration) {
    let detail = format!("{deliver:?}");
    world.log.fault_for(Kind::Webhooks, time, detail);
    set_delivery(world, deliver);
    tokio::time::sleep(time).await;
    set_delivery(world, Deliver::Normal);
}

pub(super) fn set_delivery(world: &World, deliver: Deliver) {
    let mode = DeliveryMode {
        deliver,
        delay_ms: LATE_MILLISECONDS,
    };
    world.sandbox.set_delivery(Provider::OpenAi, mode);
}

pub(super) fn lose_answers(world: &World, count: u32) {
    world.log.fault(Kind::AnswersLost, count);
    world.relay.lose_answers(count);
}
