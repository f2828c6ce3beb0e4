//! The operator's notification endpoint.

use clients::{ErrorKind, Reason, notify::Client};
use serde_json::json;

use crate::stand_in::{Answer, StandIn};

#[tokio::test]
async fn posts_json_with_an_id_by_which_repeats_are_known() {
    let server = StandIn::start([Answer::text(204, "")]).await;
    let url = format!("{}/hooks/T1/secret", server.url);
    Client::new()
        .unwrap()
        .post(&url, "notify:job", &json!({"status": "notified"}))
        .await
        .unwrap();
    let request = server.request();
    assert_eq!(request.line(), "POST /hooks/T1/secret");
    assert_eq!(request.header("webhook-id"), "notify:job");
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.json(), json!({"status": "notified"}));
}

#[tokio::test]
async fn refusals_say_what_can_be_done_and_never_the_address() {
    for (status, kind) in [
        (400, ErrorKind::Permanent { reason: None }),
        (302, ErrorKind::Permanent { reason: None }),
        (403, ErrorKind::Unauthorized),
        (404, ErrorKind::NotFound),
        (408, ErrorKind::Unknown),
        (429, ErrorKind::NotDone { retry_after: None }),
        (503, ErrorKind::Unknown),
    ] {
        let server = StandIn::start([Answer::text(status, "")]).await;
        let url = format!("{}/secret", server.url);
        let error = Client::new()
            .unwrap()
            .post(&url, "id", &json!({}))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{status}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn an_address_that_is_none_is_a_fault_of_set_up() {
    let error = Client::new()
        .unwrap()
        .post("hooks.example", "id", &json!({}))
        .await
        .unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Permanent {
            reason: Some(Reason::SetUp)
        }
    );
}
