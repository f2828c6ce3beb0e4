//! A batch gets one reply, sent once.

use entities::{BatchId, ContactId, reply};

use crate::{
    database::{Fresh, on_both_databases},
    samples::{ada, at, batch, closed_batch},
};

on_both_databases!(
    the_first_reply_to_a_batch_stays,
    sending_is_noted_once,
    a_reply_needs_its_batch,
    a_reply_to_a_later_batch_is_known_to_the_earlier_one,
);

fn saying(batch_id: BatchId, text: &str) -> reply::NewReply {
    reply::NewReply {
        batch_id,
        text: text.to_owned(),
        send: true,
        model: "writer".to_owned(),
        input_tokens: Some(900),
        cached_tokens: Some(0),
        output_tokens: Some(40),
        reasoning_tokens: None,
        cost_usd: Some(0.0012),
        generated_at: at(40),
    }
}

async fn the_first_reply_to_a_batch_stays(fresh: Fresh) {
    let db = fresh.migrated().await;
    let batch = closed_batch(&db, &ada(), "event", 0).await;

    let first = reply::store(&db, saying(batch, "Tuesday works."))
        .await
        .unwrap();
    let second = reply::store(&db, saying(batch, "Monday works."))
        .await
        .unwrap();

    assert_eq!(first.text, "Tuesday works.");
    assert_eq!((first.cost_usd, first.sent_at), (Some(0.0012), None));
    assert_eq!(second, first);
    assert_eq!(reply::find(&db, batch).await.unwrap(), Some(first));
}

async fn sending_is_noted_once(fresh: Fresh) {
    let db = fresh.migrated().await;
    let batch = closed_batch(&db, &ada(), "event", 0).await;
    let other = closed_batch(&db, &ContactId::from("bob"), "event 2", 0).await;
    let sent = |batch_id, message: &str| reply::SentReply {
        batch_id,
        provider_message_id: message.to_owned(),
        conversation_id: (batch_id == batch).then(|| "conversation".to_owned()),
    };
    let mark = async |sent: &[reply::SentReply], seconds| {
        reply::mark_all_sent(&db, sent.to_vec(), at(seconds))
            .await
            .unwrap()
    };

    let too_early = mark(&[sent(batch, "too early")], 41).await;
    assert_eq!(too_early, 0, "there is no reply yet");
    for batch in [batch, other] {
        reply::store(&db, saying(batch, "Tuesday works."))
            .await
            .unwrap();
    }
    assert_eq!(mark(&[sent(batch, "message")], 42).await, 1);
    let both = [sent(batch, "another message"), sent(other, "bob's message")];
    assert_eq!(mark(&both, 43).await, 1);
    assert_eq!(mark(&[], 44).await, 0);

    let row = reply::find(&db, other).await.unwrap().unwrap();
    assert_eq!(row.sent_at, Some(at(43)));
    assert_eq!(row.provider_message_id.as_deref(), Some("bob's message"));
    assert_eq!(row.conversation_id, None);
    let row = reply::find(&db, batch).await.unwrap().unwrap();
    assert_eq!(row.sent_at, Some(at(42)));
    assert_eq!(row.provider_message_id.as_deref(), Some("message"));
    assert_eq!(row.conversation_id.as_deref(), Some("conversation"));
}

async fn a_reply_needs_its_batch(fresh: Fresh) {
    let db = fresh.migrated().await;

    let error = reply::store(&db, saying(BatchId::new(at(0)), "Hello?"))
        .await
        .unwrap_err();

    assert!(!entities::is_transient(&error), "{error}");
}

async fn a_reply_to_a_later_batch_is_known_to_the_earlier_one(fresh: Fresh) {
    let db = fresh.migrated().await;
    let earlier = closed_batch(&db, &ada(), "event 1", 0).await;
    let later = closed_batch(&db, &ada(), "event 2", 40).await;
    let of_another = closed_batch(&db, &ContactId::from("bob"), "event 3", 80).await;
    let exists = async |id| {
        let batch = batch(&db, id).await;
        reply::exists_for_newer(&db, &batch).await.unwrap()
    };

    reply::store(&db, saying(of_another, "Yes.")).await.unwrap();
    assert!(!exists(earlier).await);
    reply::store(&db, saying(later, "Yes.")).await.unwrap();

    assert!(exists(earlier).await);
    assert!(!exists(later).await, "it is the latest one");
}
