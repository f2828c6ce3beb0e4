//! Messages: stored once, read in the right order.

use entities::{ContactId, message, message::Author};

use crate::{
    database::{Fresh, on_both_databases},
    samples::{ada, add, at, batch, by_sms, closed_batch, inbound, incoming, outbound, receive},
};

on_both_databases!(
    a_message_without_a_batch_is_stored_once,
    a_message_comes_back_as_it_was,
    a_batch_is_read_in_the_order_the_contact_sent_it,
    the_history_ends_where_the_batch_begins,
    the_history_holds_the_newest,
    of_several_batches_each_has_its_own_history,
    only_a_person_writing_later_counts_as_an_answer_by_hand,
);

async fn a_message_without_a_batch_is_stored_once(fresh: Fresh) {
    let db = fresh.migrated().await;
    let call = inbound("event", 0);
    let store = async |text: &str| {
        let message = message::NewMessage {
            text: text.to_owned(),
            ..call.clone()
        };
        message::store_without_batch(&db, &ada(), message, at(1))
            .await
            .unwrap()
    };

    assert!(store("first").await);
    assert!(!store("second").await);

    let stored = message::find_by_event(&db, "event").await.unwrap().unwrap();
    assert_eq!(stored.text, "first");
    assert_eq!((stored.batch_id, stored.sequence), (None, None));
    assert_eq!(message::find_by_event(&db, "another").await.unwrap(), None);
}

async fn a_message_comes_back_as_it_was(fresh: Fresh) {
    let db = fresh.migrated().await;
    let sent = message::NewMessage {
        subject: Some("Termin \u{1f600}".to_owned()),
        email_message_id: Some("e-mail".to_owned()),
        ..outbound("event", Author::Person, -3)
    };
    message::store_without_batch(&db, &ada(), sent.clone(), at(1))
        .await
        .unwrap();

    let stored = message::find_by_event(&db, "event").await.unwrap().unwrap();

    assert_eq!((stored.contact_id, stored.received_at), (ada(), at(1)));
    let back = message::NewMessage {
        event_id: stored.event_id,
        direction: stored.direction,
        author: stored.author,
        provider_message_id: stored.provider_message_id,
        email_message_id: stored.email_message_id,
        channel: stored.channel,
        subject: stored.subject,
        text: stored.text,
        attachments: stored.attachments.0,
        sent_at: stored.sent_at,
    };
    assert_eq!(back, sent);
}

async fn a_batch_is_read_in_the_order_the_contact_sent_it(fresh: Fresh) {
    let db = fresh.migrated().await;
    let mut id = None;
    for (event, sent_at) in [("third", 9), ("first", 1), ("second", 5), ("fourth", 9)] {
        let message = incoming(&ada(), inbound(event, sent_at), by_sms());
        id = Some(add(&db, message, 10).await.batch_id);
    }

    let messages = message::of_batch(&db, id.unwrap()).await.unwrap();

    assert_eq!(events(&messages), ["first", "second", "third", "fourth"]);
}

async fn the_history_ends_where_the_batch_begins(fresh: Fresh) {
    let db = fresh.migrated().await;
    let store = async |message| {
        message::store_without_batch(&db, &ada(), message, at(500))
            .await
            .unwrap();
    };
    closed_batch(&db, &ada(), "earlier batch", 0).await;
    store(outbound("our reply", Author::Assistant, 40)).await;
    let id = closed_batch(&db, &ada(), "this batch", 100).await;
    store(outbound("by hand, meanwhile", Author::Person, 120)).await;
    store(outbound("after the close", Author::Person, 200)).await;
    store(outbound("our late reply", Author::Assistant, 210)).await;
    receive(&db, &ada(), "later batch", 300).await;
    receive(&db, &ContactId::from("bob"), "somebody else", 50).await;

    let batch = batch(&db, id).await;
    let history = message::histories(&db, &[batch], 10).await.unwrap();

    assert_eq!(
        events(&history[0]),
        [
            "earlier batch",
            "our reply",
            "by hand, meanwhile",
            "our late reply"
        ]
    );
}

async fn the_history_holds_the_newest(fresh: Fresh) {
    let db = fresh.migrated().await;
    for (event, sent_at) in [("2", 20), ("4", 40), ("1", 10), ("3", 30)] {
        let message = outbound(event, Author::Assistant, sent_at);
        message::store_without_batch(&db, &ada(), message, at(50))
            .await
            .unwrap();
    }
    let id = closed_batch(&db, &ada(), "this batch", 100).await;

    let history = message::histories(&db, &[batch(&db, id).await], 3)
        .await
        .unwrap();

    assert_eq!(events(&history[0]), ["2", "3", "4"]);
}

async fn of_several_batches_each_has_its_own_history(fresh: Fresh) {
    let db = fresh.migrated().await;
    let mut batches = Vec::new();
    // More than one statement takes, of which some say nothing.
    for number in 0..23 {
        let contact = ContactId(format!("contact {number}"));
        if number % 5 > 0 {
            let said = outbound(&format!("said to {number}"), Author::Person, 0);
            message::store_without_batch(&db, &contact, said, at(1))
                .await
                .unwrap();
        }
        let id = closed_batch(&db, &contact, &format!("message {number}"), 10).await;
        batches.push(batch(&db, id).await);
    }
    // The later batch of a contact has the earlier one's messages before it.
    let id = closed_batch(&db, &batches[1].contact_id, "later", 100).await;
    batches.push(batch(&db, id).await);

    let histories = message::histories(&db, &batches, 10).await.unwrap();

    assert_eq!(histories.len(), 24);
    for (number, history) in histories[..23].iter().enumerate() {
        let said = format!("said to {number}");
        let expected: &[&str] = if number % 5 > 0 { &[&said] } else { &[] };
        assert_eq!(events(history), expected);
    }
    assert_eq!(events(&histories[23]), ["said to 1", "message 1"]);
    assert!(message::histories(&db, &[], 10).await.unwrap().is_empty());
}

async fn only_a_person_writing_later_counts_as_an_answer_by_hand(fresh: Fresh) {
    let db = fresh.migrated().await;
    let human_replied_since_noon = async || {
        message::human_replied_since(&db, &ada(), at(0))
            .await
            .unwrap()
    };
    let store = async |contact: &ContactId, message| {
        message::store_without_batch(&db, contact, message, at(60))
            .await
            .unwrap();
    };

    store(&ada(), inbound("from the contact", 10)).await;
    store(
        &ada(),
        outbound("from the assistant", Author::Assistant, 10),
    )
    .await;
    store(&ada(), outbound("by hand, at that time", Author::Person, 0)).await;
    store(
        &ContactId::from("bob"),
        outbound("to bob", Author::Person, 10),
    )
    .await;
    assert!(!human_replied_since_noon().await);

    store(&ada(), outbound("by hand, later", Author::Person, 1)).await;
    assert!(human_replied_since_noon().await);
}

fn events(messages: &[message::Model]) -> Vec<&str> {
    messages
        .iter()
        .map(|message| message.event_id.as_str())
        .collect()
}
