//! A batch's way from its first message to its end.

use entities::{ContactId, batch, message};

use crate::{
    database::{Fresh, on_both_databases},
    samples::{ada, add, at, batch, by_sms, closed_batch, inbound, incoming, receive},
};

on_both_databases!(
    messages_of_a_contact_share_the_open_batch,
    a_message_after_the_close_opens_the_next_batch,
    the_same_event_again_is_where_it_was,
    the_reply_goes_the_way_of_the_latest_message,
    messages_of_several_contacts_find_their_batches_together,
    of_several_batches_only_the_open_ones_close,
    a_quiet_batch_closes_once_and_only_at_its_latest_message,
    a_deadline_closes_whatever_the_sequence_once,
    a_closed_batch_ends_once,
    a_failed_batch_can_go_on_and_no_other,
    a_clock_that_is_behind_does_not_turn_the_order_round,
);

async fn messages_of_a_contact_share_the_open_batch(fresh: Fresh) {
    let db = fresh.migrated().await;

    let first = receive(&db, &ada(), "event 1", 0).await;
    let second = receive(&db, &ada(), "event 2", 5).await;
    let of_bob = receive(&db, &ContactId::from("bob"), "event 3", 6).await;

    assert_eq!(
        (first.sequence, second.sequence, of_bob.sequence),
        (1, 2, 1)
    );
    assert_eq!(first.batch_id, second.batch_id);
    assert_ne!(first.batch_id, of_bob.batch_id);
    let row = batch(&db, first.batch_id).await;
    assert_eq!((row.state, row.sequence), (batch::State::Open, 2));
    assert_eq!((row.opened_at, row.last_message_at), (at(0), at(5)));
    let stored = message::find_by_event(&db, "event 2")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (stored.batch_id, stored.sequence),
        (Some(first.batch_id), Some(2))
    );
}

async fn a_message_after_the_close_opens_the_next_batch(fresh: Fresh) {
    let db = fresh.migrated().await;
    let first = closed_batch(&db, &ada(), "event 1", 0).await;

    let added = receive(&db, &ada(), "event 2", 60).await;

    assert_ne!(added.batch_id, first);
    assert_eq!(added.sequence, 1);
    assert_eq!(batch(&db, first).await.sequence, 1);
}

async fn the_same_event_again_is_where_it_was(fresh: Fresh) {
    let db = fresh.migrated().await;
    let first = receive(&db, &ada(), "event", 0).await;
    receive(&db, &ada(), "another event", 1).await;
    batch::close(&db, first.batch_id, batch::ClosedBy::Quiet, at(31))
        .await
        .unwrap();

    let again = receive(&db, &ada(), "event", 60).await;

    assert_eq!(again, first);
    assert_eq!(batch(&db, first.batch_id).await.sequence, 2);
    assert_eq!(batch::open_of_contact(&db, &ada()).await.unwrap(), None);
}

async fn the_reply_goes_the_way_of_the_latest_message(fresh: Fresh) {
    let db = fresh.migrated().await;
    let added = receive(&db, &ada(), "event 1", 0).await;
    let by_custom_channel = batch::BatchRoute {
        channel: "Custom".to_owned(),
        location_id: None,
        conversation_id: None,
        conversation_provider_id: Some("provider".to_owned()),
    };

    let second = incoming(&ada(), inbound("event 2", 1), by_custom_channel);
    add(&db, second, 1).await;

    let row = batch(&db, added.batch_id).await;
    assert_eq!(row.channel, "Custom");
    assert_eq!(row.conversation_provider_id.as_deref(), Some("provider"));
    assert_eq!(
        row.conversation_id,
        by_sms().conversation_id,
        "nothing newer is known"
    );
    assert_eq!(row.location_id, by_sms().location_id);

    receive(&db, &ada(), "event 3", 2).await;
    let row = batch(&db, added.batch_id).await;
    assert_eq!(
        (row.channel.as_str(), row.conversation_provider_id),
        ("SMS", None)
    );
}

async fn messages_of_several_contacts_find_their_batches_together(fresh: Fresh) {
    let db = fresh.migrated().await;
    let bob = ContactId::from("bob");
    let before = receive(&db, &ada(), "event 0", 0).await;
    let of = |contact: &ContactId, event| incoming(contact, inbound(event, 1), by_sms());
    let mut elsewhere = of(&ada(), "event 4");
    elsewhere.route.conversation_id = None;
    elsewhere.route.channel = "Email".to_owned();

    let messages = vec![
        of(&ada(), "event 1"),
        of(&bob, "event 2"),
        of(&ada(), "event 0"),
        of(&bob, "event 3"),
        elsewhere,
    ];
    let added = batch::add_messages(&db, messages, at(1)).await.unwrap();

    let numbers: Vec<i32> = added.iter().map(|added| added.sequence).collect();
    assert_eq!(numbers, [2, 1, 1, 2, 3]);
    assert_eq!(added[2], before, "it was stored before");
    for place in [0, 2, 4] {
        assert_eq!(added[place].batch_id, before.batch_id);
    }
    assert_eq!(added[1].batch_id, added[3].batch_id);
    let of_ada = batch(&db, before.batch_id).await;
    assert_eq!((of_ada.sequence, of_ada.channel.as_str()), (3, "Email"));
    assert_eq!(of_ada.conversation_id, by_sms().conversation_id);
    let stored = message::of_batch(&db, added[1].batch_id).await.unwrap();
    let stored: Vec<_> = stored.iter().map(|one| one.event_id.as_str()).collect();
    assert_eq!(stored, ["event 2", "event 3"]);
    assert_eq!(batch::add_messages(&db, vec![], at(2)).await.unwrap(), []);
}

async fn of_several_batches_only_the_open_ones_close(fresh: Fresh) {
    let db = fresh.migrated().await;
    let closed = closed_batch(&db, &ada(), "event 1", 0).await;
    let open = receive(&db, &ada(), "event 2", 60).await.batch_id;
    let ids = [closed, open];

    let held = batch::hold_free(&db, ids).await.unwrap();
    let by = batch::ClosedBy::Deadline;
    let closed_now = batch::close_all(&db, &ids, by, at(360)).await.unwrap();

    assert_eq!((held.len(), closed_now), (2, 1));
    assert_eq!(batch(&db, closed).await.closed_at, Some(at(30)));
    let sent = batch::finish_all_sent(&db, &ids, at(361)).await.unwrap();
    assert_eq!(sent, 2);
    assert_eq!(batch(&db, open).await.state, batch::State::Replied);
}

async fn a_quiet_batch_closes_once_and_only_at_its_latest_message(fresh: Fresh) {
    let db = fresh.migrated().await;
    let id = receive(&db, &ada(), "event 1", 0).await.batch_id;
    receive(&db, &ada(), "event 2", 5).await;

    assert!(!batch::close_if_quiet(&db, id, 1, at(30)).await.unwrap());
    assert!(batch::close_if_quiet(&db, id, 2, at(35)).await.unwrap());
    assert!(!batch::close_if_quiet(&db, id, 2, at(36)).await.unwrap());

    let row = batch(&db, id).await;
    assert_eq!(row.state, batch::State::Closed);
    assert_eq!(
        (row.closed_at, row.closed_by),
        (Some(at(35)), Some(batch::ClosedBy::Quiet))
    );
}

async fn a_deadline_closes_whatever_the_sequence_once(fresh: Fresh) {
    let db = fresh.migrated().await;
    let id = receive(&db, &ada(), "event 1", 0).await.batch_id;
    receive(&db, &ada(), "event 2", 299).await;

    assert!(
        batch::close(&db, id, batch::ClosedBy::Deadline, at(300))
            .await
            .unwrap()
    );
    assert!(
        !batch::close(&db, id, batch::ClosedBy::Operator, at(301))
            .await
            .unwrap()
    );
    assert!(!batch::close_if_quiet(&db, id, 2, at(329)).await.unwrap());

    let row = batch(&db, id).await;
    assert_eq!(
        (row.closed_at, row.closed_by),
        (Some(at(300)), Some(batch::ClosedBy::Deadline))
    );
}

async fn a_closed_batch_ends_once(fresh: Fresh) {
    let db = fresh.migrated().await;
    let outcomes = [
        (batch::Outcome::Replied, batch::State::Replied),
        (batch::Outcome::Superseded, batch::State::Superseded),
        (batch::Outcome::Suppressed, batch::State::Suppressed),
        (batch::Outcome::Failed, batch::State::Failed),
    ];
    for (number, (outcome, state)) in (0..).zip(outcomes) {
        let contact = ContactId(format!("contact {number}"));
        let id = receive(&db, &contact, &format!("event {number}"), 0)
            .await
            .batch_id;
        let finish = async |outcome| {
            batch::finish(&db, id, outcome, Some("why"), at(60))
                .await
                .unwrap()
        };

        assert!(!finish(outcome).await, "it is still open");
        batch::close(&db, id, batch::ClosedBy::Quiet, at(30))
            .await
            .unwrap();
        assert!(finish(outcome).await);
        assert!(!finish(batch::Outcome::Replied).await);
        assert!(
            !batch::close(&db, id, batch::ClosedBy::Sweeper, at(61))
                .await
                .unwrap()
        );

        let row = batch(&db, id).await;
        assert_eq!((row.state, row.finished_at), (state, Some(at(60))));
        assert_eq!(row.reason.as_deref(), Some("why"));
    }
}

async fn a_failed_batch_can_go_on_and_no_other(fresh: Fresh) {
    let db = fresh.migrated().await;
    let id = closed_batch(&db, &ada(), "event", 0).await;

    assert!(!batch::resume_failed(&db, id).await.unwrap());
    batch::finish(&db, id, batch::Outcome::Failed, Some("why"), at(60))
        .await
        .unwrap();
    assert!(batch::resume_failed(&db, id).await.unwrap());
    assert!(!batch::resume_failed(&db, id).await.unwrap());

    let row = batch(&db, id).await;
    assert_eq!(row.state, batch::State::Closed);
    assert_eq!((row.finished_at, row.reason), (None, None));
    assert_eq!(row.closed_at, Some(at(30)), "as it was");
}

async fn a_clock_that_is_behind_does_not_turn_the_order_round(fresh: Fresh) {
    let db = fresh.migrated().await;
    let first = closed_batch(&db, &ada(), "event 1", 0).await;

    let second = closed_batch(&db, &ada(), "event 2", -5).await;

    let (first, second) = (batch(&db, first).await, batch(&db, second).await);
    assert!(second.opened_at > first.opened_at);
    let opened = batch::opened(&db, [&ada()]).await.unwrap();
    let (first, last) = (first.opened_at, second.opened_at);
    assert_eq!(opened[&ada()], batch::Opened { first, last });
    assert_eq!(
        batch::latest_of_contact(&db, &ada()).await.unwrap(),
        Some(second)
    );
}
