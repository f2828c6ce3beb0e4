//! Faults of the stand-ins, in words.

use end_to_end::World;
use entities::batch;
use sandbox::{Deliver, DeliveryMode, Fault, FaultKind, Provider};

/// Creating a response, in the background or not.
pub(crate) const CREATE_RESPONSE: (Provider, &str) = (Provider::OpenAi, "POST /v1/responses");

/// Fetching a response.
pub(crate) const FETCH_RESPONSE: (Provider, &str) = (Provider::OpenAi, "GET /v1/responses");

/// Sending a message to a contact.
pub(crate) const SEND_MESSAGE: (Provider, &str) =
    (Provider::HighLevel, "POST /conversations/messages");

/// Telling people.
pub(crate) const NOTIFY: (Provider, &str) = (Provider::Notify, "POST /sandbox/notify");

/// The next request to a route goes wrong.
pub(crate) fn once((provider, route): (Provider, &str), kind: FaultKind) -> Fault {
    Fault {
        provider,
        route: route.to_owned(),
        kind,
        status: 500,
        message: None,
        retry_after: None,
        delay_ms: 0,
        times: 1,
    }
}

/// The next request to a route is refused with a status, and nothing is done.
pub(crate) fn refused(route: (Provider, &str), status: u16) -> Fault {
    Fault {
        status,
        ..once(route, FaultKind::Status)
    }
}

/// The next request to a route is refused with a status and these words, and nothing is done.
pub(crate) fn refused_saying(route: (Provider, &str), status: u16, message: &str) -> Fault {
    Fault {
        message: Some(message.to_owned()),
        ..refused(route, status)
    }
}

/// The next request to a route takes longer.
pub(crate) fn slow(route: (Provider, &str), delay_ms: u64) -> Fault {
    Fault {
        delay_ms,
        ..once(route, FaultKind::Delay)
    }
}

/// A way of delivering webhooks.
pub(crate) fn delivery(deliver: Deliver) -> DeliveryMode {
    DeliveryMode {
        deliver,
        delay_ms: 1500,
    }
}

/// HighLevel refuses the reply to the contact `ada` for good.
pub(crate) async fn a_reply_is_parked(world: &World) {
    world.sandbox.add_fault(refused(SEND_MESSAGE, 400));
    world.contact_writes("ada", "Hello!").await;
    world.close_batch("ada", 1).await;
    world.until_batch("ada", batch::State::Failed).await;
    world
        .until("a parked message", |world| {
            world.broker.waiting("chat.reply.dead").len() == 1
        })
        .await;
}
