//! What is over goes, what is needed stays.

use entities::batch::{self, Outcome, State};
use entities::erasure::{Erasure, erase, stored};
use entities::message::Author;
use entities::reply::{self, NewReply};
use entities::retention::{Kind, count, remove_some};
use entities::{BatchId, ContactId, contact, document, effect, job, message, processed_event};
use sea_orm::{DatabaseConnection, EntityTrait, PaginatorTrait};
use serde_json::json;

use crate::database::{Fresh, on_both_databases};
use crate::samples::{
    ada, at, batch, closed_batch, completed_job, document as document_of, documented_job, inbound,
    outbound, queued_job, receive, state_of,
};

on_both_databases!(
    ids_of_old_events_are_forgotten,
    texts_of_batches_that_have_ended_are_emptied_and_the_others_stay,
    a_batch_that_was_given_up_ends_before_its_texts_go,
    ended_batches_go_with_all_that_belongs_to_them,
    what_was_asked_and_answered_goes_when_the_job_has_ended,
    a_job_stays_as_long_as_its_file_and_its_effects_as_long_as_the_job,
    a_contact_goes_with_its_last_trace_and_its_wish_to_be_silent_stays,
    several_may_remove_at_once,
    a_contact_is_erased_and_nobody_else,
    a_wish_to_be_silent_outlives_the_erasure,
    nothing_is_erased_while_a_reply_may_be_on_its_way,
);

/// Removes all of a kind, as it is at this second.
async fn remove(db: &DatabaseConnection, kind: Kind, before: i64) -> u64 {
    let expected = count(db, kind, at(before)).await.unwrap();
    let mut removed = 0;
    loop {
        match remove_some(db, kind, at(before), at(before)).await.unwrap() {
            0 => break,
            some => removed += some,
        }
    }
    assert_eq!(removed, expected, "a dry run promises what is done");
    removed
}

async fn answer(db: &DatabaseConnection, batch: BatchId) {
    let reply = NewReply {
        batch_id: batch,
        text: "Yes, at noon.".to_owned(),
        send: true,
        model: "writer".to_owned(),
        input_tokens: None,
        cached_tokens: None,
        output_tokens: None,
        reasoning_tokens: None,
        cost_usd: None,
        generated_at: at(31),
    };
    reply::store(db, reply).await.unwrap();
}

/// A batch of this contact that has ended at second 40, with a message and a reply.
async fn ended_batch(db: &DatabaseConnection, contact: &str, outcome: Outcome) -> BatchId {
    let id = closed_batch(db, &ContactId::from(contact), contact, 0).await;
    answer(db, id).await;
    let key = format!("reply:{id}:send");
    effect::start(db, &key, at(32)).await.unwrap();
    effect::finish(db, &key, json!({}), at(33)).await.unwrap();
    assert!(batch::finish(db, id, outcome, None, at(40)).await.unwrap());
    id
}

async fn texts(db: &DatabaseConnection, id: BatchId) -> Vec<String> {
    let mut texts: Vec<String> = message::of_batch(db, id)
        .await
        .unwrap()
        .into_iter()
        .map(|message| message.text)
        .collect();
    texts.extend(reply::find(db, id).await.unwrap().map(|reply| reply.text));
    texts
}

async fn ids_of_old_events_are_forgotten(fresh: Fresh) {
    let db = fresh.migrated().await;
    for (event, seconds) in [("old", 0), ("older", -1), ("young", 10)] {
        processed_event::record(&db, "chat.intake", event, at(seconds))
            .await
            .unwrap();
    }
    assert_eq!(remove(&db, Kind::EventIds, 10).await, 2);
    let record = async |event| {
        processed_event::record(&db, "chat.intake", event, at(11))
            .await
            .unwrap()
    };
    assert!(!record("young").await);
    assert!(record("old").await);
}

async fn texts_of_batches_that_have_ended_are_emptied_and_the_others_stay(fresh: Fresh) {
    let db = fresh.migrated().await;
    let old = ended_batch(&db, "old", Outcome::Replied).await;
    let open = receive(&db, &ContactId::from("open"), "open", 0)
        .await
        .batch_id;
    let waiting = closed_batch(&db, &ContactId::from("waiting"), "waiting", 0).await;
    answer(&db, waiting).await;
    let own = outbound("own", Author::Assistant, 0);
    message::store_without_batch(&db, &ada(), own, at(0))
        .await
        .unwrap();

    assert_eq!(
        remove(&db, Kind::MessageTexts, 40).await,
        1,
        "that of no batch"
    );
    assert_eq!(remove(&db, Kind::MessageTexts, 41).await, 1);
    assert_eq!(remove(&db, Kind::ReplyTexts, 41).await, 1);
    assert_eq!(texts(&db, old).await, ["", ""]);
    let emptied = message::find_by_event(&db, "old").await.unwrap().unwrap();
    assert_eq!((emptied.subject, emptied.attachments.0.len()), (None, 0));
    assert_eq!(emptied.emptied_at, Some(at(41)));
    assert_eq!(texts(&db, open).await, ["text of open"]);
    assert_eq!(
        texts(&db, waiting).await,
        ["text of waiting", "Yes, at noon."]
    );
}

async fn a_batch_that_was_given_up_ends_before_its_texts_go(fresh: Fresh) {
    let db = fresh.migrated().await;
    let id = ended_batch(&db, "ada", Outcome::Failed).await;
    assert_eq!(
        remove(&db, Kind::MessageTexts, 1000).await,
        0,
        "a replay needs them"
    );
    assert_eq!(remove(&db, Kind::ReplyTexts, 1000).await, 0);
    assert_eq!(remove(&db, Kind::FailedBatches, 40).await, 0);
    assert_eq!(remove(&db, Kind::FailedBatches, 41).await, 1);
    let ended = batch(&db, id).await;
    assert_eq!(ended.state, State::Suppressed);
    assert_eq!(ended.reason.as_deref(), Some("texts_removed"));
    assert!(
        !batch::resume_failed(&db, id).await.unwrap(),
        "no replay leads out of it"
    );
    assert_eq!(remove(&db, Kind::MessageTexts, 41).await, 1);
}

async fn ended_batches_go_with_all_that_belongs_to_them(fresh: Fresh) {
    let db = fresh.migrated().await;
    let old = ended_batch(&db, "old", Outcome::Superseded).await;
    let failed = ended_batch(&db, "failed", Outcome::Failed).await;
    let waiting = closed_batch(&db, &ContactId::from("waiting"), "waiting", 0).await;
    let told = format!("notify:{old}:reply_failed");
    effect::start(&db, &told, at(40)).await.unwrap();

    assert_eq!(remove(&db, Kind::Batches, 40).await, 0);
    assert_eq!(remove(&db, Kind::Batches, 41).await, 1);
    assert!(batch::find(&db, old).await.unwrap().is_none());
    assert!(texts(&db, old).await.is_empty());
    assert_eq!(
        effect::Entity::find().count(&db).await.unwrap(),
        1,
        "that of the failed one"
    );
    assert_eq!(texts(&db, failed).await.len(), 2);
    assert_eq!(texts(&db, waiting).await.len(), 1);
}

async fn what_was_asked_and_answered_goes_when_the_job_has_ended(fresh: Fresh) {
    let db = fresh.migrated().await;
    let running = completed_job(&db, "running").await;
    let ended = documented_job(&db, "ended").await;
    assert!(job::mark_notified(&db, ended, at(5)).await.unwrap());
    let failed = completed_job(&db, "failed").await;
    assert!(
        job::fail(&db, failed, "google_refused: 400", at(5))
            .await
            .unwrap()
    );

    assert_eq!(remove(&db, Kind::ResearchAnswers, 5).await, 0);
    assert_eq!(remove(&db, Kind::ResearchAnswers, 6).await, 1);
    let response = async |id| job::find(&db, id).await.unwrap().unwrap().response;
    assert_eq!(response(ended).await, None);
    assert!(response(running).await.is_some());
    assert!(
        response(failed).await.is_some(),
        "a replay makes its document"
    );

    assert_eq!(remove(&db, Kind::FailedJobs, 6).await, 1);
    assert_eq!(state_of(&db, failed).await, job::State::Cancelled);
    let row = job::find(&db, failed).await.unwrap().unwrap();
    assert_eq!(row.error.as_deref(), Some("google_refused: 400"));
    assert_eq!(remove(&db, Kind::ResearchAnswers, 6).await, 1);
    assert_eq!(state_of(&db, running).await, job::State::Completed);
}

async fn a_job_stays_as_long_as_its_file_and_its_effects_as_long_as_the_job(fresh: Fresh) {
    let db = fresh.migrated().await;
    let google = documented_job(&db, "google").await;
    let local = completed_job(&db, "local").await;
    let file = document::Model {
        provider: document::Provider::Local,
        ..document_of(local, "/documents/a.md", 3)
    };
    document::store(&db, file).await.unwrap();
    assert!(job::mark_documented(&db, local, at(3)).await.unwrap());
    for id in [google, local] {
        assert!(job::mark_notified(&db, id, at(5)).await.unwrap());
        for key in ["submit:1", "submit:2"] {
            let key = format!("research:{id}:{key}");
            effect::start(&db, &key, at(1)).await.unwrap();
        }
    }
    let queued = queued_job(&db, "queued").await;
    let submission = format!("research:{queued}:submit:1");
    effect::start(&db, &submission, at(1)).await.unwrap();

    assert_eq!(remove(&db, Kind::Jobs, 6).await, 1);
    assert!(job::find(&db, google).await.unwrap().is_none());
    assert!(document::find(&db, google).await.unwrap().is_none());
    assert_eq!(effect::Entity::find().count(&db).await.unwrap(), 3);

    let old = document::old_files(&db, at(4), None, 10).await.unwrap();
    assert_eq!(old.len(), 1);
    let next = document::old_files(&db, at(4), Some(local), 10)
        .await
        .unwrap();
    assert!(next.is_empty());
    assert!(document::mark_removed(&db, local, at(7)).await.unwrap());
    assert!(!document::mark_removed(&db, local, at(8)).await.unwrap());
    let again = job::fresh_document(&db, "company-7", "hash", at(0))
        .await
        .unwrap();
    assert!(again.is_none(), "a document that is gone is not used again");
    assert_eq!(remove(&db, Kind::Jobs, 6).await, 1);
    assert!(effect::find(&db, &submission).await.unwrap().is_some());
}

async fn a_contact_goes_with_its_last_trace_and_its_wish_to_be_silent_stays(fresh: Fresh) {
    let db = fresh.migrated().await;
    let details = contact::Details {
        first_name: Some("A".to_owned()),
        phone: Some("+1".to_owned()),
        ..contact::Details::default()
    };
    let ids = ["gone", "writes", "stop", "dnd", "channel"].map(ContactId::from);
    for id in &ids {
        contact::upsert(&db, id, &details, at(0)).await.unwrap();
    }
    let [gone, writes, stop, dnd, channel] = &ids;
    message::store_without_batch(&db, writes, inbound("e1", 0), at(0))
        .await
        .unwrap();
    contact::set_opted_out(&db, stop, Some(at(0)), at(0))
        .await
        .unwrap();
    contact::set_dnd(&db, dnd, true, &[], at(0)).await.unwrap();
    contact::set_dnd(&db, channel, false, &["SMS".to_owned()], at(0))
        .await
        .unwrap();

    assert_eq!(remove(&db, Kind::Contacts, 0).await, 0);
    assert_eq!(remove(&db, Kind::Contacts, 1).await, 4);
    assert!(contact::find(&db, gone).await.unwrap().is_none());
    let kept = async |id| contact::find(&db, id).await.unwrap().unwrap();
    assert!(kept(writes).await.phone.is_some());
    for id in [stop, dnd, channel] {
        let silent = kept(id).await;
        assert_eq!((silent.first_name, silent.phone), (None, None));
    }
    assert!(kept(stop).await.opted_out_at.is_some());
    assert!(kept(dnd).await.dnd);
    assert_eq!(kept(channel).await.dnd_channels.0, ["SMS"]);
    assert_eq!(remove(&db, Kind::LooseMessages, 1).await, 1);
    assert_eq!(remove(&db, Kind::Contacts, 1).await, 1);
}

async fn several_may_remove_at_once(fresh: Fresh) {
    let db = fresh.migrated().await;
    for number in 0..30 {
        ended_batch(&db, &format!("contact {number}"), Outcome::Replied).await;
    }
    let removing: Vec<_> = (0..4)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move {
                let mut removed = 0;
                for kind in [Kind::MessageTexts, Kind::ReplyTexts, Kind::Batches] {
                    while let some @ 1.. = remove_some(&db, kind, at(100), at(100)).await.unwrap() {
                        removed += some;
                    }
                }
                removed
            })
        })
        .collect();
    for removing in removing {
        removing.await.unwrap();
    }
    // Who was last has met rows that another held; the next run takes what is left.
    for kind in [Kind::MessageTexts, Kind::ReplyTexts, Kind::Batches] {
        remove(&db, kind, 100).await;
    }
    assert_eq!(batch::Entity::find().count(&db).await.unwrap(), 0);
    assert_eq!(message::Entity::find().count(&db).await.unwrap(), 0);
}

async fn a_contact_is_erased_and_nobody_else(fresh: Fresh) {
    let db = fresh.migrated().await;
    let (ada, grace) = (ada(), ContactId::from("grace"));
    for contact in [&ada, &grace] {
        let details = contact::Details::default();
        contact::upsert(&db, contact, &details, at(0))
            .await
            .unwrap();
        ended_batch(&db, contact.as_str(), Outcome::Replied).await;
        receive(&db, contact, &format!("open of {contact}"), 50).await;
        let own = outbound(&format!("own to {contact}"), Author::Assistant, 0);
        message::store_without_batch(&db, contact, own, at(0))
            .await
            .unwrap();
    }
    let before = stored(&db, &ada).await.unwrap();
    assert_eq!((before.batches, before.waiting), (2, 1));
    assert_eq!((before.messages, before.replies), (3, 1));
    assert!(before.contact && !before.wants_silence);

    assert_eq!(
        erase(&db, &ada, at(100)).await.unwrap(),
        Erasure::Erased(before)
    );
    let nothing = stored(&db, &ada).await.unwrap();
    assert_eq!(nothing, entities::erasure::Stored::default());
    assert_eq!(stored(&db, &grace).await.unwrap(), before);
    assert_eq!(effect::Entity::find().count(&db).await.unwrap(), 1);
    // Again, it is harmless; and a new message starts afresh.
    assert_eq!(
        erase(&db, &ada, at(100)).await.unwrap(),
        Erasure::Erased(nothing)
    );
    assert_eq!(receive(&db, &ada, "new", 200).await.sequence, 1);
}

async fn a_wish_to_be_silent_outlives_the_erasure(fresh: Fresh) {
    let db = fresh.migrated().await;
    let details = contact::Details {
        email: Some("ada@example.com".to_owned()),
        ..contact::Details::default()
    };
    contact::upsert(&db, &ada(), &details, at(0)).await.unwrap();
    contact::set_opted_out(&db, &ada(), Some(at(1)), at(1))
        .await
        .unwrap();
    let Erasure::Erased(erased) = erase(&db, &ada(), at(100)).await.unwrap() else {
        panic!("nothing is on its way");
    };
    assert!(erased.wants_silence);
    let kept = contact::find(&db, &ada()).await.unwrap().unwrap();
    assert_eq!(kept.email, None);
    assert_eq!(kept.opted_out_at, Some(at(1)));
}

async fn nothing_is_erased_while_a_reply_may_be_on_its_way(fresh: Fresh) {
    let db = fresh.migrated().await;
    let batch_id = receive(&db, &ada(), "e1", 0).await.batch_id;
    batch::close(&db, batch_id, batch::ClosedBy::Quiet, at(30))
        .await
        .unwrap();
    let key = format!("reply:{batch_id}:send");
    effect::start(&db, &key, at(50)).await.unwrap();
    let erasure = erase(&db, &ada(), at(49)).await.unwrap();
    assert_eq!(erasure, Erasure::ReplyOnItsWay(batch_id));
    assert_eq!(stored(&db, &ada()).await.unwrap().messages, 1);
    // By then it has gone out or never will.
    let erasure = erase(&db, &ada(), at(50)).await.unwrap();
    assert!(matches!(erasure, Erasure::Erased(_)));
}
