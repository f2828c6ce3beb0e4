//! Storing that replies were sent: of several at once, all in one transaction.

use std::collections::BTreeSet;

use broker::Verdict;
use clients::highlevel::SentMessage;
use entities::message::{self, Author, Direction, NewMessage};
use entities::reply::{self, SentReply};
use entities::{BatchId, Transaction, batch, contact, effect};
use sea_orm::DbErr;
use serde_json::json;

use super::Reply;
use super::claim::effect_key;
use crate::halt::Handled;

/// A reply that the contact has got.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    batch: batch::Model,
    text: String,
    message: SentMessage,
}

impl Reply {
    /// Stores that the reply was sent: effect, reply, message and batch in one transaction.
    pub(super) async fn record(
        &self,
        batch: &batch::Model,
        reply: &reply::Model,
        message: SentMessage,
    ) -> Handled {
        let sent = Sent {
            batch: batch.clone(),
            text: reply.text.clone(),
            message,
        };
        let begin = || entities::begin(&self.db);
        let recorded = self.groups.recording.join(sent, begin, record);
        Ok(match recorded.await? {
            true => Verdict::Done(Vec::new()),
            false => Verdict::Skipped("unknown_batch"),
        })
    }
}

/// Stores that these replies were sent; `false` for one whose batch is no more.
async fn record(tx: Transaction, group: Vec<Sent>) -> Result<Vec<bool>, DbErr> {
    let now = crate::time::now();
    let contacts = group.iter().map(|sent| &sent.batch.contact_id);
    contact::lock_all(&tx, contacts).await?;
    // One that was deleted on request, meanwhile: its text must not be written down again.
    let there = batch::find_all(&tx, group.iter().map(|sent| sent.batch.id)).await?;
    let there: BTreeSet<BatchId> = there.iter().map(|batch| batch.id).collect();
    let mut results = Vec::with_capacity(group.len());
    let mut sent = Vec::with_capacity(group.len());
    let mut messages = Vec::with_capacity(group.len());
    for Sent {
        batch,
        text,
        message,
    } in &group
    {
        if !there.contains(&batch.id) {
            continue;
        }
        let result =
            json!({"message_id": message.message_id, "conversation_id": message.conversation_id});
        results.push((effect_key(batch.id), result));
        sent.push(SentReply {
            batch_id: batch.id,
            provider_message_id: message.message_id.clone(),
            conversation_id: message.conversation_id.clone(),
        });
        let message = NewMessage {
            event_id: format!("reply:{}", batch.id),
            direction: Direction::Outbound,
            author: Author::Assistant,
            provider_message_id: Some(message.message_id.clone()),
            email_message_id: None,
            channel: batch.channel.clone(),
            subject: None,
            text: text.clone(),
            attachments: Vec::new(),
            sent_at: now,
        };
        messages.push((batch.contact_id.clone(), message));
    }
    effect::finish_all(&tx, results, now).await?;
    reply::mark_all_sent(&tx, sent, now).await?;
    message::store_all_without_batch(&tx, messages, now).await?;
    let there: Vec<BatchId> = there.into_iter().collect();
    batch::finish_all_sent(&tx, &there, now).await?;
    tx.commit().await?;
    Ok(group
        .iter()
        .map(|sent| there.contains(&sent.batch.id))
        .collect())
}
