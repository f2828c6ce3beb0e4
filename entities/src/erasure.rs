//! Deleting what is stored about one contact.

use chrono::{DateTime, Utc};
use sea_orm::{DatabaseConnection, DbErr, entity::prelude::*};

use crate::{
    BatchId, ContactId, batch, begin, contact, effect, message, reply,
    retention::{empty_contact, remove_batches},
};

/// What is or was stored about a contact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Whether there is a row of the contact itself.
    pub contact: bool,
    /// Batches, whatever their state.
    pub batches: u64,
    /// Of these, batches that had not ended: they get no reply.
    pub waiting: u64,
    /// Messages in both directions.
    pub messages: u64,
    /// Replies that a model wrote.
    pub replies: u64,
    /// Whether the contact asked us to be silent. That wish stays, with the contact's id.
    pub wants_silence: bool,
}

/// What became of the wish to delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erasure {
    /// Nothing is left but a wish to be silent.
    Erased(Stored),
    /// A reply to this batch may be on its way at this moment; nothing was deleted.
    ReplyOnItsWay(BatchId),
}

/// What is stored about the contact.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn stored<C: ConnectionTrait>(db: &C, id: &ContactId) -> Result<Stored, DbErr> {
    use sea_orm::{PaginatorTrait, QuerySelect, QueryTrait};
    let contact = contact::find(db, id).await?;
    let batches = || batch::Entity::find().filter(batch::Column::ContactId.eq(id.clone()));
    let waiting = batch::Column::State.is_in([batch::State::Open, batch::State::Closed]);
    let ids = batches().select_only().column(batch::Column::Id);
    let messages = message::Entity::find().filter(message::Column::ContactId.eq(id.clone()));
    let replies =
        reply::Entity::find().filter(reply::Column::BatchId.in_subquery(ids.into_query()));
    Ok(Stored {
        wants_silence: contact.as_ref().is_some_and(wants_silence),
        contact: contact.is_some(),
        batches: batches().count(db).await?,
        waiting: batches().filter(waiting).count(db).await?,
        messages: messages.count(db).await?,
        replies: replies.count(db).await?,
    })
}

/// Deletes everything that is stored about the contact, in one transaction. A wish to be silent
/// stays with the bare id: nothing is ever sent to who asked for that.
///
/// Timers and messages that are on their way find no batch and do nothing. A later message of the
/// contact starts afresh. A send that was started after `in_flight_since` may still be going on and
/// would write its text down again afterwards: then nothing is deleted.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`]. Nothing has changed then.
pub async fn erase(
    db: &DatabaseConnection,
    id: &ContactId,
    in_flight_since: DateTime<Utc>,
) -> Result<Erasure, DbErr> {
    let tx = begin(db).await?;
    let contact = contact::lock(&tx, id).await?;
    let stored = stored(&tx, id).await?;
    let batches = batch::Entity::find()
        .filter(batch::Column::ContactId.eq(id.clone()))
        .all(&tx)
        .await?;
    for batch in &batches {
        let sending = effect::find(&tx, &format!("reply:{}:send", batch.id)).await?;
        if sending.is_some_and(|effect| {
            effect.state == effect::State::Started && effect.started_at > in_flight_since
        }) {
            return Ok(Erasure::ReplyOnItsWay(batch.id));
        }
    }
    message::Entity::delete_many()
        .filter(message::Column::ContactId.eq(id.clone()))
        .exec(&tx)
        .await?;
    let ids: Vec<BatchId> = batches.iter().map(|batch| batch.id).collect();
    for some in ids.chunks(200) {
        remove_batches(&tx, some).await?;
    }
    if contact.as_ref().is_some_and(wants_silence) {
        empty_contact(&tx, id).await?;
    } else {
        contact::Entity::delete_by_id(id.clone()).exec(&tx).await?;
    }
    tx.commit().await?;
    Ok(Erasure::Erased(stored))
}

fn wants_silence(contact: &contact::Model) -> bool {
    contact.opted_out_at.is_some() || contact.dnd || !contact.dnd_channels.0.is_empty()
}
