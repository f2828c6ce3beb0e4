//! What people and services outside do.

use std::collections::BTreeSet;
use std::time::Duration;

use sandbox::Deliver;

use super::{Action, Plan, Step, moment};
use crate::random::Random;

/// What somebody outside does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its number in this run; no other event has it.
    pub number: u32,
    /// What it is.
    pub what: What,
}

/// The kinds of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A contact writes; HighLevel sends its webhook.
    Message {
        /// The contact.
        contact: u32,
        /// How HighLevel delivers it.
        deliver: Deliver,
    },
    /// A contact writes STOP.
    OptOut {
        /// The contact.
        contact: u32,
        /// How HighLevel delivers it.
        deliver: Deliver,
    },
    /// A contact is marked as not to be disturbed in HighLevel.
    DoNotDisturb {
        /// The contact.
        contact: u32,
    },
    /// A person of the business answers a contact.
    AnswerByHand {
        /// The contact.
        contact: u32,
    },
    /// An operator has a contact's batch closed.
    CloseBatch {
        /// The contact.
        contact: u32,
    },
    /// An operator changes the wait before a batch closes.
    ChangeWait {
        /// The new wait.
        seconds: u32,
    },
    /// A new deal, which bears the event's number, reaches the stage.
    Deal {
        /// How often HubSpot tells it.
        times: u32,
        /// How its research ends at OpenAI.
        ending: Ending,
    },
    /// A client asks for research.
    Request {
        /// Whether a second copy is sent at the same time.
        twice: bool,
        /// How its research ends at OpenAI.
        ending: Ending,
    },
    /// HighLevel tells something that nobody here reads.
    Unknown,
    /// Somebody puts bytes into a work queue that are no event.
    Unreadable {
        /// The work queue.
        queue: &'static str,
    },
}

/// How research ends at OpenAI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With a result.
    Completed,
    /// It fails for a reason of OpenAI's own, and succeeds when it is submitted again.
    FailsOnce,
    /// It fails each time.
    Fails,
    /// It fails for a reason that no repeat mends.
    Refused,
    /// Cut short, with some text.
    CutShort,
    /// Cut short before there was any text.
    Empty,
    /// Somebody cancels it at OpenAI.
    Cancelled,
    /// OpenAI deletes it before anybody can fetch it.
    Deleted,
}

impl Ending {
    /// Whether its job may end without a document.
    #[must_use]
    pub fn may_fail(self) -> bool {
        !matches!(self, Self::Completed | Self::FailsOnce | Self::CutShort)
    }
}

/// Waits that an operator sets, in seconds. No other timer uses their lanes, so that a lane can be
/// emptied and only timers of batches are lost.
pub(crate) const WAITS: [u32; 3] = [8, 9, 13];

/// The work queues.
const QUEUES: [&str; 6] = [
    "research.submission",
    "research.completion",
    "chat.intake",
    "chat.flush",
    "chat.reply",
    "notification.delivery",
];

pub(super) fn events(plan: &Plan, random: &mut Random) -> Vec<Step> {
    let mut events = Events {
        plan,
        silent: BTreeSet::new(),
        steps: Vec::new(),
    };
    while events.left() > 0 {
        let at = moment(random, plan.length);
        match random.below(100) {
            0..15 => {
                let times = if random.chance(25) { 2 } else { 1 };
                let ending = ending(random);
                events.add(at, What::Deal { times, ending });
            }
            15..30 => {
                let twice = random.chance(25);
                let ending = ending(random);
                events.add(at, What::Request { twice, ending });
            }
            30..34 => events.add(at, What::Unknown),
            34..36 => {
                let seconds = random.one_of(&WAITS);
                events.add(at, What::ChangeWait { seconds });
            }
            36 => {
                let queue = random.one_of(&QUEUES);
                events.add(at, What::Unreadable { queue });
            }
            _ => events.burst(at, random),
        }
    }
    events.steps
}

struct Events<'a> {
    plan: &'a Plan,
    /// Contacts that have opted out or are not to be disturbed.
    silent: BTreeSet<u32>,
    steps: Vec<Step>,
}

impl Events<'_> {
    /// How many events are still to be made.
    fn left(&self) -> usize {
        self.plan.events as usize - self.steps.len()
    }

    fn add(&mut self, at: Duration, what: What) {
        if self.left() == 0 {
            return;
        }
        let number = self.steps.len() as u32;
        self.steps.push(Step {
            at: at.min(self.plan.length),
            action: Action::Event(Event { number, what }),
        });
    }

    /// A contact writes several messages; now and then something comes between them.
    fn burst(&mut self, start: Duration, random: &mut Random) {
        let contacts = u64::from(self.plan.events / 6).max(3);
        let contact = random.below(contacts) as u32;
        let length = random.between(1, 4);
        let interrupted_after = random.chance(12).then(|| random.between(1, length));
        let mut at = start;
        for place in 1..=length {
            let deliver = delivery(random);
            self.add(at, What::Message { contact, deliver });
            at += Duration::from_millis(random.between(0, 2500));
            if interrupted_after == Some(place) {
                self.interrupt(at, contact, random);
                at += Duration::from_millis(random.between(0, 2500));
            }
        }
    }

    fn interrupt(&mut self, at: Duration, contact: u32, random: &mut Random) {
        let what = match random.below(10) {
            0..2 if self.silent.insert(contact) => {
                let deliver = delivery(random);
                What::OptOut { contact, deliver }
            }
            2..4 if self.silent.insert(contact) => What::DoNotDisturb { contact },
            0..7 => What::AnswerByHand { contact },
            _ => What::CloseBatch { contact },
        };
        self.add(at, what);
    }
}

fn delivery(random: &mut Random) -> Deliver {
    match random.below(100) {
        0..10 => Deliver::Twice,
        10..20 => Deliver::Reordered,
        20..25 => Deliver::Late,
        _ => Deliver::Normal,
    }
}

fn ending(random: &mut Random) -> Ending {
    match random.below(100) {
        0..3 => Ending::FailsOnce,
        3..5 => Ending::Fails,
        5..7 => Ending::Refused,
        7..9 => Ending::CutShort,
        9..11 => Ending::Empty,
        11..13 => Ending::Cancelled,
        13..15 => Ending::Deleted,
        _ => Ending::Completed,
    }
}
