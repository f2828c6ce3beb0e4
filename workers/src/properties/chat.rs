//! Messages and replies: each message is answered once, or there is a reason why not.

use std::collections::{BTreeMap, BTreeSet};

use broker::WorkQueue;
use chrono::TimeDelta;
use entities::batch::{self, State};
use entities::{BatchId, ContactId, message, reply};
use messages::{ContactChanged, ContactDetails, Envelope, MessageReceived, event_type};
use proptest::collection::vec;
use proptest::prelude::*;
use sandbox::{EffectKind, Fault, FaultKind, Provider};
use sea_orm::{DatabaseConnection, EntityTrait as _};
use serde_json::json;
use test_support::Database;

use super::fate::{Fate, fate};
use super::misbehaviour::{misbehaviour, new_fault};
use super::on;
use super::world::World;
use crate::time::{moved, now};

const CONTACTS: [&str; 2] = ["ada", "bob"];

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// A contact writes; the webhook comes this often.
    Writes { contact: usize, times: u8 },
    /// A contact sends one of the words that mean something by themselves.
    Says { contact: usize, word: &'static str },
    /// A person of the business answers by hand.
    PersonAnswers { contact: usize },
    /// HighLevel says that the contact wants to be left alone, or no longer so.
    DoNotDisturb { contact: usize, on: bool },
    /// Time passes.
    Waits { seconds: i64 },
    /// A worker takes a message.
    Delivers { pick: u8, fate: Fate },
    /// A worker that stood still goes on.
    Thaws { pick: u8 },
    /// A provider misbehaves.
    Misbehaves { fault: Fault },
    /// A person replays what is parked.
    Replays,
    /// The broker loses a message.
    Loses { pick: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let contact = 0..CONTACTS.len();
    prop_oneof![
        4 => (contact.clone(), 1..=2u8).prop_map(|(contact, times)| Step::Writes { contact, times }),
        1 => (contact.clone(), prop_oneof![Just("STOP"), Just("START")])
            .prop_map(|(contact, word)| Step::Says { contact, word }),
        1 => contact.clone().prop_map(|contact| Step::PersonAnswers { contact }),
        1 => (contact, any::<bool>()).prop_map(|(contact, on)| Step::DoNotDisturb { contact, on }),
        3 => (1..40i64).prop_map(|seconds| Step::Waits { seconds }),
        16 => (any::<u8>(), fate()).prop_map(|(pick, fate)| Step::Delivers { pick, fate }),
        2 => any::<u8>().prop_map(|pick| Step::Thaws { pick }),
        3 => fault().prop_map(|fault| Step::Misbehaves { fault }),
        1 => Just(Step::Replays),
        1 => any::<u8>().prop_map(|pick| Step::Loses { pick }),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    let route = prop_oneof![
        Just((Provider::OpenAi, "POST /v1/responses")),
        Just((Provider::HighLevel, "POST /conversations/messages")),
        Just((Provider::HighLevel, "POST /conversations/messages")),
        Just((Provider::HighLevel, "GET /conversations")),
        Just((Provider::HighLevel, "GET /contacts")),
    ];
    (route, misbehaviour()).prop_map(|((provider, route), kind)| new_fault(provider, route, kind))
}

/// A story with what was seen while it was played.
struct Story {
    world: World,
    /// The text of each message that wants an answer, in the order they were written.
    written: Vec<(usize, String)>,
    /// Contacts whose wish to be left alone was stored before the present delivery began.
    left_alone: BTreeSet<String>,
    events: u32,
}

impl Story {
    async fn new(db: &DatabaseConnection) -> Self {
        let world = World::new(db).await;
        for contact in CONTACTS {
            let body = json!({"id": contact, "phone": "+15550100"});
            world.play("/sandbox/highlevel/contacts", &body).await;
        }
        Self {
            world,
            written: Vec::new(),
            left_alone: BTreeSet::new(),
            events: 0,
        }
    }

    async fn go(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Writes { contact, times } => {
                let text = format!("Question {:05} for you", self.events);
                let event = self.message(*contact, &text, false);
                self.written.push((*contact, text));
                for _ in 0..*times {
                    self.world.accept(WorkQueue::ChatIntake, event.clone());
                }
            }
            Step::Says { contact, word } => {
                let event = self.message(*contact, word, false);
                self.world.accept(WorkQueue::ChatIntake, event);
            }
            Step::PersonAnswers { contact } => {
                let event = self.message(*contact, "I answer that myself.", true);
                self.world.accept(WorkQueue::ChatIntake, event);
            }
            Step::DoNotDisturb { contact, on } => {
                let data = ContactChanged {
                    contact_id: CONTACTS[*contact].to_owned(),
                    location_id: None,
                    contact: ContactDetails::default(),
                    dnd: Some(*on),
                    dnd_channels: None,
                    original: serde_json::Map::new(),
                };
                let event = self.event(event_type::CONTACT_DND_CHANGED, &data);
                self.world.accept(WorkQueue::ChatIntake, event);
            }
            Step::Waits { seconds } => moved::on(TimeDelta::seconds(*seconds)),
            Step::Delivers { pick, fate } => {
                if let Some(message) = self.world.next(*pick) {
                    let sent_before = self.sent().len();
                    self.note_who_is_left_alone().await;
                    self.world.deliver(message, *fate).await;
                    self.nobody_is_disturbed(sent_before)?;
                }
            }
            Step::Thaws { pick } => self.world.thaw(*pick).await,
            Step::Misbehaves { fault } => self.world.sandbox.add_fault(fault.clone()),
            Step::Replays => self.world.replay(),
            Step::Loses { pick } => {
                self.world.lose(*pick);
            }
        }
        Ok(())
    }

    /// Workers take everything whose time has come.
    async fn deliver_due(&mut self) {
        while self.world.is_due() {
            let message = self.world.next(0).unwrap();
            self.world.deliver(message, Fate::Lives).await;
        }
    }

    fn message(&mut self, contact: usize, text: &str, by_person: bool) -> Envelope {
        let data = MessageReceived {
            contact_id: CONTACTS[contact].to_owned(),
            location_id: None,
            conversation_id: None,
            message_id: Some(format!("message-{}", self.events)),
            email_message_id: None,
            channel: "SMS".to_owned(),
            conversation_provider_id: None,
            subject: None,
            text: text.to_owned(),
            attachments: Vec::new(),
            user_id: by_person.then(|| "person".to_owned()),
            sent_from: None,
            sent_at: now(),
            contact: ContactDetails::default(),
            original: serde_json::Map::new(),
        };
        let event_type = if by_person {
            event_type::MESSAGE_SENT
        } else {
            event_type::MESSAGE_RECEIVED
        };
        self.event(event_type, &data)
    }

    fn event<T: serde::Serialize>(&mut self, event_type: &str, data: &T) -> Envelope {
        self.events += 1;
        let id = format!("event-{}", self.events);
        Envelope::new(event_type, id, "/webhook", now(), data)
    }

    /// Contact and text of each message that went out.
    fn sent(&self) -> Vec<(String, String)> {
        let effects = self.world.effects(EffectKind::MessagesSent).into_iter();
        effects
            .map(|effect| {
                let text = effect.detail["text"].as_str().unwrap_or_default();
                (effect.subject, text.to_owned())
            })
            .collect()
    }

    async fn note_who_is_left_alone(&mut self) {
        let contacts = entities::contact::Entity::find();
        let contacts = contacts.all(&self.world.db).await.unwrap().into_iter();
        self.left_alone = contacts
            .filter(|contact| contact.dnd || contact.opted_out_at.is_some())
            .map(|contact| contact.id.0)
            .collect();
    }

    /// Nothing is sent to a contact who had opted out before the worker began.
    fn nobody_is_disturbed(&self, sent_before: usize) -> Result<(), String> {
        let disturbed = self.sent().split_off(sent_before).into_iter();
        match disturbed
            .into_iter()
            .find(|(contact, _)| self.left_alone.contains(contact))
        {
            Some((contact, text)) => Err(format!("{contact} opted out and got {text:?}")),
            None => Ok(()),
        }
    }

    /// At the end: every message answered once, or with its reason.
    async fn judge(&mut self) -> Result<(), String> {
        let db = &self.world.db;
        let batches: BTreeMap<BatchId, batch::Model> = batch::Entity::find()
            .all(db)
            .await
            .unwrap()
            .into_iter()
            .map(|batch| (batch.id, batch))
            .collect();
        let replies = reply::Entity::find().all(db).await.unwrap();
        let messages = message::Entity::find().all(db).await.unwrap();
        for batch in batches.values() {
            if matches!(batch.state, State::Open | State::Closed) {
                return Err(format!("nothing waits, and a batch does: {batch:?}"));
            }
        }
        let mut sent: BTreeMap<BatchId, usize> = BTreeMap::new();
        for (contact, text) in self.sent() {
            let of_contact = |reply: &&reply::Model| {
                reply.text == text && batches[&reply.batch_id].contact_id.0 == contact
            };
            // Two batches may be answered in the same words.
            let times = |reply: &&reply::Model| sent.get(&reply.batch_id).copied().unwrap_or(0);
            let Some(reply) = replies.iter().filter(of_contact).min_by_key(times) else {
                return Err(format!("{contact} got {text:?}, which answers no batch"));
            };
            *sent.entry(reply.batch_id).or_default() += 1;
        }
        if let Some((batch, times)) = sent.iter().find(|(_, times)| **times > 1) {
            return Err(format!("batch {batch} got {times} replies"));
        }
        for batch in sent.keys() {
            if batches[batch].state != State::Replied {
                return Err(format!(
                    "a reply went out, and the batch is {:?}",
                    batches[batch]
                ));
            }
        }
        let answered = self.answered(&sent);
        for (contact, text) in &self.written {
            let Some(message) = messages.iter().find(|message| message.text == *text) else {
                return Err(format!("{text:?} was not stored"));
            };
            let times = |certainly: bool| {
                let by = answered.values().filter(|shown| {
                    let mut holds = shown.iter().map(|shown| shown.contains(text));
                    if certainly {
                        holds.all(|holds| holds)
                    } else {
                        holds.any(|holds| holds)
                    }
                });
                by.count()
            };
            if times(true) > 1 {
                return Err(format!("{text:?} was answered {} times", times(true)));
            }
            if times(false) > 0 {
                continue;
            }
            let own = &batches[&message.batch_id.unwrap()];
            // Superseded ones are answered, or ended, by a later batch.
            let mut heirs = batches.values().filter(|batch| {
                batch.contact_id == ContactId::from(CONTACTS[*contact])
                    && batch.opened_at >= own.opened_at
            });
            if !heirs.any(|batch| matches!(batch.state, State::Suppressed | State::Failed)) {
                return Err(format!("{text:?} was never answered: {own:?}"));
            }
        }
        Ok(())
    }

    /// What each reply that went out answers: the last item that the model was shown. More than one
    /// where several workers, one after another, asked for the same batch; one of them was sent.
    fn answered(&self, sent: &BTreeMap<BatchId, usize>) -> BTreeMap<BatchId, Vec<String>> {
        let mut answered: BTreeMap<BatchId, Vec<String>> = BTreeMap::new();
        for request in self.world.sandbox.received(Some(Provider::OpenAi)) {
            let body = &request.body;
            let batch = body["metadata"]["batch_id"].as_str();
            let Some(batch) = batch.and_then(|batch| batch.parse().ok()).map(BatchId) else {
                continue;
            };
            let mut items = body["input"].as_array().into_iter().flatten();
            let from_user = |item: &&serde_json::Value| item["role"] == "user";
            let last = items.rfind(from_user);
            let last = last.map_or_else(String::new, |item| item["content"].to_string());
            answered.entry(batch).or_default().push(last);
        }
        answered.retain(|batch, _| sent.contains_key(batch));
        answered
    }
}

async fn play(db: DatabaseConnection, steps: Vec<Step>) -> Result<(), String> {
    let mut story = Story::new(&db).await;
    for step in &steps {
        story.go(step).await?;
    }
    story.world.come_to_an_end().await?;
    story.judge().await
}

fn stories() -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 10..60)
}

#[test]
fn every_message_is_answered_once_on_sqlite() {
    on(Database::sqlite(), 40, &stories(), play);
}

#[test]
fn every_message_is_answered_once_on_postgres() {
    on(Database::postgres(), 10, &stories(), play);
}

#[tokio::test]
async fn a_batch_that_had_failed_is_not_answered_again_by_itself_after_the_next_one_has() {
    let database = Database::sqlite().await;
    let mut story = Story::new(&database.connect().await).await;
    let writes = Step::Writes {
        contact: 0,
        times: 1,
    };
    let refused = new_fault(
        Provider::OpenAi,
        "POST /v1/responses",
        (FaultKind::Status, 400, 1),
    );
    story.world.sandbox.add_fault(refused);
    // The contact never pauses, so the first batch closes by its deadline.
    for _ in 0..4 {
        story.go(&writes).await.unwrap();
        story.deliver_due().await;
        story.go(&Step::Waits { seconds: 25 }).await.unwrap();
        story.deliver_due().await;
    }
    assert_eq!(story.world.parked.len(), 1, "its reply was refused");
    story.go(&writes).await.unwrap();
    story.world.come_to_rest().await.unwrap();
    assert_eq!(story.sent().len(), 1, "the next batch answers everything");

    story.world.come_to_an_end().await.unwrap();

    assert_eq!(story.sent().len(), 1);
    story.judge().await.unwrap();
}
