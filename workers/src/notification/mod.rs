//! Tells people and the CRM what became of their research and conversations.
//!
//! Reads `notification.delivery`. Writes effects `notify:<what>:<channel>` and the job's last
//! state. Each channel is one effect: a second run skips what is done, looks for the note before it
//! writes another, and repeats a post to `NOTIFY_WEBHOOK_URL` only with the same `webhook-id`, by
//! which its receiver knows it. A parked message means that a channel refused: the message says
//! which; the other channels were served.

mod news;

use std::time::Duration;

use broker::{Attempt, Failure, Handler, Outgoing, Unavailable, Verdict};
use chrono::TimeDelta;
use clients::{ErrorKind, Provider};
use crash_points::crash_point;
use entities::{JobId, document, effect, job};
use messages::{
    BudgetExceeded, DocumentCreated, Envelope, ReplyFailed, ResearchFailed, event_type,
};
use sea_orm::DatabaseConnection;
use serde_json::{Value, json};

use crate::halt::{
    Halt, Handled, give_up, not_there, retry_later, settled, unavailable, unless_grown_old,
    unless_paused,
};
use crate::research::submission::expect_back;

/// After this time no note or news that was started can still be on its way.
const IN_FLIGHT: TimeDelta = TimeDelta::seconds(45);

/// Tells people.
pub(crate) struct Notification {
    pub(crate) db: DatabaseConnection,
    pub(crate) hubspot: Option<clients::hubspot::Client>,
    pub(crate) notify: clients::notify::Client,
    /// Where news is posted as JSON.
    pub(crate) notify_url: Option<config::Secret>,
    /// The deal property that takes the document's address.
    pub(crate) deal_property: String,
}

impl Handler for Notification {
    async fn handle(&self, event: &Envelope, attempt: Attempt) -> Verdict {
        let verdict = settled(&self.db, self.notify(event).await).await;
        let data = event.data::<DocumentCreated>().ok();
        let job = data.map(|data| JobId(data.job_id));
        expect_back(&self.db, job, event, &verdict, attempt).await;
        verdict
    }

    async fn give_up(
        &self,
        event: &Envelope,
        failure: &Failure,
    ) -> Result<Vec<Outgoing>, Unavailable> {
        // The document is there and the job says so; that somebody was not told stands in its row
        // and in the parking lot.
        if let Ok(data) = event.data::<DocumentCreated>() {
            let error = format!("{}: {}", failure.reason, failure.detail);
            let id = JobId(data.job_id);
            let noted = job::note_error(&self.db, id, Some(&error), crate::time::now()).await;
            noted.map_err(|error| unavailable(&error))?;
        }
        Ok(Vec::new())
    }
}

impl Notification {
    async fn notify(&self, event: &Envelope) -> Handled {
        match event.event_type.as_str() {
            event_type::DOCUMENT_CREATED => {
                let data: DocumentCreated = event.data()?;
                self.document_created(JobId(data.job_id)).await
            }
            event_type::RESEARCH_FAILED => {
                let data: ResearchFailed = event.data()?;
                let job = job::find(&self.db, JobId(data.job_id)).await?;
                let news = news::research_failed(&data, job.as_ref());
                self.post(&format!("notify:{}:failed", data.job_id), &news)
                    .await
            }
            event_type::REPLY_FAILED => {
                let data: ReplyFailed = event.data()?;
                self.post(
                    &format!("notify:{}:reply_failed", data.batch_id),
                    &news::reply_failed(&data),
                )
                .await
            }
            _ => {
                let data: BudgetExceeded = event.data()?;
                let key = format!(
                    "notify:{}:budget:{}",
                    data.job_id,
                    crate::time::now().date_naive()
                );
                self.post(&key, &news::budget_exceeded(&data)).await
            }
        }
    }

    async fn document_created(&self, job_id: JobId) -> Handled {
        let Some(job) = job::find(&self.db, job_id).await? else {
            return Ok(Verdict::Skipped("unknown_job"));
        };
        let Some(document) = document::find(&self.db, job_id).await? else {
            return Ok(Verdict::Skipped("no_document"));
        };
        if job.state == job::State::Notified {
            return Ok(Verdict::Duplicate(Vec::new()));
        }
        if job.error.is_some() {
            // It was parked and is no more: the sweeper looks after the job again.
            job::note_error(&self.db, job_id, None, crate::time::now()).await?;
        }
        // Each channel by itself: one that refuses must not keep the news from the others.
        let key = format!("notify:{job_id}:webhook");
        let told = self
            .post(&key, &news::document_created(&job, &document))
            .await;
        let (updated, noted) = match (&job.deal_id, &self.hubspot) {
            (Some(deal_id), Some(hubspot)) => (
                self.update_deal(hubspot, deal_id, &job, &document).await,
                self.write_note(hubspot, deal_id, &job, &document).await,
            ),
            _ => (Ok(()), Ok(())),
        };
        // One that can still succeed comes first: parking would end its attempts too.
        let mut halts = Vec::from_iter(
            [told.err(), updated.err(), noted.err()]
                .into_iter()
                .flatten(),
        );
        halts.sort_by_key(Halt::is_final);
        if let Some(first) = halts.into_iter().next() {
            return Err(first);
        }
        job::mark_notified(&self.db, job_id, crate::time::now()).await?;
        Ok(Verdict::Done(Vec::new()))
    }

    /// Setting the same value again is harmless, so this needs no question before a repeat.
    async fn update_deal(
        &self,
        hubspot: &clients::hubspot::Client,
        deal_id: &str,
        job: &job::Model,
        document: &document::Model,
    ) -> Result<(), Halt> {
        let key = format!("notify:{}:deal", job.id);
        if let Some(effect) = effect::find(&self.db, &key).await?
            && effect.state == effect::State::Done
        {
            return Ok(());
        }
        unless_paused(&self.db, Provider::HubSpot).await?;
        effect::start(&self.db, &key, crate::time::now()).await?;
        let properties = [(self.deal_property.clone(), document.url.clone())].into();
        hubspot.update_deal(deal_id, &properties).await?;
        crash_point!("notification.delivery.deal_updated");
        effect::finish(&self.db, &key, Value::Null, crate::time::now()).await?;
        Ok(())
    }

    async fn write_note(
        &self,
        hubspot: &clients::hubspot::Client,
        deal_id: &str,
        job: &job::Model,
        document: &document::Model,
    ) -> Result<(), Halt> {
        unless_paused(&self.db, Provider::HubSpot).await?;
        let key = format!("notify:{}:note", job.id);
        let now = crate::time::now();
        let since = match effect::start(&self.db, &key, now).await? {
            effect::Start::Done { .. } => return Ok(()),
            effect::Start::Fresh => now,
            effect::Start::Started { since } => {
                let asked_at = crate::time::now();
                if let Some(note) = hubspot.find_note(deal_id, &job.id.to_string()).await? {
                    effect::finish(&self.db, &key, json!({"note_id": note}), crate::time::now())
                        .await?;
                    return Ok(());
                }
                let reasons = ["note_may_be_on_its_way", "note_was_not_written"];
                let waiting =
                    not_there(&self.db, &key, since, asked_at, IN_FLIGHT, reasons).await?;
                return Err(Halt::from(waiting));
            }
        };
        let html = news::note(job, document);
        crash_point!("notification.delivery.note_started");
        unless_grown_old(&self.db, &key, since).await?;
        let created = hubspot
            .create_note(deal_id, &html, crate::time::now())
            .await;
        crash_point!("notification.delivery.note_written");
        match created {
            Ok(note) => {
                effect::finish(&self.db, &key, json!({"note_id": note}), crate::time::now())
                    .await?;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Unknown => Err(Halt::from(retry_later(
                "hubspot_outcome_unknown",
                error.to_string(),
            ))),
            Err(error) => {
                effect::forget(&self.db, &key, since).await?;
                Err(error.into())
            }
        }
    }

    /// Posts the news with the effect's key as its id. A post of unknown outcome is repeated: only
    /// the receiver could tell, and it knows the repeat by its id.
    async fn post(&self, key: &str, news: &Value) -> Handled {
        let Some(url) = &self.notify_url else {
            return Ok(Verdict::Skipped("no_notify_webhook_url"));
        };
        unless_paused(&self.db, Provider::Notify).await?;
        let now = crate::time::now();
        match effect::start(&self.db, key, now).await? {
            effect::Start::Fresh => {}
            effect::Start::Done { .. } => return Ok(Verdict::Duplicate(Vec::new())),
            // Another worker is posting it at this moment, or has died while it did.
            effect::Start::Started { since } => {
                if crate::time::now() - since >= IN_FLIGHT {
                    effect::forget(&self.db, key, since).await?;
                }
                return Err(Halt::from(Verdict::Snooze {
                    reason: "news_may_be_on_its_way",
                    delay: Duration::from_secs(5),
                }));
            }
        }
        crash_point!("notification.delivery.post_started");
        let posted = self.notify.post(url.expose(), key, news).await;
        crash_point!("notification.delivery.posted");
        let error = match posted {
            Ok(()) => {
                effect::finish(&self.db, key, Value::Null, crate::time::now()).await?;
                return Ok(Verdict::Done(Vec::new()));
            }
            Err(error) => error,
        };
        effect::forget(&self.db, key, now).await?;
        match error.kind() {
            ErrorKind::Permanent { .. } | ErrorKind::NotFound | ErrorKind::Unauthorized => {
                let detail = format!("{error}; see NOTIFY_WEBHOOK_URL");
                Err(Halt::from(give_up("notify_refused", detail)))
            }
            ErrorKind::NotDone { .. } | ErrorKind::Unknown => Err(error.into()),
        }
    }
}
