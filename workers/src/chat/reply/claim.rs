//! Who may send the reply, and whether it may still be sent.

use chrono::{DateTime, Utc};
use clients::highlevel::Channel;
use clients::{ErrorKind, Provider, Reason};
use crash_points::crash_point;
use entities::batch::{self, ClosedBy, Outcome, State};
use entities::{contact, effect, message, reply};
use sea_orm::{ConnectionTrait, DbErr};

use super::Reply;
use crate::halt::{Halt, unless_paused};

/// What the claim found.
pub(super) enum Claim {
    /// The reply must not be sent any more.
    Ended(Outcome, &'static str),
    /// The batch has ended, by somebody else's hand.
    Finished,
    /// Ours to send, since this time.
    Send { since: DateTime<Utc> },
    /// Somebody was about to send it at this time, and nobody knows whether it went out.
    Ask { since: DateTime<Utc> },
}

/// Why a batch gets no reply.
type Why = (Outcome, &'static str);

/// The ledger's key for a batch's reply.
pub(super) fn effect_key(batch: entities::BatchId) -> String {
    format!("reply:{batch}:send")
}

impl Reply {
    /// Takes the right to send, in one transaction that holds the contact: a message, an opt-out or
    /// a person's answer that arrives before is seen, and one that arrives after belongs to the
    /// next batch.
    pub(super) async fn claim(
        &self,
        batch: &batch::Model,
        channel: Channel,
    ) -> Result<Claim, Halt> {
        unless_paused(&self.db, Provider::HighLevel).await?;
        let tx = entities::begin(&self.db).await?;
        contact::lock(&tx, &batch.contact_id).await?;
        let current = batch::find(&tx, batch.id).await?;
        if current.is_none_or(|current| current.state != State::Closed) {
            return Ok(Claim::Finished);
        }
        let key = effect_key(batch.id);
        // What may be on its way already is beyond these reasons.
        if effect::find(&tx, &key).await?.is_none()
            && let Some((outcome, reason)) = reason_now(&tx, batch, channel).await?
        {
            return Ok(Claim::Ended(outcome, reason));
        }
        let now = crate::time::now();
        let start = effect::start(&tx, &key, now).await?;
        if let effect::Start::Done { .. } = start {
            // A twin of ours has sent it, after this batch was marked failed and resumed.
            batch::finish_sent(&tx, batch.id, now).await?;
        }
        tx.commit().await?;
        crash_point!("chat.reply.claimed");
        Ok(match start {
            effect::Start::Fresh => Claim::Send { since: now },
            effect::Start::Started { since } => Claim::Ask { since },
            effect::Start::Done { .. } => Claim::Finished,
        })
    }

    /// Whether the batch should end before any money is spent on it.
    pub(super) async fn reason_not_to_reply(
        &self,
        batch: &batch::Model,
        channel: Channel,
    ) -> Result<Option<Why>, Halt> {
        if effect::find(&self.db, &effect_key(batch.id))
            .await?
            .is_some()
        {
            return Ok(None);
        }
        if let Some(why) = reason_now(&self.db, batch, channel).await? {
            return Ok(Some(why));
        }
        unless_paused(&self.db, Provider::HighLevel).await?;
        // Our copy of the contact may be old, or we may never have had one.
        match self.highlevel()?.contact(batch.contact_id.as_str()).await {
            Ok(contact) if contact.blocks(channel) => {
                Ok(Some((Outcome::Suppressed, "do_not_disturb")))
            }
            Ok(_) => Ok(None),
            Err(error) => match error.kind() {
                // No right to read contacts, or none of this id: the webhooks' word has to do, and
                // HighLevel itself refuses messages to contacts that are not to be disturbed.
                ErrorKind::NotFound | ErrorKind::Unauthorized | ErrorKind::Permanent { .. } => {
                    tracing::debug!(%error, "The contact can't be read; going by the webhooks.");
                    Ok(None)
                }
                ErrorKind::NotDone { .. } | ErrorKind::Unknown => Err(error.into()),
            },
        }
    }
}

/// What we know by ourselves that speaks against a reply.
async fn reason_now<C: ConnectionTrait>(
    db: &C,
    batch: &batch::Model,
    channel: Channel,
) -> Result<Option<Why>, DbErr> {
    if let Some(contact) = contact::find(db, &batch.contact_id).await? {
        if contact.opted_out_at.is_some() {
            return Ok(Some((Outcome::Suppressed, "opted_out")));
        }
        let blocked = |name: &String| channel.is_governed_by(name);
        if contact.dnd || contact.dnd_channels.0.iter().any(blocked) {
            return Ok(Some((Outcome::Suppressed, "do_not_disturb")));
        }
        if let Some(human_replied_at) = contact.human_replied_at {
            let messages = message::of_batch(db, batch.id).await?;
            if messages
                .first()
                .is_some_and(|first| first.sent_at <= human_replied_at)
            {
                return Ok(Some((Outcome::Suppressed, "answered_by_a_person")));
            }
        }
    }
    // A contact who never pauses would never be answered: a batch that closed by its deadline is.
    let talkative = batch.closed_by == Some(ClosedBy::Deadline);
    if !talkative && batch::exists_newer(db, batch).await? {
        return Ok(Some((Outcome::Superseded, "contact_wrote_again")));
    }
    // While this batch had failed, a later one may have taken its messages over.
    if talkative && reply::exists_for_newer(db, batch).await? {
        return Ok(Some((Outcome::Superseded, "answered_by_next_batch")));
    }
    Ok(None)
}

/// Why HighLevel will never take a message for this contact on this channel.
pub(super) fn suppressing(reason: Option<Reason>) -> Option<&'static str> {
    match reason? {
        Reason::DoNotDisturb => Some("do_not_disturb"),
        Reason::Unsubscribed => Some("unsubscribed"),
        Reason::MissingPhoneNumber => Some("no_phone_number"),
        Reason::ModelNotFound
        | Reason::Refused
        | Reason::Incomplete
        | Reason::StorageQuotaExceeded
        | Reason::SetUp => None,
    }
}
