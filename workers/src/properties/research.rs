//! Research jobs: submitted once, again only behind every webhook that has come; one document, one
//! note; every job ends.

use std::collections::{BTreeMap, BTreeSet};

use broker::WorkQueue;
use chrono::{DateTime, TimeDelta, Utc};
use entities::JobId;
use entities::job::{self, State};
use messages::{DealStageChanged, Envelope, ResponseEnded, event_type};
use proptest::collection::vec;
use proptest::prelude::*;
use sandbox::environment::TRIGGER_STAGE;
use sandbox::{EffectKind, Fault, FaultKind, Provider};
use sea_orm::{DatabaseConnection, EntityTrait as _};
use serde_json::json;
use test_support::Database;

use super::fate::{Fate, fate};
use super::misbehaviour::{misbehaviour, new_fault};
use super::on;
use super::world::World;
use crate::time::{moved, now};

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// A deal reaches its stage; the webhook comes this often.
    ReachesStage { deal: i64, times: u8 },
    /// The research that is submitted next ends like this.
    WillEnd {
        status: &'static str,
        code: &'static str,
    },
    /// OpenAI tells the end of a response, perhaps once more.
    Tells { pick: u8 },
    /// Time passes.
    Waits { minutes: i64 },
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
    let ending = prop_oneof![
        Just(("failed", "server_error")),
        Just(("failed", "invalid_prompt")),
        Just(("incomplete", "max_output_tokens")),
        Just(("cancelled", "")),
    ];
    prop_oneof![
        3 => (1..3i64, 1..=2u8).prop_map(|(deal, times)| Step::ReachesStage { deal, times }),
        1 => ending.prop_map(|(status, code)| Step::WillEnd { status, code }),
        4 => any::<u8>().prop_map(|pick| Step::Tells { pick }),
        2 => (1..90i64).prop_map(|minutes| Step::Waits { minutes }),
        16 => (any::<u8>(), fate()).prop_map(|(pick, fate)| Step::Delivers { pick, fate }),
        2 => any::<u8>().prop_map(|pick| Step::Thaws { pick }),
        4 => fault().prop_map(|fault| Step::Misbehaves { fault }),
        1 => Just(Step::Replays),
        1 => any::<u8>().prop_map(|pick| Step::Loses { pick }),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    let route = prop_oneof![
        4 => Just((Provider::OpenAi, "POST /v1/responses")),
        2 => Just((Provider::OpenAi, "GET /v1/responses")),
        1 => Just((Provider::HubSpot, "GET /crm")),
        2 => Just((Provider::HubSpot, "POST /crm/v3/objects/notes")),
        1 => Just((Provider::HubSpot, "PATCH /crm")),
        2 => Just((Provider::Google, "POST /drive")),
        1 => Just((Provider::Google, "POST /v1/documents")),
        1 => Just((Provider::Notify, "POST")),
    ];
    (route, misbehaviour()).prop_map(|((provider, route), kind)| new_fault(provider, route, kind))
}

/// A story with what was seen while it was played.
struct Story {
    world: World,
    deals: BTreeSet<i64>,
    /// Responses whose end OpenAI has told, and when it did first.
    told: BTreeMap<String, DateTime<Utc>>,
    /// Whether every response ends well.
    all_end_well: bool,
    /// The responses of each job, as far as they were seen.
    submissions: BTreeMap<String, Vec<String>>,
}

impl Story {
    async fn new(db: &DatabaseConnection) -> Self {
        Self {
            world: World::new(db).await,
            deals: BTreeSet::new(),
            told: BTreeMap::new(),
            all_end_well: true,
            submissions: BTreeMap::new(),
        }
    }

    async fn go(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::ReachesStage { deal, times } => self.reaches_stage(*deal, *times).await,
            Step::WillEnd { status, code } => {
                self.all_end_well = false;
                let ending = json!({"status": status, "code": code});
                self.world.play("/sandbox/openai/next", &ending).await;
            }
            Step::Tells { pick } => {
                let responses = self.responses();
                if !responses.is_empty() {
                    self.tell(&responses[usize::from(*pick) % responses.len()]);
                }
            }
            Step::Waits { minutes } => moved::on(TimeDelta::minutes(*minutes)),
            Step::Delivers { pick, fate } => self.deliver(*pick, *fate).await?,
            Step::Thaws { pick } => {
                self.world.thaw(*pick).await;
                self.see_submissions();
            }
            Step::Misbehaves { fault } => self.world.sandbox.add_fault(fault.clone()),
            Step::Replays => self.world.replay(),
            Step::Loses { pick } => {
                if let Some(event) = self.world.lose(*pick)
                    && let Ok(data) = event.data::<ResponseEnded>()
                {
                    self.told.remove(&data.response_id);
                }
            }
        }
        Ok(())
    }

    async fn reaches_stage(&mut self, deal: i64, times: u8) {
        let id = 700 + deal;
        let company = format!("Company {deal}");
        let body = json!({"id": id.to_string(), "properties": {"dealname": company},
                          "companies": [{"properties": {"name": company}}]});
        if self.deals.insert(id) {
            self.world.play("/sandbox/hubspot/deals", &body).await;
        }
        let data = DealStageChanged {
            portal_id: 1,
            deal_id: id,
            stage: TRIGGER_STAGE.to_owned(),
            occurred_at_ms: 1,
            extra: serde_json::Map::new(),
        };
        let event_id = format!("deal-{id}");
        let event = Envelope::new(
            event_type::DEAL_STAGE_CHANGED,
            event_id,
            "/webhook",
            now(),
            &data,
        );
        for _ in 0..times {
            self.world
                .accept(WorkQueue::ResearchSubmission, event.clone());
        }
    }

    /// All responses that were created, oldest first.
    fn responses(&self) -> Vec<String> {
        let created = self.world.effects(EffectKind::ResearchSubmissions);
        let id =
            |effect: &sandbox::Effect| effect.detail["response_id"].as_str().map(str::to_owned);
        created.iter().filter_map(id).collect()
    }

    fn tell(&mut self, response: &str) {
        let data = ResponseEnded {
            response_id: response.to_owned(),
            event_id: None,
            extra: serde_json::Map::new(),
            created_at: None,
        };
        // The worker asks OpenAI how it ended; the type says nothing that it believes.
        let event = Envelope::new(
            event_type::RESPONSE_COMPLETED,
            format!("told-{response}"),
            "/webhook",
            now(),
            &data,
        );
        self.told.entry(response.to_owned()).or_insert_with(now);
        self.world.accept(WorkQueue::ResearchCompletion, event);
    }

    async fn deliver(&mut self, pick: u8, fate: Fate) -> Result<(), String> {
        let Some(message) = self.world.next(pick) else {
            return Ok(());
        };
        let is_question = message.event.event_type == event_type::RESUBMISSION_DUE;
        let came = message.due;
        let attempts_before = self.attempts().await;
        self.world.deliver(message, fate).await;
        // A response that failed is followed by another submission.
        if is_question && self.all_end_well {
            self.nothing_was_overtaken(&attempts_before, came).await?;
        }
        self.see_submissions();
        Ok(())
    }

    async fn attempts(&self) -> BTreeMap<JobId, i32> {
        let jobs = job::Entity::find().all(&self.world.db).await.unwrap();
        jobs.into_iter().map(|job| (job.id, job.attempt)).collect()
    }

    /// A question whether to submit again, which came into its queue at `came`, has been answered: with
    /// yes only if no webhook of the job's submissions stood before it.
    async fn nothing_was_overtaken(
        &self,
        before: &BTreeMap<JobId, i32>,
        came: DateTime<Utc>,
    ) -> Result<(), String> {
        for (job, attempt) in self.attempts().await {
            if before.get(&job) == Some(&attempt) {
                continue;
            }
            let submitted = self.submissions.get(&job.to_string());
            let told =
                |response: &&String| self.told.get(*response).is_some_and(|told| *told < came);
            if let Some(response) = submitted.into_iter().flatten().find(told) {
                return Err(format!(
                    "{job} may be submitted again, and the end of {response} is told"
                ));
            }
        }
        Ok(())
    }

    fn see_submissions(&mut self) {
        self.submissions.clear();
        for effect in self.world.effects(EffectKind::ResearchSubmissions) {
            let response = effect.detail["response_id"].as_str().unwrap_or_default();
            let of_job = self.submissions.entry(effect.subject).or_default();
            of_job.push(response.to_owned());
        }
    }

    /// At the end: one of everything, and every job has ended.
    async fn judge(&mut self) -> Result<(), String> {
        for kind in [EffectKind::DocumentsCreated, EffectKind::NotesCreated] {
            let mut seen: BTreeMap<String, usize> = BTreeMap::new();
            for effect in self.world.effects(kind) {
                *seen.entry(effect.subject).or_default() += 1;
            }
            if let Some((subject, times)) = seen.iter().find(|(_, times)| **times > 1) {
                return Err(format!("{kind:?}: {times} for {subject}"));
            }
        }
        let jobs = job::Entity::find().all(&self.world.db).await.unwrap();
        if jobs.len() != self.deals.len() {
            return Err(format!(
                "{} deals became {} jobs",
                self.deals.len(),
                jobs.len()
            ));
        }
        for job in jobs {
            let documents = self.world.effects(EffectKind::DocumentsCreated);
            let documents = documents
                .iter()
                .filter(|made| made.subject == job.id.to_string());
            let expected = match job.state {
                State::Notified => 1,
                State::Failed | State::Cancelled => 0,
                state => {
                    let (id, error) = (job.id, &job.error);
                    return Err(format!("nothing waits, and {id} is {state:?}: {error:?}"));
                }
            };
            // A document of the same company may have been used again.
            if documents.count() > expected {
                return Err(format!("{} has a document and is {:?}", job.id, job.state));
            }
        }
        Ok(())
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
fn every_job_is_submitted_once_and_ends_on_sqlite() {
    on(Database::sqlite(), 40, &stories(), play);
}

#[test]
fn every_job_is_submitted_once_and_ends_on_postgres() {
    on(Database::postgres(), 10, &stories(), play);
}

/// One deal whose submission OpenAI takes and does not answer.
async fn unanswered(db: &DatabaseConnection, steps: &[Step]) -> Story {
    let mut story = Story::new(db).await;
    for step in steps {
        story.go(step).await.unwrap();
    }
    let lost_answer = new_fault(
        Provider::OpenAi,
        "POST /v1/responses",
        (FaultKind::DropAfter, 0, 1),
    );
    for step in [
        Step::ReachesStage { deal: 1, times: 1 },
        Step::Misbehaves { fault: lost_answer },
        Step::Delivers {
            pick: 0,
            fate: Fate::Lives,
        },
    ] {
        story.go(&step).await.unwrap();
    }
    assert_eq!(story.responses().len(), 1);
    story
}

async fn state(story: &Story) -> State {
    let job = job::Entity::find().one(&story.world.db).await.unwrap();
    job.unwrap().state
}

#[tokio::test]
async fn a_webhook_that_nobody_could_follow_up_is_not_overtaken_by_a_second_submission() {
    let database = Database::sqlite().await;
    let mut story = unanswered(&database.connect().await, &[]).await;
    story.go(&Step::Tells { pick: 0 }).await.unwrap();
    // The webhook waits in lanes for an hour, past the question whether to submit again.
    let away = new_fault(
        Provider::OpenAi,
        "GET /v1/responses",
        (FaultKind::Status, 503, 5),
    );
    story.go(&Step::Misbehaves { fault: away }).await.unwrap();

    story.world.come_to_rest().await.unwrap();

    assert_eq!(story.responses().len(), 1);
    assert_eq!(state(&story).await, State::Notified);
    story.world.come_to_an_end().await.unwrap();
    story.judge().await.unwrap();
}

#[tokio::test]
async fn a_submission_of_which_nothing_is_heard_is_repeated_and_given_up_in_the_end() {
    let database = Database::sqlite().await;
    let mut story = unanswered(&database.connect().await, &[]).await;
    let deaf = new_fault(
        Provider::OpenAi,
        "POST /v1/responses",
        (FaultKind::DropBefore, 0, 9),
    );
    story.go(&Step::Misbehaves { fault: deaf }).await.unwrap();

    story.world.come_to_rest().await.unwrap();

    assert_eq!(state(&story).await, State::Failed);
    assert_eq!(story.world.parked.len(), 1);
    let asked = story.world.sandbox.received(Some(Provider::OpenAi));
    let submissions = asked.iter().filter(|request| request.method == "POST");
    assert_eq!(submissions.count(), 3);
}

#[tokio::test]
async fn the_failure_of_an_earlier_submission_leaves_the_present_one_alone() {
    let database = Database::sqlite().await;
    let fails = Step::WillEnd {
        status: "failed",
        code: "server_error",
    };
    let mut story = unanswered(&database.connect().await, &[fails]).await;
    while story.responses().len() < 2 {
        story.deliver(0, Fate::Lives).await.unwrap();
    }
    let before = state(&story).await;

    story.go(&Step::Tells { pick: 0 }).await.unwrap();
    story.deliver(0, Fate::Lives).await.unwrap();

    assert_eq!(
        (before, state(&story).await),
        (State::Submitted, State::Submitted)
    );
    story.world.come_to_an_end().await.unwrap();
    assert_eq!(story.responses().len(), 2);
    assert_eq!(state(&story).await, State::Notified);
}

#[tokio::test]
async fn news_that_was_parked_and_replayed_is_driven_on_when_the_broker_loses_it() {
    let database = Database::sqlite().await;
    let mut story = Story::new(&database.connect().await).await;
    // Refused until it is parked, and once more after its replay.
    let refuses = (FaultKind::Status, 503, 7);
    let fault = new_fault(Provider::HubSpot, "PATCH /crm", refuses);
    story.go(&Step::Misbehaves { fault }).await.unwrap();
    let reached = Step::ReachesStage { deal: 1, times: 1 };
    story.go(&reached).await.unwrap();
    story.world.come_to_rest().await.unwrap();
    assert_eq!(
        (state(&story).await, story.world.parked.len()),
        (State::Documented, 1)
    );

    story.world.replay();
    story.deliver(0, Fate::Lives).await.unwrap();
    let lost = story.world.lose(0).unwrap();

    assert_eq!(lost.event_type, event_type::DOCUMENT_CREATED);
    story.world.come_to_an_end().await.unwrap();
    story.judge().await.unwrap();
}
