//! The acks of one subscription: what is done at the same time is acked at once.
//!
//! A quorum queue writes each ack down by itself, and an ack of all messages up to one as a single
//! entry. So a message that is done is acked together with all before it, if they are done too, or with
//! those that are done while an ack is under way. One that waits for a slower one before it is acked
//! alone after a moment.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lapin::Acker;
use lapin::message::Delivery;
use lapin::options::BasicAckOptions;
use lapin::types::DeliveryTag;
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::time::timeout;

use crate::connection::chain;

/// How long a message that is done waits for those before it.
const PATIENCE: Duration = Duration::from_millis(20);

/// Tells how it went, why not in words.
type Answer = oneshot::Sender<Result<(), String>>;

/// The acks of the deliveries of one channel, which has one consumer.
#[derive(Default)]
pub(crate) struct Acks {
    done: Mutex<Done<(Acker, Answer)>>,
    /// Acks go out one after the other.
    turn: tokio::sync::Mutex<()>,
}

impl Acks {
    /// Acks a message that is done.
    ///
    /// # Errors
    /// Why it could not be acked, in words; it comes again then.
    pub(crate) async fn ack(&self, delivery: &Delivery) -> Result<(), String> {
        let tag = delivery.delivery_tag;
        let (answer, mut mine) = oneshot::channel();
        self.done().add(tag, (delivery.acker.clone(), answer));
        let turn = tokio::select! {
            biased;
            answer = &mut mine => return answer.unwrap_or_else(|_| broken_off()),
            turn = self.turn.lock() => turn,
        };
        let mut answered = mine.try_recv();
        while answered == Err(TryRecvError::Empty) {
            let run = self.done().take_run();
            if run.is_empty() {
                break;
            }
            ack_run(run).await;
            answered = mine.try_recv();
        }
        drop(turn);
        if answered != Err(TryRecvError::Empty) {
            return answered.unwrap_or_else(|_| broken_off());
        }
        if let Ok(answer) = timeout(PATIENCE, &mut mine).await {
            return answer.unwrap_or_else(|_| broken_off());
        }
        // In turn with the runs: an ack that comes after one that covered it would close the channel.
        let _turn = self.turn.lock().await;
        let alone = self.done().take_alone(tag);
        match alone {
            Some((acker, _)) => ack(&acker, false).await,
            None => mine.await.unwrap_or_else(|_| broken_off()),
        }
    }

    fn done(&self) -> MutexGuard<'_, Done<(Acker, Answer)>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Acks messages that follow each other, with all before them.
async fn ack_run(run: Vec<(Acker, Answer)>) {
    let Some((last, _)) = run.last() else { return };
    let acked = ack(last, true).await;
    for (_, answer) in run {
        // Who no longer listens has been given up.
        let _ = answer.send(acked.clone());
    }
}

async fn ack(acker: &Acker, multiple: bool) -> Result<(), String> {
    match acker.ack(BasicAckOptions { multiple }).await {
        Ok(true) => Ok(()),
        Ok(false) => Err("the delivery belongs to a connection that is gone".to_owned()),
        Err(error) => Err(chain(&error)),
    }
}

fn broken_off() -> Result<(), String> {
    Err("the ack was broken off".to_owned())
}

/// Which deliveries of a channel are done. They are numbered from 1, without gaps: what has not been
/// heard of is not done.
struct Done<T> {
    /// This one and all before it are acked, or are about to be.
    through: DeliveryTag,
    /// Those after it that are done; `None` was acked alone.
    beyond: BTreeMap<DeliveryTag, Option<T>>,
}

impl<T> Default for Done<T> {
    fn default() -> Self {
        Self {
            through: 0,
            beyond: BTreeMap::new(),
        }
    }
}

impl<T> Done<T> {
    fn add(&mut self, tag: DeliveryTag, item: T) {
        self.beyond.insert(tag, Some(item));
    }

    /// Those that are done and have nothing unfinished before them, in their order.
    fn take_run(&mut self) -> Vec<T> {
        let mut run = Vec::new();
        while let Some(next) = self.beyond.first_entry() {
            if *next.key() != self.through + 1 {
                break;
            }
            self.through += 1;
            run.extend(next.remove());
        }
        run
    }

    /// One that is to be acked alone; `None` if it is acked already, or about to be.
    fn take_alone(&mut self, tag: DeliveryTag) -> Option<T> {
        self.beyond.get_mut(&tag)?.take()
    }
}

#[cfg(test)]
mod tests {
    use super::Done;

    #[test]
    fn a_run_ends_before_what_is_not_done() {
        let mut done = Done::default();
        for tag in [2, 4, 3, 6] {
            done.add(tag, tag);
        }
        assert!(done.take_run().is_empty(), "1 is not done");
        done.add(1, 1);
        assert_eq!(done.take_run(), [1, 2, 3, 4]);
        assert!(done.take_run().is_empty(), "5 is not done");
        done.add(5, 5);
        assert_eq!(done.take_run(), [5, 6]);
    }

    #[test]
    fn what_was_acked_alone_is_passed_over() {
        let mut done = Done::default();
        for tag in 2..=4 {
            done.add(tag, tag);
        }
        assert_eq!(done.take_alone(3), Some(3));
        assert_eq!(done.take_alone(3), None);
        done.add(1, 1);
        assert_eq!(done.take_run(), [1, 2, 4]);
        assert_eq!(done.take_alone(2), None, "it went with the run");
    }
}
