//! Every exchange, queue, binding and delay lane, as one table.
//!
//! How each is declared stands in `declare.rs`; the measured reasons in `docs/queues.md` and
//! `docs/adr/`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use messages::event_type;

/// The topic exchange that takes every fact, keyed by its type.
pub const EVENTS: &str = "events";

/// The direct exchange that reaches one queue by its name, like the default exchange. But that one
/// confirms a message for a queue that somebody deleted, and drops it; from here it is `unrouted`.
pub const QUEUES: &str = "queues";

/// Exchange and queue for what no binding takes: kept, counted, alerted.
pub const UNROUTED: &str = "unrouted";

/// How often the broker may hand out a message again before it is parked. The net for a message
/// that kills its worker; ordinary failures are counted in our own header.
pub(crate) const DELIVERY_LIMIT: i64 = 20;

/// A queue that a worker reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WorkQueue {
    /// Research to submit to OpenAI.
    ResearchSubmission,
    /// Research that OpenAI has ended, and the watch tokens that ask for it.
    ResearchCompletion,
    /// Messages and contacts from HighLevel.
    ChatIntake,
    /// Timers and requests that close batches.
    ChatFlush,
    /// Closed batches that want a reply.
    ChatReply,
    /// News for people and for the CRM.
    NotificationDelivery,
}

impl WorkQueue {
    /// All work queues.
    pub const ALL: [Self; 6] = [
        Self::ResearchSubmission,
        Self::ResearchCompletion,
        Self::ChatIntake,
        Self::ChatFlush,
        Self::ChatReply,
        Self::NotificationDelivery,
    ];

    /// The queue's name. Also the routing key that reaches exactly this queue through the `queues`
    /// exchange and through the delay lanes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ResearchSubmission => "research.submission",
            Self::ResearchCompletion => "research.completion",
            Self::ChatIntake => "chat.intake",
            Self::ChatFlush => "chat.flush",
            Self::ChatReply => "chat.reply",
            Self::NotificationDelivery => "notification.delivery",
        }
    }

    /// The name of the queue's parking lot.
    #[must_use]
    pub fn parking_lot(self) -> String {
        format!("{}.dead", self.name())
    }

    /// The event types that the `events` exchange routes to this queue.
    #[must_use]
    pub const fn event_types(self) -> &'static [&'static str] {
        match self {
            Self::ResearchSubmission => &[
                event_type::RESEARCH_REQUESTED,
                event_type::DEAL_STAGE_CHANGED,
            ],
            Self::ResearchCompletion => &["openai.response.*"],
            Self::ChatIntake => &[
                event_type::MESSAGE_RECEIVED,
                event_type::MESSAGE_SENT,
                event_type::CONTACT_CREATED,
                event_type::CONTACT_UPDATED,
                event_type::CONTACT_DND_CHANGED,
            ],
            Self::ChatFlush => &[event_type::FLUSH_REQUESTED, event_type::WAIT_CHANGED],
            Self::ChatReply => &[event_type::BATCH_CLOSED],
            Self::NotificationDelivery => &[
                event_type::DOCUMENT_CREATED,
                event_type::RESEARCH_FAILED,
                event_type::REPLY_FAILED,
                event_type::BUDGET_EXCEEDED,
            ],
        }
    }

    /// The work queue with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|queue| queue.name() == name)
    }
}

/// A queue that nobody reads, where messages wait for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParkingLot {
    /// Messages of a work queue that could not be handled.
    Of(WorkQueue),
    /// Messages whose type no worker reads.
    Unrouted,
}

impl ParkingLot {
    /// The queue's name.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Of(queue) => queue.parking_lot(),
            Self::Unrouted => UNROUTED.to_owned(),
        }
    }

    /// The parking lot of the work queue with this name, or `unrouted`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        if name == UNROUTED {
            return Some(Self::Unrouted);
        }
        WorkQueue::from_name(name).map(Self::Of)
    }
}

impl From<WorkQueue> for ParkingLot {
    fn from(queue: WorkQueue) -> Self {
        Self::Of(queue)
    }
}

/// A delay lane: a fanout exchange and a queue with one TTL, which hands each message to the work
/// queue named by its routing key. Declared on first use, and then there for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane {
    seconds: u32,
}

/// The waits after the first, second, ... failure, in seconds.
const RETRIES: [u32; 5] = [5, 30, 120, 600, 3600];

/// The waits to which any other wait is rounded up, in seconds. Nothing that anybody asks for hides
/// a message for longer than the longest of them.
const WAITS: [u32; 13] = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600];

impl Lane {
    /// The lane that delays by this many whole seconds, at least one.
    #[must_use]
    pub const fn seconds(seconds: u32) -> Self {
        Self {
            seconds: if seconds == 0 { 1 } else { seconds },
        }
    }

    /// The shortest of a few lanes that is at least as long as `delay`, or an hour. A lane is a queue
    /// that never goes away, so arbitrary delays must not make arbitrary lanes.
    #[must_use]
    pub fn at_least(delay: Duration) -> Self {
        let seconds = WAITS
            .into_iter()
            .find(|seconds| Duration::from_secs((*seconds).into()) >= delay);
        Self::seconds(seconds.unwrap_or(3600))
    }

    /// The lane for the failure number `attempt` (from 1) of a message: its usual wait, or the longer
    /// one that the provider `asked` for, up to an hour. Messages that failed together don't come
    /// back together: one of three neighbouring lanes is taken, as the message's id falls.
    #[must_use]
    pub fn for_retry(attempt: u32, asked: Option<Duration>, message_id: &str) -> Self {
        let failures = (attempt.max(1) as usize - 1).min(RETRIES.len() - 1);
        let usual = Self::seconds(RETRIES[failures]);
        let Self { seconds } = asked.map_or(usual, |asked| usual.max(Self::at_least(asked)));
        let mut hasher = DefaultHasher::new();
        (message_id, attempt).hash(&mut hasher);
        Self::neighbours(seconds)[(hasher.finish() % 3) as usize]
    }

    fn neighbours(seconds: u32) -> [Self; 3] {
        [0, 1, 2].map(|steps| Self::seconds(seconds + steps * (seconds / 10).max(1)))
    }

    /// Every lane that a message can be in because it failed or was not due. Timers of batches and
    /// of research have others besides.
    #[must_use]
    pub fn of_waiting_messages() -> BTreeSet<Self> {
        RETRIES
            .into_iter()
            .chain(WAITS)
            .flat_map(Self::neighbours)
            .collect()
    }

    /// How long the lane holds a message.
    #[must_use]
    pub const fn delay(self) -> Duration {
        Duration::from_secs(self.seconds as u64)
    }

    /// The name of the lane's exchange and of its queue.
    #[must_use]
    pub fn name(self) -> String {
        format!("delay.{}s", self.seconds)
    }
}

/// The table as Markdown, the source of the generated part of `docs/queues.md`.
#[must_use]
pub fn markdown() -> String {
    let mut page =
        String::from("| queue | takes | delay | dead-letters to |\n| --- | --- | --- | --- |\n");
    let mut row = |queue: &str, takes: &str, delay: &str, target: &str| {
        // Writing to a String can't fail.
        let _ = writeln!(page, "| `{queue}` | {takes} | {delay} | {target} |");
    };
    for work_queue in WorkQueue::ALL {
        let keys: Vec<String> = work_queue
            .event_types()
            .iter()
            .map(|key| format!("`{key}`"))
            .collect();
        let parking_lot = work_queue.parking_lot();
        row(
            work_queue.name(),
            &format!("`{EVENTS}` / {}", keys.join(", ")),
            "",
            &format!("`{parking_lot}` after {DELIVERY_LIMIT} deliveries"),
        );
        row(&parking_lot, "what a worker parked", "", "");
    }
    row(UNROUTED, "what no exchange could route", "", "");
    row(
        "delay.<n>s",
        "`delay.<n>s` (fanout)",
        "n s",
        "the work queue named by the routing key",
    );
    page
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::{Lane, WorkQueue};

    #[test]
    fn names_are_unique_and_found_again() {
        let names: BTreeSet<&str> = WorkQueue::ALL.iter().map(|queue| queue.name()).collect();
        assert_eq!(names.len(), WorkQueue::ALL.len());
        for queue in WorkQueue::ALL {
            assert_eq!(WorkQueue::from_name(queue.name()), Some(queue));
        }
    }

    #[test]
    fn each_event_type_has_one_reader() {
        let types: Vec<&str> = WorkQueue::ALL
            .iter()
            .flat_map(|queue| queue.event_types())
            .copied()
            .collect();
        assert_eq!(types.iter().collect::<BTreeSet<_>>().len(), types.len());
    }

    #[test]
    fn retries_wait_longer_each_time_and_at_most_a_fifth_more_than_usual() {
        for (attempt, usual) in (1..).zip([5, 30, 120, 600, 3600, 3600, 3600]) {
            let waits: BTreeSet<Lane> = (0..100)
                .map(|id| Lane::for_retry(attempt, None, &id.to_string()))
                .collect();
            let step = usual / 10;
            let spread = [0, step.max(1), 2 * step.max(1)].map(|more| Lane::seconds(usual + more));
            assert_eq!(waits, BTreeSet::from(spread));
        }
    }

    #[test]
    fn every_lane_of_a_retry_and_of_a_wait_is_known() {
        let known = Lane::of_waiting_messages();
        for (attempt, asked) in [(1, None), (5, None), (2, Some(61)), (3, Some(90_000))] {
            let asked = asked.map(Duration::from_secs);
            for id in 0..20 {
                assert!(known.contains(&Lane::for_retry(attempt, asked, &id.to_string())));
            }
        }
        assert!(known.contains(&Lane::at_least(Duration::from_secs(7))));
    }

    #[test]
    fn a_message_takes_the_same_lane_whoever_retries_it() {
        let lane = Lane::for_retry(2, None, "id");
        assert!((0..100).all(|_| Lane::for_retry(2, None, "id") == lane));
    }

    #[test]
    fn a_longer_wait_that_the_provider_asks_for_counts_up_to_an_hour() {
        let longest = |asked| {
            let asked = Some(Duration::from_secs(asked));
            let lanes = (0..100).map(|id| Lane::for_retry(2, asked, &id.to_string()));
            let shortest = lanes.clone().min().unwrap().delay().as_secs();
            (shortest, lanes.max().unwrap().delay().as_secs())
        };
        assert_eq!(longest(3), (30, 36), "a shorter one than ours does not");
        assert_eq!(longest(61), (120, 144));
        assert_eq!(longest(86_400), (3600, 4320));
    }
}
