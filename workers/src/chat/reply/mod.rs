//! One reply to each closed batch.
//!
//! Reads `chat.reply`. Writes the reply, the effect `reply:<batch>:send` and the batch's end. The
//! reply is generated once and stored before it is sent; the send goes through the ledger, so a
//! second run finds it done, or asks HighLevel before it sends again. A parked message means that
//! OpenAI or HighLevel refused, or stayed away for all attempts: replay it when they are back. One
//! parked as `reply_refused` had two answers of the model that may not be sent (`check.rs`): a person
//! answers the contact, or a replay asks the model again.

mod briefing;
mod check;
mod claim;
mod conversation;
mod earlier;
mod generate;
pub(crate) mod links;
mod record;
mod send;

use std::sync::Arc;
use std::time::Duration;

use broker::{Attempt, Failure, Handler, Outgoing, Unavailable, Verdict};
use clients::Provider;
use clients::highlevel::Channel;
use entities::batch::{self, Outcome, State};
use entities::reply::{self, NewReply};
use entities::{BatchId, ContactId, contact, effect, message};
use messages::{BatchClosed, Envelope};
use sea_orm::DatabaseConnection;
use tokio::time::Instant;
use tracing::warn;

use self::briefing::{Briefing, brief};
use self::claim::{Claim, Claiming, effect_key};
use self::record::Sent;
pub(crate) use self::send::IN_FLIGHT;
use crate::chat::precedence::Closings;
use crate::follow_ups::reply_failed;
use crate::group_commit::{GroupCommit, nothing};
use crate::halt::{Halt, Handled, configured, paused, settled, unavailable};
use crate::prices::Prices;

/// The text as it may be sent on the channel that a webhook names, or why not; `None` for a channel
/// that is not answered.
#[must_use]
pub fn check_reply(
    channel: &str,
    text: &str,
    allowed_hosts: Option<&[String]>,
) -> Option<Result<String, String>> {
    let rules = check::Rules {
        channel: Channel::from_webhook(channel)?,
        instructions: crate::config::REPLY_PROMPT,
        allowed_hosts,
    };
    Some(rules.check(text).map_err(|refusal| refusal.to_string()))
}

/// How replies are made.
#[derive(Debug, Clone)]
pub(crate) struct ReplySettings {
    /// The model.
    pub(crate) model: String,
    /// Reasoning effort, where the model has one.
    pub(crate) effort: Option<String>,
    /// Bound on output tokens, reasoning included.
    pub(crate) max_output_tokens: u32,
    /// How many earlier messages the model sees.
    pub(crate) history_messages: u64,
    /// How many tokens of earlier messages the model sees, roughly.
    pub(crate) history_tokens: usize,
    /// The system-level text.
    pub(crate) instructions: String,
    /// The hosts that links in replies may lead to; `None` does not check.
    pub(crate) allowed_link_hosts: Option<Vec<String>>,
}

/// Answers closed batches.
pub(crate) struct Reply {
    pub(crate) db: DatabaseConnection,
    pub(crate) openai: Option<clients::openai::Client>,
    pub(crate) highlevel: Option<clients::highlevel::Client>,
    pub(crate) settings: ReplySettings,
    pub(crate) prices: Arc<Prices>,
    pub(crate) groups: Groups,
    /// What replies give way to.
    pub(crate) closings: Arc<Closings>,
}

/// What is done together for replies that are made at the same time.
#[derive(Default)]
pub(crate) struct Groups {
    briefing: GroupCommit<BatchId, Option<Briefing>>,
    histories: GroupCommit<batch::Model, Vec<message::Model>>,
    storing: GroupCommit<NewReply, reply::Model>,
    claiming: GroupCommit<Claiming, Claim>,
    recording: GroupCommit<Sent, bool>,
}

impl Handler for Reply {
    async fn handle(&self, event: &Envelope, attempt: Attempt) -> Verdict {
        let verdict = settled(&self.db, self.reply(event).await).await;
        self.expect_back(event, &verdict, attempt).await;
        verdict
    }

    async fn give_up(
        &self,
        event: &Envelope,
        failure: &Failure,
    ) -> Result<Vec<Outgoing>, Unavailable> {
        let Ok(data) = event.data::<BatchClosed>() else {
            return Ok(Vec::new());
        };
        let batch_id = BatchId(data.batch_id);
        let failed = async {
            let reason = Some(failure.reason);
            let now = crate::time::now();
            batch::finish(&self.db, batch_id, Outcome::Failed, reason, now).await?;
            batch::find(&self.db, batch_id).await
        };
        let batch = failed.await.map_err(|error| unavailable(&error))?;
        // A later batch may have found out meanwhile that the reply had reached the contact.
        let failed = batch.filter(|batch| batch.state == State::Failed);
        let contact = ContactId(data.contact_id);
        let news = failed.map(|batch| reply_failed(&contact, batch.id, &failure.detail));
        Ok(news.into_iter().collect())
    }
}

impl Reply {
    async fn reply(&self, event: &Envelope) -> Handled {
        let came = Instant::now();
        self.closings.give_way(came).await;
        let data: BatchClosed = event.data()?;
        let batch_id = BatchId(data.batch_id);
        let read = |(), ids| brief(&self.db, ids);
        let briefing = self.groups.briefing.join(batch_id, nothing, read);
        let Some(briefing) = briefing.await? else {
            return Ok(Verdict::Skipped("unknown_batch"));
        };
        let batch = &briefing.batch;
        match batch.state {
            State::Open => return Ok(Verdict::Skipped("still_open")),
            State::Replied | State::Superseded | State::Suppressed => {
                return Ok(Verdict::Duplicate(Vec::new()));
            }
            // A replay out of the parking lot goes on from where it stood.
            State::Failed => {
                batch::resume_failed(&self.db, batch_id).await?;
            }
            State::Closed => {}
        }
        let Some(channel) = Channel::from_webhook(&batch.channel) else {
            return self
                .end(batch, Outcome::Suppressed, "channel_not_answered")
                .await;
        };
        if let Some(waiting) = self
            .settle_earlier_batches(&briefing.waiting_before)
            .await?
        {
            return Ok(waiting);
        }
        if let Some((outcome, reason)) = self.reason_not_to_reply(&briefing, channel).await? {
            return self.end(batch, outcome, reason).await;
        }
        // Those that have begun by then are hundreds, too.
        self.closings.give_way(came).await;
        let reply = match briefing.reply.clone() {
            Some(reply) => reply,
            None => self.generate(&briefing, channel).await?,
        };
        if !reply.send || reply.text.trim().is_empty() {
            return self
                .end(batch, Outcome::Suppressed, "model_saw_no_need")
                .await;
        }
        self.closings.give_way(came).await;
        // Everything that takes time comes before the claim: after it, the clock of the send runs.
        let outgoing = Self::outgoing(batch, channel, &reply, &briefing.messages);
        match self.claim(batch, channel).await? {
            Claim::Ended(outcome, reason) => self.end(batch, outcome, reason).await,
            Claim::Finished => Ok(Verdict::Duplicate(Vec::new())),
            Claim::Paused { until } => Err(paused(until)),
            Claim::Send { since } => self.send(batch, &reply, &outgoing, since).await,
            Claim::Ask { since } => {
                self.ask_before_sending_again(batch, channel, &reply, since)
                    .await
            }
        }
    }

    /// Ends the batch without a reply, unless somebody has begun to send one. The reason says why in
    /// the batch's row and in the log.
    async fn end(&self, batch: &batch::Model, outcome: Outcome, reason: &'static str) -> Handled {
        let tx = entities::begin(&self.db).await?;
        contact::lock(&tx, &batch.contact_id).await?;
        if effect::find(&tx, &effect_key(batch.id)).await?.is_some() {
            return Ok(Verdict::Snooze {
                reason: "reply_may_be_on_its_way",
                delay: Duration::from_secs(1),
            });
        }
        batch::finish(&tx, batch.id, outcome, Some(reason), crate::time::now()).await?;
        tx.commit().await?;
        Ok(Verdict::Skipped(reason))
    }

    /// Notes when the message of a batch that waits in a lane will be back. A note that fails costs
    /// the sweeper a needless look.
    async fn expect_back(&self, event: &Envelope, verdict: &Verdict, attempt: Attempt) {
        let away = verdict.away_for(attempt, &event.id);
        let (Ok(data), Some(away)) = (event.data::<BatchClosed>(), away) else {
            return;
        };
        let back_at = crate::time::now() + away;
        let noted = batch::expect_back(&self.db, BatchId(data.batch_id), back_at).await;
        if let Err(error) = noted {
            warn!(batch.id = %data.batch_id, %error, "It could not be noted that the batch's message waits.");
        }
    }

    fn highlevel(&self) -> Result<&clients::highlevel::Client, Halt> {
        configured(Provider::HighLevel, self.highlevel.as_ref())
    }
}
