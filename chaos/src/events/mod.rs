//! Events from outside: contacts write, deals reach their stage, clients ask for research, operators
//! and people of the business step in.
//!
//! The sandbox sends the webhooks as the providers do, signed, with the same ids until they are
//! accepted or the provider's retries are spent. Clients and operators call the gateways themselves
//! and try again as long as they are not answered well.

mod calls;
mod stories;

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::schedule::{Event, What};
use crate::subject;
use crate::world::World;

/// Everything that was sent so far.
#[derive(Debug, Default)]
pub struct Sent(Mutex<Vec<SentEvent>>);

/// One event.
#[derive(Debug, Clone)]
pub struct SentEvent {
    /// What it was.
    pub event: Event,
    /// What a client or an operator was answered in the end: for research the job's id.
    pub answer: Option<String>,
}

impl SentEvent {
    /// Whether it was taken; `has_accepted` says whether a gateway has accepted a subject.
    pub fn is_accepted(&self, has_accepted: impl Fn(&str) -> bool) -> bool {
        match self.subject() {
            Some(subject) => has_accepted(&subject),
            None => self.answer.is_some(),
        }
    }

    /// What its webhook tells of, where it is told by a webhook.
    #[must_use]
    pub fn subject(&self) -> Option<String> {
        let number = self.event.number;
        let written = |contact, text: &str| subject::written(&subject::contact(contact), text);
        Some(match self.event.what {
            What::Message { contact, .. } => written(contact, &subject::question(number)),
            What::OptOut { contact, .. } => written(contact, subject::STOP),
            What::AnswerByHand { contact } => written(contact, &subject::answer_by_hand(number)),
            What::DoNotDisturb { contact } => subject::do_not_disturb(&subject::contact(contact)),
            What::Deal { .. } => subject::deal(number),
            What::Unknown => subject::unknown(number),
            What::Request { .. }
            | What::CloseBatch { .. }
            | What::ChangeWait { .. }
            | What::Unreadable { .. } => return None,
        })
    }
}

impl Sent {
    /// Everything that was sent so far.
    #[must_use]
    pub fn list(&self) -> Vec<SentEvent> {
        self.lock().clone()
    }

    /// How many events nobody has taken yet.
    #[must_use]
    pub fn waiting(&self, world: &World) -> usize {
        let has_accepted = |subject: &str| world.relay.has_accepted(subject);
        let sent = self.lock();
        let waiting = sent.iter().filter(|event| !event.is_accepted(has_accepted));
        waiting.count()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<SentEvent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends one event. Returns when its first attempt is over; a call, when it is answered well or its
/// caller has lost patience.
///
/// # Errors
/// When the sandbox refuses: a mistake of this program.
pub async fn send(world: &World, sent: &Sent, event: Event) -> anyhow::Result<()> {
    let place = {
        let mut sent = sent.lock();
        sent.push(SentEvent {
            event: event.clone(),
            answer: None,
        });
        sent.len() - 1
    };
    let answer = match event.what {
        What::Request { twice, ending } => {
            stories::script(world, event.number, ending).await?;
            calls::request(world, event.number, twice).await
        }
        What::CloseBatch { contact } => calls::close_batch(world, contact).await,
        What::ChangeWait { seconds } => calls::change_wait(world, seconds).await,
        What::Unreadable { queue } => calls::put_unreadable(world, event.number, queue).await,
        _ => return stories::play(world, &event).await,
    };
    sent.lock()[place].answer = answer;
    Ok(())
}
