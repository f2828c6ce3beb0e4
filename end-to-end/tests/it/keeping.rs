//! What is over is removed, and who asks to be forgotten is.

use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use end_to_end::{World, on_both_databases, on_sqlite};
use entities::job::State;
use entities::{ContactId, batch, contact, document, job, message, reply};
use sea_orm::ActiveValue::Set;
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::{Value, json};

use crate::faults::{SEND_MESSAGE, a_reply_is_parked, refused};

on_both_databases!(
    what_is_over_is_removed_and_the_rest_stays,
    a_contact_is_deleted_and_starts_afresh,
);

on_sqlite!(
    who_opted_out_is_not_written_to_after_the_deletion,
    a_purged_message_is_accounted_for,
    a_time_that_is_too_short_stops_the_start,
);

async fn what_is_over_is_removed_and_the_rest_stays(world: World) {
    let _gateway = world.spawn_gateway().await;
    let _worker = world.spawn_worker("all").await;
    world.contact_writes("ada", "Hello!").await;
    world.close_batch("ada", 1).await;
    let answered = world.until_batch("ada", batch::State::Replied).await;
    let body = json!({"companyId": "c1", "company": {"name": "Bolt Works"}});
    let job = world.generate(&body, Some("order-1")).await;
    let done = world.until_job(&job, State::Notified).await;
    let file = done["document_url"].as_str().unwrap().parse::<url::Url>();
    let file: PathBuf = file.unwrap().to_file_path().unwrap();
    assert!(file.exists());
    for (id, days) in [("old", 31), ("young", 29)] {
        world.broker.put("chat.reply.dead", &parked_for(id, days));
    }
    age_everything_by(&world, TimeDelta::days(370)).await;

    let would = said(&world, &["prune", "--dry-run"]).await;
    let done = said(&world, &["prune"]).await;
    for expected in [
        "1  parked_messages",
        "1  documents",
        "1  research_answers",
        "1  reply_texts",
        "2  message_texts",
        "0  batches",
        "0  jobs",
    ] {
        assert!(would.contains(expected), "{would}");
        assert!(done.contains(expected), "{done}");
    }
    assert!(said(&world, &["prune"]).await.contains("0  in all were"));

    assert_eq!(world.broker.waiting("chat.reply.dead").len(), 1);
    let messages = message::Entity::find().all(&world.db).await.unwrap();
    assert!(messages.iter().all(|message| message.text.is_empty()));
    let reply = reply::find(&world.db, answered.id).await.unwrap().unwrap();
    assert_eq!(reply.text, "");
    assert!(!file.exists() && !file.with_extension("json").exists());
    let row = world.job(&job).await;
    assert_eq!((row.input, row.response), (None, None));
    let status = world.get(&format!("/job-status/{job}")).await.body;
    assert_eq!(status["status"], "notified");
    assert_eq!(status["document_url"], Value::Null);
    let conservation = said(&world, &["conservation"]).await;
    assert!(conservation.contains("chat.reply"), "{conservation}");

    age_everything_by(&world, TimeDelta::days(401)).await;
    let done = said(&world, &["prune"]).await;
    assert!(
        done.contains("1  batches") && done.contains("1  jobs"),
        "{done}"
    );
    assert_eq!(message::Entity::find().count(&world.db).await.unwrap(), 0);
    said(&world, &["conservation"]).await;
}

async fn a_contact_is_deleted_and_starts_afresh(world: World) {
    let _gateway = world.spawn_gateway().await;
    let _worker = world.spawn_worker("all").await;
    for contact in ["ada", "grace"] {
        world.sandbox.add_fault(refused(SEND_MESSAGE, 400));
        world.contact_writes(contact, "Hello!").await;
        world.close_batch(contact, 1).await;
        world.until_batch(contact, batch::State::Failed).await;
    }
    world
        .until("two parked messages", |world| {
            world.broker.waiting("chat.reply.dead").len() == 2
        })
        .await;

    let would = said(&world, &["contact", "delete", "ada", "--dry-run"]).await;
    assert!(
        would.contains("Would delete 1 message(s), 1 batch(es), 1 reply(ies) and the contact."),
        "{would}"
    );
    assert!(
        would.contains("Would delete 1 parked message(s) in chat.reply.dead."),
        "{would}"
    );
    assert_eq!(world.broker.waiting("chat.reply.dead").len(), 2);
    let deleted = said(&world, &["contact", "delete", "ada"]).await;
    assert!(
        deleted.contains("Deleted 1 parked message(s) in chat.reply.dead."),
        "{deleted}"
    );

    let ada = ContactId::from("ada");
    assert!(contact::find(&world.db, &ada).await.unwrap().is_none());
    let left = world.broker.waiting("chat.reply.dead");
    assert_eq!(left.len(), 1);
    assert!(left[0]["payload"].as_str().unwrap().contains("grace"));
    assert_eq!(message::Entity::find().count(&world.db).await.unwrap(), 1);
    said(&world, &["conservation"]).await;

    world.contact_writes("ada", "Me again.").await;
    world.close_batch("ada", 1).await;
    world.until_batch("ada", batch::State::Replied).await;
    assert_eq!(world.sent_to("ada").len(), 1);
}

async fn who_opted_out_is_not_written_to_after_the_deletion(world: World) {
    let _gateway = world.spawn_gateway().await;
    let _worker = world.spawn_worker("all").await;
    world.contact_writes("ada", "STOP").await;
    world.close_batch("ada", 1).await;
    world.until_batch("ada", batch::State::Suppressed).await;
    let deleted = said(&world, &["contact", "delete", "ada"]).await;
    assert!(
        deleted.contains("does not want to be written to"),
        "{deleted}"
    );

    world.contact_writes("ada", "Hello?").await;
    world.close_batch("ada", 1).await;
    let suppressed = world.until_batch("ada", batch::State::Suppressed).await;
    assert_eq!(suppressed.reason.as_deref(), Some("opted_out"));
    assert_eq!(world.sent_to("ada").len(), 0);
}

async fn a_purged_message_is_accounted_for(world: World) {
    let _gateway = world.spawn_gateway().await;
    let _worker = world.spawn_worker("all").await;
    a_reply_is_parked(&world).await;
    let purged = said(&world, &["dead-letters", "purge", "chat.reply", "--all"]).await;
    assert!(purged.contains("1 message(s) purged"), "{purged}");
    let conservation = said(&world, &["conservation"]).await;
    assert!(
        conservation.contains("chat.reply: 1 suppressed: given_up"),
        "{conservation}"
    );
}

async fn a_time_that_is_too_short_stops_the_start(mut world: World) {
    world.set("RETENTION_EVENTS_DAYS", "13");
    world.set("RETENTION_TEXTS_DAYS", "7");
    let mut worker = world.spawn_unready_worker();
    assert!(!worker.ended().await.success());
    let output = worker.output();
    assert!(
        output.contains("RETENTION_EVENTS_DAYS must be a number from 14"),
        "{output}"
    );
    assert!(
        output.contains("RETENTION_TEXTS_DAYS must not be shorter than RETENTION_PARKED_DAYS"),
        "{output}"
    );
}

/// A message as it lies in a parking lot after these days.
fn parked_for(id: &str, days: i64) -> Value {
    let event = json!({
        "specversion": "1.0", "id": id, "source": "/worker", "type": "chat.batch_closed",
        "time": Utc::now(), "data": {"batch_id": uuid::Uuid::nil(), "contact_id": "nobody"},
    });
    let timestamp = (Utc::now() - TimeDelta::days(days)).timestamp();
    json!({
        "properties": {"timestamp": timestamp, "delivery_mode": 2, "headers": {}},
        "payload": event.to_string(),
        "payload_encoding": "string",
    })
}

/// Moves what has happened so far into the past.
async fn age_everything_by(world: &World, age: TimeDelta) {
    let then: DateTime<Utc> = Utc::now() - age;
    let batches = batch::ActiveModel {
        finished_at: Set(Some(then)),
        ..Default::default()
    };
    batch::Entity::update_many()
        .set(batches)
        .exec(&world.db)
        .await
        .unwrap();
    let messages = message::ActiveModel {
        received_at: Set(then),
        ..Default::default()
    };
    message::Entity::update_many()
        .set(messages)
        .exec(&world.db)
        .await
        .unwrap();
    let jobs = job::ActiveModel {
        updated_at: Set(then),
        ..Default::default()
    };
    job::Entity::update_many()
        .set(jobs)
        .exec(&world.db)
        .await
        .unwrap();
    let documents = document::ActiveModel {
        created_at: Set(then),
        ..Default::default()
    };
    document::Entity::update_many()
        .set(documents)
        .exec(&world.db)
        .await
        .unwrap();
}

/// What a command that succeeded has printed.
async fn said(world: &World, arguments: &[&str]) -> String {
    let output = world.worker_command(arguments).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{error}");
    text
}
