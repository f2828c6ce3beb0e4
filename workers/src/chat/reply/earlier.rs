//! One reply at a time for each contact: a batch settles those before it that still wait.

use std::time::Duration;

use broker::Verdict;
use chrono::{DateTime, TimeDelta, Utc};
use clients::highlevel::Channel;
use entities::batch::{self, ClosedBy, Outcome};
use entities::{contact, effect, reply};

use super::Reply;
use super::claim::effect_key;
use super::send::IN_FLIGHT;
use crate::halt::Halt;

/// How long a batch that closed by its deadline keeps later ones waiting before they take over.
const OWN_REPLY: TimeDelta = TimeDelta::seconds(120);

impl Reply {
    /// Settles the contact's earlier batches that still wait: their messages are answered by this
    /// batch, unless their reply has gone out or may be on its way. `Some`: come back later.
    pub(super) async fn settle_earlier_batches(
        &self,
        waiting: &[batch::Model],
    ) -> Result<Option<Verdict>, Halt> {
        for earlier in waiting {
            let started = effect::find(&self.db, &effect_key(earlier.id)).await?;
            let settled = match started {
                None => self.supersede(earlier).await?,
                Some(effect) if effect.state == effect::State::Done => {
                    batch::finish_sent(&self.db, earlier.id, crate::time::now()).await?;
                    true
                }
                Some(effect) => self.settle_started(earlier, effect.started_at).await?,
            };
            if !settled {
                let delay = Duration::from_secs(5);
                return Ok(Some(Verdict::Snooze {
                    reason: "earlier_reply_on_its_way",
                    delay,
                }));
            }
        }
        Ok(None)
    }

    /// Nobody has begun to send the earlier reply: the later batch answers everything. A batch that
    /// closed by its deadline gets a reply of its own, because its contact does not pause.
    async fn supersede(&self, earlier: &batch::Model) -> Result<bool, Halt> {
        let closed_at = earlier.closed_at.unwrap_or_default();
        let by_deadline = earlier.closed_by == Some(ClosedBy::Deadline);
        if by_deadline && crate::time::now() - closed_at < OWN_REPLY {
            return Ok(false);
        }
        let tx = entities::begin(&self.db).await?;
        contact::lock(&tx, &earlier.contact_id).await?;
        if effect::find(&tx, &effect_key(earlier.id)).await?.is_some() {
            return Ok(false);
        }
        let reason = Some("answered_by_next_batch");
        batch::finish(
            &tx,
            earlier.id,
            Outcome::Superseded,
            reason,
            crate::time::now(),
        )
        .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Somebody began to send the earlier reply at `since`, and nobody knows whether it went out:
    /// asks HighLevel instead of waiting for the earlier batch's own next attempt, which may be an
    /// hour away.
    async fn settle_started(
        &self,
        earlier: &batch::Model,
        since: DateTime<Utc>,
    ) -> Result<bool, Halt> {
        let asked_at = crate::time::now();
        let channel = Channel::from_webhook(&earlier.channel);
        let reply = reply::find(&self.db, earlier.id).await?;
        if let (Some(channel), Some(reply)) = (channel, reply)
            && let Some(sent) = self.find_sent(earlier, channel, &reply, since).await?
        {
            self.record(earlier, &reply, sent).await?;
            return Ok(true);
        }
        if asked_at - since < IN_FLIGHT {
            return Ok(false);
        }
        effect::forget(&self.db, &effect_key(earlier.id), since).await?;
        self.supersede(earlier).await
    }
}
