//! Keys are stored by their hash and taken back once.

use entities::ApiKeyId;
use entities::api_key::{self, KeyHash, Scope};

use crate::database::{Fresh, on_both_databases};
use crate::samples::at;

on_both_databases!(
    a_key_is_found_by_its_hash_with_its_scopes,
    a_key_is_taken_back_once,
    a_key_expires_at_its_time,
);

async fn a_key_is_found_by_its_hash_with_its_scopes(fresh: Fresh) {
    let db = fresh.migrated().await;
    let (hash, scopes) = (KeyHash::of("millrace_1"), [Scope::Submit, Scope::Read]);
    let id = api_key::insert(&db, "crm", hash.clone(), &scopes, None, at(0))
        .await
        .unwrap();

    let keys = api_key::all(&db).await.unwrap();

    assert_eq!(keys.len(), 1);
    assert_eq!((keys[0].id, keys[0].name.as_str()), (id, "crm"));
    assert_eq!(keys[0].hash, hash);
    assert_ne!(keys[0].hash, KeyHash::of("millrace_2"));
    assert!(keys[0].allows(Scope::Submit) && keys[0].allows(Scope::Read));
    assert!(!keys[0].allows(Scope::Operate));
    // Twice the same key would be two names for one holder.
    let again = api_key::insert(&db, "other", hash, &scopes, None, at(1)).await;
    assert!(again.is_err());
}

async fn a_key_is_taken_back_once(fresh: Fresh) {
    let db = fresh.migrated().await;
    let insert = async |name: &str, now| {
        let hash = KeyHash::of(name);
        api_key::insert(&db, name, hash, &[Scope::Operate], None, at(now))
            .await
            .unwrap()
    };
    let (old, _new) = (insert("old", 0).await, insert("new", 1).await);

    assert!(api_key::revoke(&db, old, at(2)).await.unwrap());

    assert!(!api_key::revoke(&db, old, at(3)).await.unwrap());
    assert!(
        !api_key::revoke(&db, ApiKeyId::random(), at(3))
            .await
            .unwrap()
    );
    let all = api_key::all(&db).await.unwrap();
    let seen: Vec<_> = all
        .iter()
        .map(|key| (key.name.as_str(), key.revoked_at))
        .collect();
    assert_eq!(seen, [("old", Some(at(2))), ("new", None)]);
}

async fn a_key_expires_at_its_time(fresh: Fresh) {
    let db = fresh.migrated().await;
    let expiry = Some(at(60));
    api_key::insert(
        &db,
        "guest",
        KeyHash::of("k"),
        &[Scope::Read],
        expiry,
        at(0),
    )
    .await
    .unwrap();

    let key = api_key::all(&db).await.unwrap().remove(0);

    assert!(!key.is_expired(at(59)));
    assert!(key.is_expired(at(60)));
}
