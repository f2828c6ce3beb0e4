//! Waiting until something has happened, and counting what happened outside.

use std::time::Duration;

use entities::{ContactId, JobId, batch, job};
use sandbox::{Effect, EffectKind};
use serde_json::{Value, json};
use test_support::eventually;
use uuid::Uuid;

use crate::World;

/// The longest that any one step takes, retries on the 30 s lane included. Only a test that fails
/// waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(50);

impl World {
    /// All effects of one kind, oldest first.
    #[must_use]
    pub fn effects(&self, kind: EffectKind) -> Vec<Effect> {
        let effects = self.sandbox.effects().into_iter();
        effects.filter(|effect| effect.kind == kind).collect()
    }

    /// The messages that went out to a contact.
    #[must_use]
    pub fn sent_to(&self, contact: &str) -> Vec<String> {
        let text = |effect: Effect| effect.detail["text"].as_str().map(str::to_owned);
        let sent = self.effects(EffectKind::MessagesSent).into_iter();
        sent.filter(|effect| effect.subject == contact)
            .filter_map(text)
            .collect()
    }

    /// The news of one kind (`document.created`, `research.failed`, …) that people were sent.
    #[must_use]
    pub fn news(&self, event: &str) -> Vec<Value> {
        let news = self.effects(EffectKind::Notifications).into_iter();
        news.map(|effect| effect.detail)
            .filter(|news| news["event"] == event)
            .collect()
    }

    /// How many requests a route of the stand-ins has met; `route` is the start of `METHOD path`.
    #[must_use]
    pub fn requests(&self, route: &str) -> usize {
        let received = self.sandbox.received(None);
        let names = received
            .iter()
            .map(|request| format!("{} {}", request.method, request.path));
        names.filter(|name| name.starts_with(route)).count()
    }

    /// Waits until a condition holds.
    ///
    /// # Panics
    /// When it does not in time.
    pub async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        eventually(what, PATIENCE, async || {
            if condition(self) { Ok(()) } else { Err(()) }
        })
        .await;
    }

    /// Waits until the gateway can have webhooks confirmed by the broker.
    pub(crate) async fn until_ready(&self) {
        let answer = self.get("/health/ready").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// Waits until the job is in this state, and returns what `/job-status` says.
    ///
    /// # Panics
    /// When it is not in time.
    pub async fn until_job(&self, id: &str, state: job::State) -> Value {
        let job: JobId = id.parse().expect("this is a job's id");
        eventually(
            &format!("job {state:?}"),
            PATIENCE,
            async || match job::find(&self.db, job)
                .await
                .expect("the database answers")
            {
                Some(job) if job.state == state => Ok(()),
                other => Err(other),
            },
        )
        .await;
        let answer = self.get(&format!("/job-status/{id}")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    /// Waits until research was submitted for one job, and returns its id.
    ///
    /// # Panics
    /// When it is not in time, or for several jobs.
    pub async fn until_submitted(&self) -> String {
        self.until("a submission", |world| {
            !world.effects(EffectKind::ResearchSubmissions).is_empty()
        })
        .await;
        let submissions = self.effects(EffectKind::ResearchSubmissions);
        let job = &submissions[0].subject;
        assert!(submissions.iter().all(|effect| effect.subject == *job));
        job.clone()
    }

    /// The job's row.
    ///
    /// # Panics
    /// When there is none.
    pub async fn job(&self, id: &str) -> job::Model {
        let id: JobId = id.parse().expect("this is a job's id");
        let job = job::find(&self.db, id).await;
        job.expect("the database answers").expect("the job exists")
    }

    /// Waits until the contact's latest batch is in this state, and returns it.
    ///
    /// # Panics
    /// When it is not in time.
    pub async fn until_batch(&self, contact: &str, state: batch::State) -> batch::Model {
        let id = ContactId(contact.to_owned());
        eventually(&format!("batch {state:?}"), PATIENCE, async || {
            let latest = batch::latest_of_contact(&self.db, &id).await;
            match latest.expect("the database answers") {
                Some(batch) if batch.state == state => Ok(batch),
                other => Err(other),
            }
        })
        .await
    }

    /// Waits until the contact's open batch holds this many messages, and returns it.
    ///
    /// # Panics
    /// When it does not in time.
    pub async fn until_open(&self, contact: &str, messages: i32) -> batch::Model {
        let id = ContactId(contact.to_owned());
        eventually("an open batch", PATIENCE, async || {
            let open = batch::open_of_contact(&self.db, &id).await;
            match open.expect("the database answers") {
                Some(batch) if batch.sequence == messages => Ok(batch),
                other => Err(other),
            }
        })
        .await
    }

    /// Closes the contact's batch now, once it holds this many messages.
    ///
    /// # Panics
    /// When there is no such batch in time.
    pub async fn close_batch(&self, contact: &str, messages: i32) {
        self.until_open(contact, messages).await;
        let path = format!("/force-process-batch/{contact}");
        let answer = self.post(&path, &json!({})).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// Waits until everything that was in the chat queues has been handled: somebody new writes,
    /// and is answered. The queues are read in order.
    pub async fn until_chat_is_handled(&self) {
        let contact = format!("latecomer-{}", Uuid::new_v4().simple());
        self.contact_writes(&contact, "Anybody there?").await;
        self.close_batch(&contact, 1).await;
        self.until_batch(&contact, batch::State::Replied).await;
    }

    /// Waits until everything that was in the research queues has been handled: research on
    /// somebody new is asked for, and done.
    pub async fn until_research_is_handled(&self) {
        let company = Uuid::new_v4().to_string();
        let body = json!({"companyId": company, "company": {"name": "Latecomer"}});
        let job = self.generate(&body, None).await;
        self.until_job(&job, job::State::Notified).await;
    }
}
