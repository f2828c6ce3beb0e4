//! A contact's fresh-enough copy, and whether we may write to them.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    Condition, DbBackend, ExprTrait, IdenStatic, QueryOrder, QuerySelect,
    entity::prelude::*,
    sea_query::OnConflict,
};

use crate::{
    ContactId, TextList,
    write::{any_of, in_statements, insert_if_absent, won},
};

/// A contact as HighLevel last described it.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "contacts")]
pub struct Model {
    /// HighLevel's id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ContactId,
    /// The sub-account the contact belongs to.
    pub location_id: Option<String>,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// The name as one text.
    pub full_name: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// Do not disturb, on every channel.
    pub dnd: bool,
    /// The channels with do-not-disturb, as `dndSettings` names them.
    #[sea_orm(column_type = "JsonBinary")]
    pub dnd_channels: TextList,
    /// When the contact asked us to stop (STOP and its kin); empty when they have not.
    pub opted_out_at: Option<DateTime<Utc>>,
    /// When a person of the business last answered by hand.
    pub human_replied_at: Option<DateTime<Utc>>,
    /// When we first heard of the contact.
    pub created_at: DateTime<Utc>,
    /// When this copy last changed, or within an hour of when an event last confirmed it.
    pub updated_at: DateTime<Utc>,
}

/// Messages and batches may precede their contact's row, so nothing is tied to it.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// What an event says about a contact; `None` where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// The sub-account the contact belongs to.
    pub location_id: Option<String>,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// The name as one text.
    pub full_name: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
}

impl Details {
    /// What `later` knows takes the place of what was known before.
    pub fn overwrite_with(&mut self, later: &Self) {
        let overwrite = |known: &mut Option<String>, later: &Option<String>| {
            if later.is_some() {
                known.clone_from(later);
            }
        };
        overwrite(&mut self.location_id, &later.location_id);
        overwrite(&mut self.first_name, &later.first_name);
        overwrite(&mut self.last_name, &later.last_name);
        overwrite(&mut self.full_name, &later.full_name);
        overwrite(&mut self.email, &later.email);
        overwrite(&mut self.phone, &later.phone);
    }
}

/// How old `updated_at` grows while events say nothing new: retention goes by it, and a row that is
/// written with each message costs more than the message.
const CONFIRMED_EVERY: TimeDelta = TimeDelta::hours(1);

/// Creates the contact or overwrites what `details` knows; a `None` overwrites nothing. In a
/// transaction the contact is locked from here on, as by [`lock`].
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn upsert<C: ConnectionTrait>(
    tx: &C,
    id: &ContactId,
    details: &Details,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    upsert_all(tx, [(id, details)], now).await
}

/// [`upsert`] of several contacts at once; none may be there twice. They are locked in the
/// order in which they come: give it in the order of their ids, or two pods wait for each other.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn upsert_all<C: ConnectionTrait>(
    tx: &C,
    contacts: impl IntoIterator<Item = (&ContactId, &Details)>,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    const KNOWN: [Column; 6] = [
        Column::LocationId,
        Column::FirstName,
        Column::LastName,
        Column::FullName,
        Column::Email,
        Column::Phone,
    ];
    let latest = |column: Column| {
        let name = column.as_str();
        format!("COALESCE(excluded.{name}, contacts.{name})")
    };
    // PostgreSQL locks the rows that this leaves as they are, too.
    let anything_new = KNOWN.into_iter().fold(
        Condition::any().add(Expr::col((Entity, Column::UpdatedAt)).lte(now - CONFIRMED_EVERY)),
        |any, column| {
            let (latest, name) = (latest(column), column.as_str());
            any.add(Expr::cust(format!(
                "{latest} IS DISTINCT FROM contacts.{name}"
            )))
        },
    );
    let overwrite = OnConflict::column(Column::Id)
        .values(KNOWN.map(|column| (column, Expr::cust(latest(column)))))
        .update_column(Column::UpdatedAt)
        .action_and_where(anything_new.into())
        .to_owned();
    for contacts in in_statements(contacts) {
        let rows = contacts
            .into_iter()
            .map(|(id, details)| row(id, details, now));
        Entity::insert_many(rows)
            .on_conflict(overwrite.clone())
            .exec_without_returning(tx)
            .await?;
    }
    Ok(())
}

/// The contact, if an event has named it.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn find<C: ConnectionTrait>(db: &C, id: &ContactId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id.clone()).one(db).await
}

/// Those of these contacts that an event has named.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn find_all<C: ConnectionTrait>(
    db: &C,
    ids: impl IntoIterator<Item = &ContactId>,
) -> Result<HashMap<ContactId, Model>, DbErr> {
    let contacts = Entity::find()
        .filter(Column::Id.is_in(any_of(ids.into_iter().cloned())))
        .all(db)
        .await?;
    Ok(by_id(contacts))
}

/// Reads the contact and holds it until the transaction ends: whoever else locks or changes it
/// waits. This is what keeps "a new message arrives" and "the reply is about to be sent" apart.
///
/// PostgreSQL locks the row. On SQLite a transaction from [`crate::begin`] excludes every other
/// writer anyway. A contact without a row can't be held: [`upsert`] it first.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn lock<C: ConnectionTrait>(tx: &C, id: &ContactId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id.clone())
        .lock_exclusive()
        .one(tx)
        .await
}

/// [`lock`] of several contacts, in the order in which [`upsert_all`] locks them.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn lock_all<C: ConnectionTrait>(
    tx: &C,
    ids: impl IntoIterator<Item = &ContactId>,
) -> Result<HashMap<ContactId, Model>, DbErr> {
    let mut contacts = Entity::find().filter(Column::Id.is_in(any_of(ids.into_iter().cloned())));
    if tx.get_database_backend() == DbBackend::Postgres {
        // By their bytes, as Rust sorts them: the database may be set to sort by a language's rules.
        contacts = contacts.order_by_asc(Expr::cust(r#"id COLLATE "C""#));
    }
    Ok(by_id(contacts.lock_exclusive().all(tx).await?))
}

fn by_id(contacts: Vec<Model>) -> HashMap<ContactId, Model> {
    let with_id = |contact: Model| (contact.id.clone(), contact);
    contacts.into_iter().map(with_id).collect()
}

/// Sets do-not-disturb: `dnd` for every channel, `channels` for some. A contact we have not heard
/// of is created, so that the wish is not lost.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn set_dnd<C: ConnectionTrait>(
    tx: &C,
    id: &ContactId,
    dnd: bool,
    channels: &[String],
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let change = ActiveModel {
        dnd: Set(dnd),
        dnd_channels: Set(channels.to_vec().into()),
        ..Default::default()
    };
    change_or_create(tx, id, change, now).await
}

/// Sets when the contact asked us to stop, or with `None` that they want to hear from us again.
/// A contact we have not heard of is created, so that the wish is not lost.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn set_opted_out<C: ConnectionTrait>(
    tx: &C,
    id: &ContactId,
    at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let change = ActiveModel {
        opted_out_at: Set(at),
        ..Default::default()
    };
    change_or_create(tx, id, change, now).await
}

/// Notes that a person of the business answered by hand at `at`; an earlier time than the one
/// noted changes nothing and gives `false`. A contact we have not heard of is created.
///
/// # Errors
///
/// Any database error; see [`crate::is_transient`].
pub async fn mark_human_reply<C: ConnectionTrait>(
    tx: &C,
    id: &ContactId,
    at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    insert_if_absent(tx, row(id, &Details::default(), now)).await?;
    let change = ActiveModel {
        human_replied_at: Set(Some(at)),
        updated_at: Set(now),
        ..Default::default()
    };
    let update = Entity::update_many()
        .set(change)
        .filter(Column::Id.eq(id.clone()))
        .filter(
            Column::HumanRepliedAt
                .is_null()
                .or(Column::HumanRepliedAt.lt(at)),
        );
    won(tx, update).await
}

async fn change_or_create<C: ConnectionTrait>(
    tx: &C,
    id: &ContactId,
    change: ActiveModel,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    insert_if_absent(tx, row(id, &Details::default(), now)).await?;
    let change = ActiveModel {
        id: NotSet,
        updated_at: Set(now),
        ..change
    };
    Entity::update_many()
        .set(change)
        .filter(Column::Id.eq(id.clone()))
        .exec(tx)
        .await?;
    Ok(())
}

fn row(id: &ContactId, details: &Details, now: DateTime<Utc>) -> ActiveModel {
    ActiveModel {
        id: Set(id.clone()),
        location_id: Set(details.location_id.clone()),
        first_name: Set(details.first_name.clone()),
        last_name: Set(details.last_name.clone()),
        full_name: Set(details.full_name.clone()),
        email: Set(details.email.clone()),
        phone: Set(details.phone.clone()),
        dnd: Set(false),
        dnd_channels: Set(TextList::default()),
        opted_out_at: Set(None),
        human_replied_at: Set(None),
        created_at: Set(now),
        updated_at: Set(now),
    }
}
