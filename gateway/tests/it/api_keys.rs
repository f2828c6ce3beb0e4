//! Keys of the database open what their scopes name, with and without `API_KEYS`.

use std::net::TcpListener;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use chrono::TimeDelta;
use entities::ApiKeyId;
use entities::api_key::{self, KeyHash, Scope};
use futures_util::future::join_all;
use sea_orm::DatabaseConnection;
use test_support::Database;
use tokio::time::timeout;

use crate::gateway::{API_KEY, Answer, Gateway, NO_BROKER, now, unproven};

/// Each route of clients and operators, and the scope that it asks for.
pub(crate) const ROUTES: [(&str, &str, Scope); 8] = [
    ("POST", "/generate", Scope::Submit),
    ("POST", "/submit-job", Scope::Submit),
    ("GET", "/job-status/x", Scope::Read),
    ("GET", "/batch-config", Scope::Read),
    ("GET", "/queue-status", Scope::Read),
    ("GET", "/batch-status/c", Scope::Read),
    ("POST", "/batch-config", Scope::Operate),
    ("POST", "/force-process-batch/c", Scope::Operate),
];

/// A gateway whose keys are in the database alone.
fn gateway(database: &Database) -> Gateway {
    Gateway::with(NO_BROKER, database.url(), &[("API_KEYS", "")])
}

async fn make(db: &DatabaseConnection, key: &str, scopes: &[Scope]) -> ApiKeyId {
    api_key::insert(db, key, KeyHash::of(key), scopes, None, now())
        .await
        .unwrap()
}

async fn call(gateway: &Gateway, method: &str, path: &str, key: &str) -> Answer {
    let mut request: Request<Body> = unproven(method, path, "");
    let headers = request.headers_mut();
    headers.insert("x-api-key", key.parse().unwrap());
    gateway.send(request).await
}

#[tokio::test]
async fn a_key_opens_the_routes_of_its_scopes_and_no_others() {
    let database = Database::sqlite().await;
    let db = database.connect().await;
    let scopes = [Scope::Submit, Scope::Read, Scope::Operate];
    for scope in scopes {
        make(&db, scope.name(), &[scope]).await;
    }
    let gateway = gateway(&database);
    for (method, path, asked) in ROUTES {
        for scope in scopes {
            let answer = call(&gateway, method, path, scope.name()).await;
            if scope == asked {
                let refused = matches!(answer.status.as_u16(), 401 | 403);
                assert!(!refused, "{method} {path}: {}", answer.body);
                continue;
            }
            assert_eq!(answer.problem(403), "missing-scope", "{method} {path}");
            let name = asked.name();
            assert!(answer.body["detail"].as_str().unwrap().contains(name));
            let challenge = answer.headers["www-authenticate"].to_str().unwrap();
            let expected = format!(r#"Bearer error="insufficient_scope", scope="{name}""#);
            assert_eq!(challenge, expected);
        }
    }
}

#[tokio::test]
async fn a_key_that_is_unknown_revoked_or_expired_opens_nothing() {
    let database = Database::sqlite().await;
    let db = database.connect().await;
    let all = [Scope::Submit, Scope::Read, Scope::Operate];
    let revoked = make(&db, "revoked", &all).await;
    api_key::revoke(&db, revoked, now()).await.unwrap();
    let expiry = Some(now() - TimeDelta::seconds(1));
    api_key::insert(&db, "n", KeyHash::of("expired"), &all, expiry, now())
        .await
        .unwrap();
    let gateway = gateway(&database);
    for (key, detail) in [
        ("unknown", "not known"),
        ("revoked", "revoked"),
        ("expired", "expired"),
    ] {
        let answer = call(&gateway, "GET", "/batch-config", key).await;
        assert_eq!(answer.problem(401), "unauthorized", "{key}");
        assert!(answer.body["detail"].as_str().unwrap().contains(detail));
        let challenge = &answer.headers["www-authenticate"];
        assert_eq!(challenge, r#"Bearer error="invalid_token""#);
    }
}

#[tokio::test]
async fn the_keys_of_api_keys_open_everything_also_without_a_database() {
    let gateway = Gateway::alone();
    join_all(ROUTES.map(async |(method, path, _)| {
        let answer = call(&gateway, method, path, API_KEY).await;
        let refused = matches!(answer.status.as_u16(), 401 | 403);
        assert!(!refused, "{method} {path}: {}", answer.body);
    }))
    .await;
}

#[tokio::test]
async fn a_key_that_nobody_can_look_up_is_asked_to_come_back() {
    let gateway = Gateway::alone();
    let answer = call(&gateway, "GET", "/batch-config", "of-the-database").await;
    assert_eq!(answer.problem(503), "database-unavailable");
    assert!(answer.retry_after() > 0);
}

/// Two seconds are promised; the rest is for a busy machine.
const ANSWERED: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_database_that_never_answers_holds_no_answer_up() {
    // The kernel takes the connections, and nobody reads what comes over them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let gateway = Gateway::new(NO_BROKER, &format!("postgres://m@127.0.0.1:{port}/m"));
    // Nor does the broker: it has been away for so long that nobody waits for it.
    let job = r#"{"companyId":1}"#;
    let answer = gateway.call("POST", "/generate", job).await;
    assert_eq!(answer.problem(503), "not-confirmed");
    join_all(ROUTES.map(async |(method, path, _)| {
        for key in [API_KEY, "of-the-database"] {
            let answer = timeout(ANSWERED, call(&gateway, method, path, key)).await;
            let answer = answer.unwrap_or_else(|_| panic!("{method} {path} with {key} hangs"));
            let refused = matches!(answer.status.as_u16(), 401 | 403);
            assert!(!refused, "{method} {path}: {}", answer.body);
        }
    }))
    .await;
}

#[tokio::test]
async fn without_any_key_the_routes_are_closed() {
    let database = Database::sqlite().await;
    let gateway = gateway(&database);
    let answer = call(&gateway, "GET", "/batch-config", "guessed").await;
    assert_eq!(answer.problem(503), "route-closed");
    let detail = answer.body["detail"].as_str().unwrap();
    assert!(detail.contains("api-key new"), "{detail}");
    let answer = gateway.send(unproven("GET", "/batch-config", "")).await;
    assert_eq!(answer.problem(401), "unauthorized");
}
