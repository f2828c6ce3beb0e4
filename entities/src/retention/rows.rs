//! Events, effects and contacts.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, Condition, DbBackend, ExprTrait, QueryOrder, QuerySelect, QueryTrait, Select,
    entity::prelude::*, sea_query::SelectStatement,
};
use uuid::Uuid;

use crate::{ContactId, batch, contact, effect, message, processed_event};

pub(super) fn old_events(before: DateTime<Utc>) -> Select<processed_event::Entity> {
    processed_event::Entity::find()
        .filter(processed_event::Column::ProcessedAt.lt(before))
        .order_by_asc(processed_event::Column::ProcessedAt)
}

pub(super) async fn remove_events<C: ConnectionTrait>(
    tx: &C,
    events: &[processed_event::Model],
) -> Result<(), DbErr> {
    let mut these = Condition::any();
    for event in events {
        these = these.add(
            Condition::all()
                .add(processed_event::Column::Consumer.eq(&event.consumer))
                .add(processed_event::Column::EventId.eq(&event.event_id)),
        );
    }
    if events.is_empty() {
        return Ok(());
    }
    processed_event::Entity::delete_many()
        .filter(these)
        .exec(tx)
        .await?;
    Ok(())
}

/// Removes the effects of these batches or jobs. A key is `<what>:<id>`, with more behind it where
/// there are several.
pub(super) async fn remove_effects<C: ConnectionTrait>(
    tx: &C,
    owners: impl Iterator<Item = Uuid>,
) -> Result<(), DbErr> {
    let owner = match tx.get_database_backend() {
        DbBackend::Postgres => Expr::cust("split_part(key, ':', 2)"),
        _ => Expr::cust("substr(key, instr(key, ':') + 1, 36)"),
    };
    effect::Entity::delete_many()
        .filter(owner.is_in(owners.map(|id| id.to_string())))
        .exec(tx)
        .await?;
    Ok(())
}

/// Contacts that nothing is left of, without those that don't want to hear from us.
pub(super) fn forgotten_contacts(before: DateTime<Utc>) -> Select<contact::Entity> {
    without_traces(before).filter(wants_silence().not())
}

/// Contacts that nothing is left of but their wish not to hear from us, and what describes them.
pub(super) fn silent_contacts(before: DateTime<Utc>) -> Select<contact::Entity> {
    let described = [
        contact::Column::LocationId,
        contact::Column::FirstName,
        contact::Column::LastName,
        contact::Column::FullName,
        contact::Column::Email,
        contact::Column::Phone,
    ]
    .into_iter()
    .fold(Condition::any(), |any, column| {
        any.add(column.is_not_null())
    });
    without_traces(before)
        .filter(wants_silence())
        .filter(described)
}

fn without_traces(before: DateTime<Utc>) -> Select<contact::Entity> {
    let with_messages: SelectStatement = message::Entity::find()
        .select_only()
        .column(message::Column::ContactId)
        .into_query();
    let with_batches: SelectStatement = batch::Entity::find()
        .select_only()
        .column(batch::Column::ContactId)
        .into_query();
    contact::Entity::find()
        .filter(contact::Column::UpdatedAt.lt(before))
        .filter(contact::Column::Id.not_in_subquery(with_messages))
        .filter(contact::Column::Id.not_in_subquery(with_batches))
        .order_by_asc(contact::Column::Id)
}

fn wants_silence() -> Condition {
    Condition::any()
        .add(contact::Column::OptedOutAt.is_not_null())
        .add(contact::Column::Dnd.eq(true))
        // A JSON array as text.
        .add(
            Expr::col(contact::Column::DndChannels)
                .cast_as("text")
                .ne("[]"),
        )
}

pub(super) async fn remove_contacts<C: ConnectionTrait>(
    tx: &C,
    contacts: &[contact::Model],
) -> Result<(), DbErr> {
    contact::Entity::delete_many()
        .filter(contact::Column::Id.is_in(contacts.iter().map(|contact| contact.id.clone())))
        .exec(tx)
        .await?;
    Ok(())
}

/// Removes what describes a contact; its id and its wishes stay.
pub(crate) async fn empty_contact<C: ConnectionTrait>(tx: &C, id: &ContactId) -> Result<(), DbErr> {
    let emptied = contact::ActiveModel {
        location_id: Set(None),
        first_name: Set(None),
        last_name: Set(None),
        full_name: Set(None),
        email: Set(None),
        phone: Set(None),
        human_replied_at: Set(None),
        ..Default::default()
    };
    contact::Entity::update_many()
        .set(emptied)
        .filter(contact::Column::Id.eq(id.clone()))
        .exec(tx)
        .await?;
    Ok(())
}
