//! The stage for a story: the real handlers and database, the sandbox, and a broker that is played.

use std::rc::Rc;

use broker::{Attempt, Outgoing, Verdict, WorkQueue};
use chrono::{DateTime, TimeDelta, Utc};
use messages::{Envelope, event_type};
use sandbox::{Deliver, DeliveryMode, Effect, EffectKind, Provider, Sandbox, SandboxConfig};
use sea_orm::{ConnectionTrait as _, DatabaseConnection};
use serde_json::Value;

use super::fate::{Fate, Handling, dies_in, freezes_in_call};
use super::workers::{Workers, workers};
use crate::time::{moved, now};

/// How many attempts a message has, as in `run.rs`.
const ATTEMPTS: u32 = 6;

/// How many deliveries a story may need to come to rest.
const PATIENCE: usize = 3000;

/// How often what is parked may have to be replayed at the end: a story's faults may strike one after
/// another, each until what it strikes is parked again.
const REPLAYS: usize = 100;

/// All tables, those that others depend on last.
const TABLES: [&str; 12] = [
    "replies",
    "messages",
    "batches",
    "contacts",
    "documents",
    "research_jobs",
    "effects",
    "processed_events",
    "settings",
    "provider_pauses",
    "unclaimed_responses",
    "parked_messages",
];

/// A message in a queue, or on its way to one.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) queue: WorkQueue,
    pub(super) event: Envelope,
    failures: u32,
    first_seen: Option<DateTime<Utc>>,
    /// When it is in its queue: at once, or when its time in a lane is over.
    pub(super) due: DateTime<Utc>,
    pub(super) replayed: bool,
}

impl Message {
    pub(super) fn attempt(&self) -> Attempt {
        Attempt {
            number: self.failures + 1,
            limit: ATTEMPTS,
            first_seen: self.first_seen.unwrap_or_else(now),
            replayed: self.replayed,
            came_back: self.replayed,
        }
    }
}

pub(super) struct World {
    pub(super) db: DatabaseConnection,
    pub(super) sandbox: Sandbox,
    workers: Rc<Workers>,
    http: reqwest::Client,
    desk: Vec<Message>,
    frozen: Vec<(Handling, Message)>,
    pub(super) parked: Vec<Message>,
    folder: tempfile::TempDir,
}

impl World {
    /// An empty stage.
    pub(super) async fn new(db: &DatabaseConnection) -> Self {
        for table in TABLES {
            let empty = format!("DELETE FROM {table}");
            db.execute_unprepared(&empty).await.unwrap();
        }
        // The sandbox stamps its messages with the real time, which must never seem to lie before
        // what a story has done.
        moved::to(-TimeDelta::days(3650));
        let config = SandboxConfig {
            research_time: std::time::Duration::ZERO,
            ..SandboxConfig::default()
        };
        let sandbox = Sandbox::start(config).await.unwrap();
        let never = DeliveryMode {
            deliver: Deliver::Never,
            delay_ms: 0,
        };
        for provider in [Provider::OpenAi, Provider::HubSpot, Provider::HighLevel] {
            sandbox.set_delivery(provider, never);
        }
        let folder = tempfile::TempDir::new().unwrap();
        let workers = Rc::new(workers(db, &sandbox, &folder));
        Self {
            db: db.clone(),
            sandbox,
            workers,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            desk: Vec::new(),
            frozen: Vec::new(),
            parked: Vec::new(),
            folder,
        }
    }

    /// Has the sandbox play somebody outside.
    pub(super) async fn play(&self, path: &str, body: &Value) {
        let url = format!("{}{path}", self.sandbox.base_url());
        let answer = self.http.post(url).json(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {answer:?}");
    }

    /// The gateway has accepted an event.
    pub(super) fn accept(&mut self, queue: WorkQueue, event: Envelope) {
        self.desk.push(Message {
            queue,
            event,
            failures: 0,
            first_seen: None,
            due: now(),
            replayed: false,
        });
    }

    /// How often an effect was seen for each subject, oldest first.
    pub(super) fn effects(&self, kind: EffectKind) -> Vec<Effect> {
        let effects = self.sandbox.effects().into_iter();
        effects.filter(|effect| effect.kind == kind).collect()
    }

    /// The broker loses one of the messages that the database can make again, whichever: `pick`
    /// chooses. Returns it. News that was parked and has just been replayed is in the records of who
    /// replayed it (`millrace-worker conservation` misses it), not in the job's.
    pub(super) fn lose(&mut self, pick: u8) -> Option<Envelope> {
        let can_be_made_again = |message: &Message| {
            let kind = message.event.event_type.as_str();
            if message.replayed && kind == event_type::DOCUMENT_CREATED {
                return false;
            }
            kind.starts_with("openai.response.")
                || [
                    event_type::FLUSH_REQUESTED,
                    event_type::BATCH_CLOSED,
                    event_type::RESEARCH_REQUESTED,
                    event_type::RESEARCH_SUBMITTED,
                    event_type::RESUBMISSION_DUE,
                    event_type::DOCUMENT_CREATED,
                ]
                .contains(&kind)
        };
        let places = self.desk.iter().enumerate();
        let places: Vec<usize> = places
            .filter(|(_, message)| can_be_made_again(message))
            .map(|(place, _)| place)
            .collect();
        let place = places.get(usize::from(pick) % places.len().max(1))?;
        Some(self.desk.remove(*place).event)
    }

    /// The sweeper looks. Whether it found anything.
    async fn sweep(&mut self) -> bool {
        let mut found = Vec::new();
        for queue in WorkQueue::ALL {
            if !self.desk.iter().any(|message| message.queue == queue) {
                found.extend(self.workers.forgotten.by(queue).await.unwrap());
            }
        }
        let messages: Vec<Outgoing> = found.into_iter().flat_map(|find| find.messages).collect();
        let found = !messages.is_empty();
        self.publish(messages);
        found
    }

    /// Comes to rest, and again after what is parked was replayed, until nothing helps any more.
    pub(super) async fn come_to_an_end(&mut self) -> Result<(), String> {
        for _ in 0..REPLAYS {
            self.come_to_rest().await?;
            if self.parked.is_empty() {
                return Ok(());
            }
            self.replay();
        }
        Err(format!("after {REPLAYS} replays: {:?}", self.parked))
    }

    /// Everything that is parked is replayed by hand.
    pub(super) fn replay(&mut self) {
        for message in self.parked.drain(..) {
            self.desk.push(Message {
                failures: 0,
                first_seen: None,
                due: now(),
                replayed: true,
                ..message
            });
        }
    }

    /// The head of one of the queues, whichever: `pick` chooses. Where nothing is due, time passes.
    pub(super) fn next(&mut self, pick: u8) -> Option<Message> {
        let earliest = self.desk.iter().map(|message| message.due).min()?;
        if earliest > now() {
            moved::on(earliest - now());
        }
        let mut heads: Vec<usize> = Vec::new();
        for queue in WorkQueue::ALL {
            let due = self.desk.iter().enumerate();
            let due = due.filter(|(_, message)| message.queue == queue && message.due <= now());
            // In the order in which they came into the queue.
            heads.extend(
                due.min_by_key(|(_, message)| message.due)
                    .map(|(place, _)| place),
            );
        }
        let place = heads[usize::from(pick) % heads.len()];
        Some(self.desk.remove(place))
    }

    /// Whether a message waits whose time has come.
    pub(super) fn is_due(&self) -> bool {
        self.desk.iter().any(|message| message.due <= now())
    }

    /// One delivery to its end, whatever that is.
    pub(super) async fn deliver(&mut self, message: Message, fate: Fate) {
        let process = self.workers.clone();
        let handled = message.clone();
        let mut handling: Handling = Box::pin(async move { process.handle(&handled).await });
        let verdict = match fate {
            Fate::DiesIn(waits) => dies_in(&mut handling, waits).await,
            Fate::FreezesInCall(calls) => {
                let verdict = freezes_in_call(&mut handling, &self.sandbox, calls).await;
                if verdict.is_none() {
                    self.frozen.push((handling, message.clone()));
                    // Another process goes on, which shares no memory with it: who stands still while
                    // it asks Google for a token keeps others of its own process waiting.
                    let process = workers(&self.db, &self.sandbox, &self.folder);
                    self.workers = Rc::new(process);
                }
                verdict
            }
            Fate::Lives | Fate::DiesBeforeFollowUps | Fate::DiesBeforeAck => Some(handling.await),
        };
        match verdict {
            Some(verdict) if !matches!(fate, Fate::DiesBeforeFollowUps) => {
                let acked = !matches!(fate, Fate::DiesBeforeAck);
                self.carry_out(message, verdict, acked).await;
            }
            // It goes back to the head of its queue.
            _ => self.desk.push(message),
        }
    }

    /// A worker that stood still goes on. Its ack comes too late.
    pub(super) async fn thaw(&mut self, pick: u8) {
        if self.frozen.is_empty() {
            return;
        }
        let place = usize::from(pick) % self.frozen.len();
        let (handling, message) = self.frozen.remove(place);
        let verdict = handling.await;
        self.publish_plan(&message, verdict).await;
    }

    async fn carry_out(&mut self, message: Message, verdict: Verdict, acked: bool) {
        if let Verdict::Hold(unavailable) = &verdict {
            panic!("the database is away: {unavailable}");
        }
        self.publish_plan(&message, verdict).await;
        if !acked {
            self.desk.push(message);
        }
    }

    /// What the consumer loop publishes (`Worker::plan` in `crates/broker`).
    async fn publish_plan(&mut self, message: &Message, verdict: Verdict) {
        let attempt = message.attempt();
        let again = |failures| Message {
            failures,
            first_seen: Some(attempt.first_seen),
            due: now()
                + verdict
                    .away_for(attempt, &message.event.id)
                    .unwrap_or_default(),
            replayed: false,
            ..message.clone()
        };
        let follow_ups = match &verdict {
            Verdict::RetryLater { .. } if attempt.number < attempt.limit => {
                return self.desk.push(again(attempt.number));
            }
            Verdict::Snooze { .. } => return self.desk.push(again(attempt.number - 1)),
            Verdict::RetryLater { failure, .. } | Verdict::GiveUp(failure) => {
                self.parked.push(message.clone());
                self.workers.give_up(message, failure).await
            }
            Verdict::Poison(failure) => panic!("{failure:?}: {message:?}"),
            Verdict::Done(follow_ups) | Verdict::Duplicate(follow_ups) => follow_ups.clone(),
            Verdict::Skipped(_) | Verdict::Hold(_) => Vec::new(),
        };
        self.publish(follow_ups);
    }

    fn publish(&mut self, messages: Vec<Outgoing>) {
        for outgoing in messages {
            for queue in outgoing.queues() {
                let event = Envelope::decode(outgoing.body()).unwrap();
                let due = now() + outgoing.delay();
                self.accept(queue, event);
                self.desk.last_mut().unwrap().due = due;
            }
        }
    }

    /// Everybody goes on in peace, until nothing waits any more.
    pub(super) async fn come_to_rest(&mut self) -> Result<(), String> {
        while !self.frozen.is_empty() {
            self.thaw(0).await;
        }
        for turn in 0..PATIENCE {
            match self.next((turn % 251) as u8) {
                Some(message) => self.deliver(message, Fate::Lives).await,
                None => {
                    moved::on(TimeDelta::hours(2));
                    if !self.sweep().await {
                        return Ok(());
                    }
                }
            }
        }
        Err(format!("it does not come to rest: {:?}", self.desk))
    }
}
