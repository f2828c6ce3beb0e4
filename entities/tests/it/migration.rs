//! The schema comes about once, whoever asks for it.

use ::migration::{migrate, pending};
use sea_orm::{ConnectionTrait, EntityTrait};

use crate::database::{Fresh, on_both_databases};

on_both_databases!(
    an_empty_database_misses_everything_and_looking_leaves_it_empty,
    migrating_makes_every_table_once,
    migrators_at_the_same_moment_share_the_work,
    a_newer_schema_is_left_alone,
);

async fn an_empty_database_misses_everything_and_looking_leaves_it_empty(fresh: Fresh) {
    let db = fresh.empty().await;

    let missing = pending(&db).await.unwrap();
    assert_eq!(missing[0], "m20261122_000001_initial");

    assert!(
        db.execute_unprepared("SELECT 1 FROM seaql_migrations")
            .await
            .is_err()
    );
}

async fn migrating_makes_every_table_once(fresh: Fresh) {
    let db = fresh.empty().await;

    let missing = pending(&db).await.unwrap().len();
    assert_eq!(migrate(&db).await.unwrap(), missing);

    assert!(pending(&db).await.unwrap().is_empty());
    assert_eq!(migrate(&db).await.unwrap(), 0);
    // Every column of every entity is there.
    entities::api_key::Entity::find().one(&db).await.unwrap();
    entities::batch::Entity::find().one(&db).await.unwrap();
    entities::contact::Entity::find().one(&db).await.unwrap();
    entities::document::Entity::find().one(&db).await.unwrap();
    entities::effect::Entity::find().one(&db).await.unwrap();
    entities::job::Entity::find().one(&db).await.unwrap();
    entities::message::Entity::find().one(&db).await.unwrap();
    entities::parked_message::Entity::find()
        .one(&db)
        .await
        .unwrap();
    entities::processed_event::Entity::find()
        .one(&db)
        .await
        .unwrap();
    entities::reply::Entity::find().one(&db).await.unwrap();
    entities::setting::Entity::find().one(&db).await.unwrap();
    entities::unclaimed_response::Entity::find()
        .one(&db)
        .await
        .unwrap();
}

async fn migrators_at_the_same_moment_share_the_work(fresh: Fresh) {
    let missing = pending(&fresh.empty().await).await.unwrap().len();
    let migrators: Vec<_> = (0..4)
        .map(|_| {
            let fresh = fresh.clone();
            tokio::spawn(async move { migrate(&fresh.empty().await).await.unwrap() })
        })
        .collect();

    let mut applied = 0;
    for migrator in migrators {
        applied += migrator.await.unwrap();
    }
    assert_eq!(applied, missing);
}

async fn a_newer_schema_is_left_alone(fresh: Fresh) {
    let db = fresh.migrated().await;
    db.execute_unprepared(
        "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m20991231_000001_later', 0)",
    )
    .await
    .unwrap();

    assert!(pending(&db).await.unwrap().is_empty());
    assert_eq!(migrate(&db).await.unwrap(), 0);
}
