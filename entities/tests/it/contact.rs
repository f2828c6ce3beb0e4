//! A contact's copy, and whether we may write to them.

use entities::{ContactId, TextList, begin, contact};

use crate::{
    database::{Fresh, on_both_databases},
    samples::{ada, at},
};

on_both_databases!(
    details_that_an_event_leaves_out_are_kept,
    an_event_that_says_nothing_new_writes_once_an_hour,
    several_contacts_are_written_and_held_together,
    a_wish_not_to_be_disturbed_is_kept_for_a_contact_we_never_heard_of,
    opting_out_lasts_until_it_is_taken_back,
    the_latest_answer_by_hand_is_kept,
    a_locked_contact_makes_the_next_wait,
);

async fn details_that_an_event_leaves_out_are_kept(fresh: Fresh) {
    let db = fresh.migrated().await;
    let first = contact::Details {
        first_name: Some("Ada".to_owned()),
        email: Some("ada@old.example".to_owned()),
        ..Default::default()
    };
    let second = contact::Details {
        email: Some("ada@new.example".to_owned()),
        phone: Some("+441234567890".to_owned()),
        ..Default::default()
    };

    contact::upsert(&db, &ada(), &first, at(0)).await.unwrap();
    contact::set_dnd(&db, &ada(), true, &[], at(1))
        .await
        .unwrap();
    contact::upsert(&db, &ada(), &second, at(2)).await.unwrap();

    let row = contact::find(&db, &ada()).await.unwrap().unwrap();
    assert_eq!(row.first_name.as_deref(), Some("Ada"));
    assert_eq!(row.email.as_deref(), Some("ada@new.example"));
    assert_eq!(row.phone.as_deref(), Some("+441234567890"));
    assert!(row.dnd, "details say nothing about it");
    assert_eq!((row.created_at, row.updated_at), (at(0), at(2)));
}

async fn an_event_that_says_nothing_new_writes_once_an_hour(fresh: Fresh) {
    let db = fresh.migrated().await;
    let details = contact::Details {
        first_name: Some("Ada".to_owned()),
        ..Default::default()
    };
    for (seconds, updated_at) in [(0, 0), (3599, 0), (3600, 3600), (3601, 3600)] {
        contact::upsert(&db, &ada(), &details, at(seconds))
            .await
            .unwrap();
        let row = contact::find(&db, &ada()).await.unwrap().unwrap();
        assert_eq!(row.updated_at, at(updated_at), "after {seconds} s");
    }
}

async fn several_contacts_are_written_and_held_together(fresh: Fresh) {
    let db = fresh.migrated().await;
    let (bob, nobody) = (ContactId::from("bob"), ContactId::from("nobody"));
    let named = |name: &str| contact::Details {
        first_name: Some(name.to_owned()),
        ..Default::default()
    };
    contact::upsert(&db, &ada(), &named("A."), at(0))
        .await
        .unwrap();
    let (details, nothing) = (named("Ada"), contact::Details::default());
    contact::upsert_all(&db, [(&ada(), &details), (&bob, &nothing)], at(1))
        .await
        .unwrap();

    let tx = begin(&db).await.unwrap();
    let held = contact::lock_all(&tx, [&bob, &ada(), &nobody])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(held.len(), 2);
    assert_eq!(held[&ada()].first_name.as_deref(), Some("Ada"));
    assert_eq!(held[&bob].first_name, None);
    assert_eq!(contact::find_all(&db, [&ada(), &bob]).await.unwrap(), held);
}

async fn a_wish_not_to_be_disturbed_is_kept_for_a_contact_we_never_heard_of(fresh: Fresh) {
    let db = fresh.migrated().await;
    let sms = ["SMS".to_owned()];

    contact::set_dnd(&db, &ada(), false, &sms, at(0))
        .await
        .unwrap();

    let row = contact::find(&db, &ada()).await.unwrap().unwrap();
    assert!(!row.dnd);
    assert_eq!(row.dnd_channels, TextList::from(sms.to_vec()));

    contact::set_dnd(&db, &ada(), true, &[], at(1))
        .await
        .unwrap();

    let row = contact::find(&db, &ada()).await.unwrap().unwrap();
    assert!(row.dnd);
    assert_eq!(row.dnd_channels, TextList::default());
}

async fn opting_out_lasts_until_it_is_taken_back(fresh: Fresh) {
    let db = fresh.migrated().await;
    let opted_out_at = async || {
        contact::find(&db, &ada())
            .await
            .unwrap()
            .unwrap()
            .opted_out_at
    };

    contact::set_opted_out(&db, &ada(), Some(at(0)), at(0))
        .await
        .unwrap();
    contact::upsert(&db, &ada(), &contact::Details::default(), at(1))
        .await
        .unwrap();
    assert_eq!(opted_out_at().await, Some(at(0)));

    contact::set_opted_out(&db, &ada(), None, at(2))
        .await
        .unwrap();
    assert_eq!(opted_out_at().await, None);
}

async fn the_latest_answer_by_hand_is_kept(fresh: Fresh) {
    let db = fresh.migrated().await;

    assert!(
        contact::mark_human_reply(&db, &ada(), at(10), at(11))
            .await
            .unwrap()
    );
    assert!(
        !contact::mark_human_reply(&db, &ada(), at(5), at(12))
            .await
            .unwrap()
    );
    assert!(
        contact::mark_human_reply(&db, &ada(), at(20), at(21))
            .await
            .unwrap()
    );

    let row = contact::find(&db, &ada()).await.unwrap().unwrap();
    assert_eq!(row.human_replied_at, Some(at(20)));
}

/// The second holder sees what the first has written, so it waited for the first to end.
async fn a_locked_contact_makes_the_next_wait(fresh: Fresh) {
    let db = fresh.migrated().await;
    contact::upsert(&db, &ada(), &contact::Details::default(), at(0))
        .await
        .unwrap();

    let holders: Vec<_> = (0..10)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move {
                let tx = begin(&db).await.unwrap();
                let row = contact::lock(&tx, &ada()).await.unwrap().unwrap();
                let count: u32 = row.first_name.map_or(0, |count| count.parse().unwrap());
                let counted = contact::Details {
                    first_name: Some((count + 1).to_string()),
                    ..Default::default()
                };
                contact::upsert(&tx, &ada(), &counted, at(1)).await.unwrap();
                tx.commit().await.unwrap();
            })
        })
        .collect();
    for holder in holders {
        holder.await.unwrap();
    }

    let row = contact::find(&db, &ada()).await.unwrap().unwrap();
    assert_eq!(row.first_name.as_deref(), Some("10"));
}
