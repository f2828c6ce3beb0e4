//! Status routes, with a database and where they publish with a broker.

use chrono::TimeDelta;
use entities::batch::{BatchRoute, Incoming, add_messages};
use entities::job::{NewJob, Source};
use entities::message::{Author, Direction, NewMessage};
use entities::{ContactId, batch, job, setting};
use messages::{Envelope, FlushRequested, WaitChanged};
use sea_orm::DatabaseConnection;
use test_support::{Broker, Database};

use crate::gateway::{Gateway, NO_BROKER, now};

pub(crate) async fn write(
    database: &DatabaseConnection,
    contact: &str,
    text: &str,
    seconds_ago: i64,
) {
    let at = now() - TimeDelta::seconds(seconds_ago);
    let message = NewMessage {
        event_id: format!("event of {text}"),
        direction: Direction::Inbound,
        author: Author::Contact,
        provider_message_id: None,
        email_message_id: None,
        channel: "SMS".to_owned(),
        subject: None,
        text: text.to_owned(),
        attachments: Vec::new(),
        sent_at: at,
    };
    let route = BatchRoute {
        channel: "SMS".to_owned(),
        location_id: None,
        conversation_id: None,
        conversation_provider_id: None,
    };
    let transaction = entities::begin(database).await.unwrap();
    let incoming = Incoming {
        contact: ContactId::from(contact),
        message,
        route,
        traceparent: None,
    };
    add_messages(&transaction, vec![incoming], at)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
}

/// A job as a worker makes it of a client's request.
pub(crate) fn new_job() -> NewJob {
    NewJob {
        idempotency_key: "generate:42:t1".to_owned(),
        source: Source::Api,
        company_id: "42".to_owned(),
        company_name: Some("Acme".to_owned()),
        company_domain: None,
        portal_id: None,
        deal_id: None,
        stage: None,
        stage_ts: Some("t1".to_owned()),
        refresh: false,
        traceparent: None,
    }
}

#[tokio::test]
async fn open_batches_are_shown_as_the_older_server_showed_them() {
    let database = Database::sqlite().await;
    let connection = database.connect().await;
    write(&connection, "c1", "one", 20).await;
    write(&connection, "c1", "two", 10).await;
    write(&connection, "c2", "three", 60).await;
    let gateway = Gateway::new(NO_BROKER, database.url());

    let answer = gateway.call("GET", "/queue-status", "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body["status"], "success");
    assert_eq!(answer.body["active_batches"], 2);
    assert_eq!(answer.body["batch_wait_time"], 30);
    let batch = &answer.body["batch_details"]["c1"];
    assert_eq!(batch["message_count"], 2);
    assert_eq!(batch["messages"], serde_json::json!(["one", "two"]));
    assert_eq!(batch["start_time"], "2026-11-21T11:59:40.000Z");
    assert_eq!(batch["last_message_time"], "2026-11-21T11:59:50.000Z");
    assert_eq!(batch["time_elapsed"], 20.0);
    assert_eq!(batch["time_remaining"], 20.0);
    assert_eq!(batch["timer_active"], true);
    assert_eq!(answer.body["batch_details"]["c2"]["time_remaining"], 0.0);
}

#[tokio::test]
async fn a_contact_is_shown_with_the_open_batch_else_the_latest_else_none() {
    let database = Database::sqlite().await;
    let connection = database.connect().await;
    write(&connection, "c1", "one", 10).await;
    let gateway = Gateway::new(NO_BROKER, database.url());

    let answer = gateway.call("GET", "/batch-status/c1", "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body["has_active_batch"], true);
    assert_eq!(answer.body["batch"]["state"], "open");

    let id = batch::open_of_contact(&connection, &"c1".into())
        .await
        .unwrap()
        .unwrap()
        .id;
    batch::close(&connection, id, batch::ClosedBy::Operator, now())
        .await
        .unwrap();
    let answer = gateway.call("GET", "/batch-status/c1", "").await;
    assert_eq!(answer.body["has_active_batch"], false);
    assert_eq!(answer.body["batch"]["state"], "closed");
    assert_eq!(answer.body["batch"]["timer_active"], false);

    let answer = gateway.call("GET", "/batch-status/nobody", "").await;
    assert_eq!(answer.body["has_active_batch"], false);
    assert!(answer.body["batch"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_wait_is_stored_for_all_pods_and_told_to_the_workers() {
    let (broker, database) = (Broker::start(), Database::sqlite().await);
    let gateway = Gateway::connected(&broker, database.url()).await;
    let answer = gateway.call("GET", "/batch-config", "").await;
    assert_eq!(answer.body["batch_wait_time"], 30, "{}", answer.body);
    assert_eq!(
        (&answer.body["min"], &answer.body["max"]),
        (&5.into(), &300.into())
    );

    let answer = gateway
        .call("POST", "/batch-config", r#"{"batch_wait_time":45}"#)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body["batch_wait_time"], 45);
    let another_pod = Gateway::connected(&broker, database.url()).await;
    let answer = another_pod.call("GET", "/batch-config", "").await;
    assert_eq!(answer.body["batch_wait_time"], 45);
    let messages = tokio::task::block_in_place(|| broker.waiting("chat.flush"));
    let event = Envelope::decode(messages[0]["payload"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(
        event.data::<WaitChanged>().unwrap(),
        WaitChanged { wait_seconds: 45 }
    );
}

#[tokio::test]
async fn a_wait_out_of_range_changes_nothing() {
    let database = Database::sqlite().await;
    let gateway = Gateway::new(NO_BROKER, database.url());
    let answer = gateway
        .call("POST", "/batch-config", r#"{"batch_wait_time":4}"#)
        .await;
    assert_eq!(answer.problem(400), "out-of-range");
    let stored = setting::batch_wait_seconds(&database.connect().await)
        .await
        .unwrap();
    assert_eq!(stored, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_open_batch_of_a_contact_can_be_forced() {
    let (broker, database) = (Broker::start(), Database::sqlite().await);
    let connection = database.connect().await;
    write(&connection, "c1", "one", 1).await;
    let gateway = Gateway::connected(&broker, database.url()).await;

    let answer = gateway
        .call("POST", "/force-process-batch/nobody", "")
        .await;
    assert_eq!(answer.problem(404), "not-found");
    let answer = gateway.call("POST", "/force-process-batch/c1", "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(
        (&answer.body["status"], &answer.body["contact_id"]),
        (&"success".into(), &"c1".into())
    );
    let id = batch::open_of_contact(&connection, &"c1".into())
        .await
        .unwrap()
        .unwrap()
        .id;
    let messages = tokio::task::block_in_place(|| broker.waiting("chat.flush"));
    assert_eq!(messages.len(), 1);
    let event = Envelope::decode(messages[0]["payload"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(event.data::<FlushRequested>().unwrap().batch_id, Some(id.0));
}

#[tokio::test]
async fn a_job_is_found_by_its_id_and_is_unknown_until_a_worker_has_it() {
    let database = Database::sqlite().await;
    let connection = database.connect().await;
    let gateway = Gateway::new(NO_BROKER, database.url());
    let new = new_job();
    let path = format!("/job-status/{}", new.id());
    let answer = gateway.call("GET", &path, "").await;
    assert_eq!(answer.problem(404), "not-found");
    assert!(
        answer.body["detail"]
            .as_str()
            .unwrap()
            .contains("not have been picked up yet")
    );

    let id = new.id().to_string();
    job::insert(&connection, new, now()).await.unwrap();
    let answer = gateway.call("GET", &path, "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body["job_id"], id.as_str());
    assert_eq!(
        (&answer.body["status"], &answer.body["company_name"]),
        (&"queued".into(), &"Acme".into())
    );
    for missing in [
        "response_id",
        "submitted_at",
        "document_url",
        "usage",
        "completion",
        "error",
    ] {
        assert!(answer.body[missing].is_null(), "{missing}");
    }
    assert_eq!(
        gateway
            .call("GET", "/job-status/resp_unknown", "")
            .await
            .problem(404),
        "not-found"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_just_accepted_is_queued_before_a_worker_has_its_row() {
    let (broker, database) = (Broker::start(), Database::sqlite().await);
    let gateway = Gateway::connected(&broker, database.url()).await;
    let body = r#"{"companyId": 1, "company": {"name": "Acme"}}"#;
    let accepted = gateway.call("POST", "/generate", body).await;
    assert_eq!(accepted.status, 202, "{}", accepted.body);

    let id = accepted.body["response_id"].as_str().unwrap();
    let answer = gateway.call("GET", &format!("/job-status/{id}"), "").await;

    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body["status"], "queued");
    assert_eq!(answer.body["company_name"], "Acme");
    assert!(answer.body["completion"].is_null());
}
