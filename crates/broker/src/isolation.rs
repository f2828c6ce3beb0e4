//! A message that has come back again and again is handled with nothing else in hand
//! (docs/adr/0021-suspicious-messages-are-handled-alone.md).
//!
//! RabbitMQ counts how often it handed a message out again, and parks it in the end: the net for a
//! message that kills its worker. But it counts for everything that the worker had in hand. Without
//! this, the neighbours of such a message are parked with it.

use std::time::Duration;

use lapin::message::Delivery;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::time::{sleep, timeout};

use crate::delivery::header;

/// How often a message may come back before it is handled alone.
const UNSUSPICIOUS_RETURNS: u64 = 2;

/// Of several suspicious messages in one hand, each has the same chance to be handled before the one
/// that kills; and what is not suspicious is ahead of all of them.
const HEAD_START: Duration = Duration::from_secs(1);

/// How long a suspicious message waits for the others, and keeps new ones waiting.
const PATIENCE: Duration = Duration::from_secs(30);

/// Of the whole process, for all its queues: it is the process that dies.
static HAND: RwLock<()> = RwLock::const_new(());

/// Kept until the message is acked.
pub(crate) enum Turn {
    Together(#[expect(dead_code, reason = "kept, not read")] RwLockReadGuard<'static, ()>),
    Alone(#[expect(dead_code, reason = "kept, not read")] RwLockWriteGuard<'static, ()>),
}

/// Waits until the message may be handled.
pub(crate) async fn turn(delivery: &Delivery) -> Turn {
    if returns(delivery) > UNSUSPICIOUS_RETURNS {
        sleep(HEAD_START.mul_f64(rand::random())).await;
        if let Ok(alone) = timeout(PATIENCE, HAND.write()).await {
            return Turn::Alone(alone);
        }
    }
    Turn::Together(HAND.read().await)
}

/// How often the broker has handed the message out before without an ack.
fn returns(delivery: &Delivery) -> u64 {
    header(delivery, "x-delivery-count")
        .and_then(|count| count.parse().ok())
        .unwrap_or(0)
}
