//! Who may send the reply, and whether it may still be sent.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use clients::highlevel::Channel;
use clients::{ErrorKind, Provider, Reason};
use crash_points::crash_point;
use entities::batch::{self, ClosedBy, Outcome, State};
use entities::{BatchId, Transaction, contact, effect, message, pause, reply};
use sea_orm::{ConnectionTrait, DbErr};

use super::Reply;
use super::briefing::Briefing;
use crate::halt::{Halt, paused_until, unless_paused_in};

/// What the claim found.
#[derive(Debug)]
pub(crate) enum Claim {
    /// HighLevel wants no calls now.
    Paused { until: DateTime<Utc> },
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

/// A batch whose reply is ready to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Claiming {
    batch: batch::Model,
    channel: Channel,
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
        let claiming = Claiming {
            batch: batch.clone(),
            channel,
        };
        let begin = || entities::begin(&self.db);
        self.groups.claiming.join(claiming, begin, claim).await
    }

    /// Whether the batch should end before any money is spent on it.
    pub(super) async fn reason_not_to_reply(
        &self,
        briefing: &Briefing,
        channel: Channel,
    ) -> Result<Option<Why>, Halt> {
        let batch = &briefing.batch;
        // A send is begun only when the reply has been stored.
        if briefing.reply.is_some()
            && effect::find(&self.db, &effect_key(batch.id))
                .await?
                .is_some()
        {
            return Ok(None);
        }
        let contact = briefing.contact.as_ref();
        let newer = briefing.has_newer_batch();
        if let Some(why) = reason_now(&self.db, batch, channel, contact, newer).await? {
            return Ok(Some(why));
        }
        unless_paused_in(&briefing.pauses, Provider::HighLevel)?;
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

/// Takes the right to send these replies, where they may still be sent.
async fn claim(tx: Transaction, group: Vec<Claiming>) -> Result<Vec<Claim>, DbErr> {
    let ids = || group.iter().map(|claiming| &claiming.batch.contact_id);
    let contacts = contact::lock_all(&tx, ids()).await?;
    let pauses = pause::all(&tx, crate::time::now()).await?;
    let opened = batch::opened(&tx, ids()).await?;
    let current = batch::find_all(&tx, group.iter().map(|claiming| claiming.batch.id)).await?;
    let closed: HashSet<BatchId> = current
        .iter()
        .filter(|batch| batch.state == State::Closed)
        .map(|batch| batch.id)
        .collect();
    let paused = paused_until(&pauses, Provider::HighLevel);
    // Why each of them is not sent.
    let mut claims = Vec::with_capacity(group.len());
    for Claiming { batch, channel } in &group {
        let contact = contacts.get(&batch.contact_id);
        let newer = opened
            .get(&batch.contact_id)
            .is_some_and(|opened| opened.last > batch.opened_at);
        claims.push(if let Some(until) = paused {
            Some(Claim::Paused { until })
        } else if !closed.contains(&batch.id) {
            Some(Claim::Finished)
        } else if let Some((outcome, reason)) =
            reason_now(&tx, batch, *channel, contact, newer).await?
            // What may be on its way already is beyond these reasons.
            && effect::find(&tx, &effect_key(batch.id)).await?.is_none()
        {
            Some(Claim::Ended(outcome, reason))
        } else {
            None
        });
    }
    // The others begin.
    let now = crate::time::now();
    let free: Vec<usize> = (0..group.len())
        .filter(|place| claims[*place].is_none())
        .collect();
    let keys: Vec<String> = free
        .iter()
        .map(|place| effect_key(group[*place].batch.id))
        .collect();
    let starts = effect::start_all(&tx, &keys, now).await?;
    for (place, start) in free.into_iter().zip(starts) {
        claims[place] = Some(match start {
            effect::Start::Fresh => Claim::Send { since: now },
            effect::Start::Started { since } => Claim::Ask { since },
            effect::Start::Done { .. } => {
                // A twin of ours has sent it, after this batch was marked failed and resumed.
                batch::finish_sent(&tx, group[place].batch.id, now).await?;
                Claim::Finished
            }
        });
    }
    tx.commit().await?;
    crash_point!("chat.reply.claimed");
    Ok(claims.into_iter().flatten().collect())
}

/// What we know by ourselves that speaks against a reply.
async fn reason_now<C: ConnectionTrait>(
    db: &C,
    batch: &batch::Model,
    channel: Channel,
    contact: Option<&contact::Model>,
    has_newer_batch: bool,
) -> Result<Option<Why>, DbErr> {
    if let Some(contact) = contact {
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
    if !talkative && has_newer_batch {
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
