//! Sample rows, and the clock that the tests read.

use chrono::{DateTime, TimeDelta, Utc};
use entities::{
    BatchId, ContactId, JobId, ResponseId, batch, begin, contact, document, job, message,
};
use sea_orm::DatabaseConnection;

/// A moment, in seconds after a fixed noon.
pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    let noon: DateTime<Utc> = "2026-11-22T12:00:00Z".parse().unwrap();
    noon + TimeDelta::seconds(seconds)
}

pub(crate) fn ada() -> ContactId {
    ContactId::from("ada")
}

pub(crate) fn inbound(event_id: &str, sent_at: i64) -> message::NewMessage {
    message::NewMessage {
        event_id: event_id.to_owned(),
        direction: message::Direction::Inbound,
        author: message::Author::Contact,
        provider_message_id: Some(format!("message of {event_id}")),
        email_message_id: None,
        channel: "SMS".to_owned(),
        subject: None,
        text: format!("text of {event_id}"),
        attachments: vec!["https://files.example/photo.jpg".to_owned()],
        sent_at: at(sent_at),
    }
}

pub(crate) fn outbound(
    event_id: &str,
    author: message::Author,
    sent_at: i64,
) -> message::NewMessage {
    message::NewMessage {
        direction: message::Direction::Outbound,
        author,
        ..inbound(event_id, sent_at)
    }
}

pub(crate) fn by_sms() -> batch::BatchRoute {
    batch::BatchRoute {
        channel: "SMS".to_owned(),
        location_id: Some("location".to_owned()),
        conversation_id: Some("conversation".to_owned()),
        conversation_provider_id: None,
    }
}

/// Stores an inbound message of this contact in its batch, in a transaction of its own.
pub(crate) async fn receive(
    db: &DatabaseConnection,
    contact: &ContactId,
    event_id: &str,
    now: i64,
) -> batch::Added {
    let incoming = incoming(contact, inbound(event_id, now), by_sms());
    add(db, incoming, now).await
}

pub(crate) fn incoming(
    contact: &ContactId,
    message: message::NewMessage,
    route: batch::BatchRoute,
) -> batch::Incoming {
    batch::Incoming {
        contact: contact.clone(),
        message,
        route,
        traceparent: None,
    }
}

/// Stores a message in its contact's batch, in a transaction of its own.
pub(crate) async fn add(
    db: &DatabaseConnection,
    incoming: batch::Incoming,
    now: i64,
) -> batch::Added {
    let tx = begin(db).await.unwrap();
    let nothing_new = contact::Details::default();
    contact::upsert(&tx, &incoming.contact, &nothing_new, at(now))
        .await
        .unwrap();
    let added = batch::add_messages(&tx, vec![incoming], at(now)).await;
    tx.commit().await.unwrap();
    added.unwrap()[0]
}

/// A batch with one message that has closed.
pub(crate) async fn closed_batch(
    db: &DatabaseConnection,
    contact: &ContactId,
    event_id: &str,
    now: i64,
) -> BatchId {
    let id = receive(db, contact, event_id, now).await.batch_id;
    let closed = batch::close(db, id, batch::ClosedBy::Quiet, at(now + 30)).await;
    assert!(closed.unwrap());
    id
}

pub(crate) async fn batch(db: &DatabaseConnection, id: BatchId) -> batch::Model {
    batch::find(db, id).await.unwrap().unwrap()
}

/// A job of a client's that is queued.
pub(crate) async fn queued_job(db: &DatabaseConnection, key: &str) -> JobId {
    let job = new_job(key);
    let id = job.id();
    assert!(job::insert(db, job, at(0)).await.unwrap());
    id
}

/// A job that OpenAI works on.
pub(crate) async fn submitted_job(db: &DatabaseConnection, key: &str) -> JobId {
    let id = queued_job(db, key).await;
    let response = response_of(key);
    let submitted = job::mark_submitted(db, id, &response, "researcher", at(1)).await;
    assert!(submitted.unwrap());
    id
}

/// A job whose response is stored.
pub(crate) async fn completed_job(db: &DatabaseConnection, key: &str) -> JobId {
    let id = submitted_job(db, key).await;
    let completed = job::mark_completed(db, id, &completion(key), at(2)).await;
    assert!(completed.unwrap());
    id
}

/// A job whose document is stored.
pub(crate) async fn documented_job(db: &DatabaseConnection, key: &str) -> JobId {
    let id = completed_job(db, key).await;
    document::store(db, document(id, "made", 3)).await.unwrap();
    assert!(job::mark_documented(db, id, at(3)).await.unwrap());
    id
}

pub(crate) fn new_job(key: &str) -> job::NewJob {
    job::NewJob {
        idempotency_key: key.to_owned(),
        source: job::Source::Api,
        company_id: "company-7".to_owned(),
        company_name: None,
        company_domain: None,
        portal_id: Some(146_123_456_789),
        deal_id: None,
        stage: None,
        stage_ts: Some("2026-11-22T12:00:00Z".to_owned()),
        refresh: false,
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
    }
}

pub(crate) fn response_of(key: &str) -> ResponseId {
    ResponseId(format!("resp_{key}"))
}

pub(crate) fn completion(key: &str) -> job::Completion {
    job::Completion {
        response_id: response_of(key),
        raw: r#"{"output": []}"#.to_owned(),
        usage: job::Usage {
            input_tokens: Some(70_000),
            cached_tokens: Some(1_000),
            output_tokens: Some(9_000),
            reasoning_tokens: Some(4_000),
            total_tokens: Some(79_000),
        },
        cost_usd: Some(1.25),
    }
}

pub(crate) fn document(job_id: JobId, provider_id: &str, created_at: i64) -> document::Model {
    document::Model {
        job_id,
        provider: document::Provider::Google,
        provider_id: provider_id.to_owned(),
        url: format!("https://docs.example/{provider_id}"),
        title: "Go to market".to_owned(),
        missing_sections: ["FINANCING"].into_iter().collect(),
        created_at: at(created_at),
        removed_at: None,
    }
}

pub(crate) async fn state_of(db: &DatabaseConnection, id: JobId) -> job::State {
    job::find(db, id).await.unwrap().unwrap().state
}
