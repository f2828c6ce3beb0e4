//! What is known of a batch before its reply is made, read for several batches at once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use entities::batch::Opened;
use entities::pause::Pauses;
use entities::{BatchId, ContactId, batch, contact, message, pause, reply};
use sea_orm::{DatabaseConnection, DbErr};

/// A batch, and what its reply depends on. None of it is held: what must not change is looked at
/// once more when the right to send is claimed.
#[derive(Debug, Clone)]
pub(crate) struct Briefing {
    pub(super) batch: batch::Model,
    pub(super) contact: Option<contact::Model>,
    /// The reply that was made before.
    pub(super) reply: Option<reply::Model>,
    /// What the contact wrote, in its order.
    pub(super) messages: Vec<message::Model>,
    /// The contact's earlier batches that still wait for their reply, oldest first.
    pub(super) waiting_before: Vec<batch::Model>,
    pub(super) opened: Opened,
    pub(super) pauses: Arc<Pauses>,
}

impl Briefing {
    /// Whether the contact had written before.
    pub(super) fn has_earlier_batch(&self) -> bool {
        self.opened.first < self.batch.opened_at
    }

    /// Whether the contact has written again.
    pub(super) fn has_newer_batch(&self) -> bool {
        self.opened.last > self.batch.opened_at
    }
}

/// Reads what is known of these batches; `None` for one that there is not.
pub(super) async fn brief(
    db: &DatabaseConnection,
    ids: Vec<BatchId>,
) -> Result<Vec<Option<Briefing>>, DbErr> {
    let batches = batch::find_all(db, ids.iter().copied()).await?;
    let contact_ids: HashSet<&ContactId> = batches.iter().map(|batch| &batch.contact_id).collect();
    let each_contact = || contact_ids.iter().copied();
    let contacts = contact::find_all(db, each_contact()).await?;
    let opened = batch::opened(db, each_contact()).await?;
    // Those who have written once only have no earlier batch that could wait.
    let before = |batch: &&batch::Model| {
        opened
            .get(&batch.contact_id)
            .is_some_and(|opened| opened.first < batch.opened_at)
    };
    let returning: HashSet<&ContactId> = batches
        .iter()
        .filter(before)
        .map(|batch| &batch.contact_id)
        .collect();
    let closed = batch::closed_of(db, returning).await?;
    let replies = reply::find_all(db, ids.iter().copied()).await?;
    let messages = message::of_batches(db, &ids).await?;
    let pauses = Arc::new(pause::all(db, crate::time::now()).await?);

    let briefing = |batch: &batch::Model| {
        let of_contact = closed.iter().filter(|earlier| {
            earlier.contact_id == batch.contact_id && earlier.opened_at < batch.opened_at
        });
        let of_batch = messages
            .iter()
            .filter(|message| message.batch_id == Some(batch.id));
        let only_this = Opened {
            first: batch.opened_at,
            last: batch.opened_at,
        };
        Briefing {
            contact: contacts.get(&batch.contact_id).cloned(),
            reply: replies
                .iter()
                .find(|reply| reply.batch_id == batch.id)
                .cloned(),
            messages: of_batch.cloned().collect(),
            waiting_before: of_contact.cloned().collect(),
            opened: opened.get(&batch.contact_id).copied().unwrap_or(only_this),
            pauses: pauses.clone(),
            batch: batch.clone(),
        }
    };
    let batches: HashMap<BatchId, &batch::Model> =
        batches.iter().map(|batch| (batch.id, batch)).collect();
    Ok(ids
        .iter()
        .map(|id| batches.get(id).map(|batch| briefing(batch)))
        .collect())
}
