//! Drive, Docs and the key file.

use std::{io::Write, time::Duration};

use clients::{
    ClientError, ErrorKind, Reason,
    google::{Client, Filled, GoogleConfig, Section, ServiceAccountKey},
};
use serde_json::{Value, json};

use crate::stand_in::{Answer, StandIn};

pub(crate) const PRIVATE_KEY: &str = include_str!("fixtures/service-account.pem");

pub(crate) fn key_file(token_uri: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let key = json!({
        "type": "service_account", "client_email": "robot@p.example", "private_key_id": "kid1",
        "private_key": PRIVATE_KEY, "token_uri": token_uri,
    });
    file.write_all(key.to_string().as_bytes()).unwrap();
    file
}

pub(crate) fn client_for(server: &StandIn, impersonate: Option<&str>) -> Client {
    let file = key_file(&format!("{}/token", server.url));
    Client::new(GoogleConfig {
        credentials: ServiceAccountKey::from_file(file.path()).unwrap(),
        impersonate: impersonate.map(str::to_owned),
        drive_base_url: server.url.clone(),
        docs_base_url: server.url.clone(),
    })
    .unwrap()
}

pub(crate) fn client(server: &StandIn) -> Client {
    client_for(server, None)
}

pub(crate) fn token(token: &str) -> Answer {
    Answer::json(
        200,
        json!({"access_token": token, "expires_in": 3599, "token_type": "Bearer"}),
    )
}

fn file(id: &str) -> Answer {
    Answer::json(
        200,
        json!({"id": id, "name": "n", "webViewLink": format!("https://d.example/{id}")}),
    )
}

pub(crate) fn files(ids: &[&str]) -> Answer {
    let files: Vec<Value> = ids.iter().map(|id| json!({"id": id})).collect();
    Answer::json(200, json!({ "files": files }))
}

#[tokio::test]
async fn the_oldest_file_of_a_job_is_found_in_any_drive() {
    let server = StandIn::start([token("t1"), files(&["d1", "d2"])]).await;
    let found = client(&server)
        .find_file_by_job("j'1")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.id, "d1");
    assert_eq!(found.url, "https://docs.google.com/document/d/d1/edit");
    let request = &server.requests()[1];
    assert_eq!(request.line(), "GET /drive/v3/files");
    assert_eq!(
        request.query["q"],
        r"appProperties has { key='job_id' and value='j\'1' } and trashed = false"
    );
    assert_eq!(request.query["orderBy"], "createdTime");
    assert_eq!(request.query["supportsAllDrives"], "true");
    assert_eq!(request.query["includeItemsFromAllDrives"], "true");
}

#[tokio::test]
async fn an_incomplete_search_proves_nothing() {
    let answer = Answer::json(200, json!({"files": [], "incompleteSearch": true}));
    let server = StandIn::start([token("t1"), answer]).await;
    let error = client(&server).find_file_by_job("j1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown);
}

#[tokio::test]
async fn a_folder_is_found_or_created() {
    let server = StandIn::start([token("t1"), files(&["f7"])]).await;
    assert_eq!(
        client(&server)
            .ensure_folder("1-acme.example", "root")
            .await
            .unwrap(),
        "f7"
    );

    let server = StandIn::start([token("t1"), files(&[]), file("f8")]).await;
    assert_eq!(
        client(&server)
            .ensure_folder("1-acme.example", "root")
            .await
            .unwrap(),
        "f8"
    );
    let requests = server.requests();
    assert_eq!(
        requests[1].query["q"],
        "name = '1-acme.example' and mimeType = 'application/vnd.google-apps.folder' \
         and 'root' in parents and trashed = false"
    );
    assert_eq!(requests[2].line(), "POST /drive/v3/files");
    assert_eq!(requests[2].query["supportsAllDrives"], "true");
    assert_eq!(
        requests[2].json(),
        json!({"name": "1-acme.example", "mimeType": "application/vnd.google-apps.folder",
            "parents": ["root"], "appProperties": {"created_by": "millrace"}})
    );
}

#[tokio::test]
async fn a_template_is_copied_with_the_job_id() {
    let server = StandIn::start([token("t1"), file("d1")]).await;
    let copy = client(&server)
        .copy_template("tpl", "Acme", "f1", "j1")
        .await
        .unwrap();
    assert_eq!(
        (copy.id.as_str(), copy.url.as_str()),
        ("d1", "https://d.example/d1")
    );
    let request = &server.requests()[1];
    assert_eq!(request.line(), "POST /drive/v3/files/tpl/copy");
    assert_eq!(request.query["supportsAllDrives"], "true");
    assert_eq!(
        request.json(),
        json!({"name": "Acme", "parents": ["f1"], "appProperties": {"job_id": "j1"}})
    );
}

#[tokio::test]
async fn markdown_is_uploaded_for_conversion() {
    let server = StandIn::start([token("t1"), file("d1")]).await;
    client(&server)
        .create_from_markdown("Acme", "f1", "j1", "# Hi\n")
        .await
        .unwrap();
    let request = &server.requests()[1];
    assert_eq!(request.line(), "POST /upload/drive/v3/files");
    assert_eq!(request.query["uploadType"], "multipart");
    assert_eq!(
        request.header("content-type"),
        "multipart/related; boundary=millrace"
    );
    let parts: Vec<_> = request.body.split("--millrace").collect();
    let [_, metadata, content, end] = parts.as_slice() else {
        panic!("{}", request.body)
    };
    let (_, metadata) = metadata.split_once("\r\n\r\n").unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(metadata).unwrap(),
        json!({"name": "Acme", "mimeType": "application/vnd.google-apps.document",
            "parents": ["f1"], "appProperties": {"job_id": "j1"}})
    );
    assert_eq!(
        *content,
        "\r\nContent-Type: text/markdown; charset=UTF-8\r\n\r\n# Hi\n\r\n"
    );
    assert_eq!(*end, "--\r\n");
}

fn document(text: &str) -> Answer {
    Answer::json(
        200,
        json!({"revisionId": "r9", "body": {"content": [{"paragraph": {"elements": [
            {"startIndex": 1, "textRun": {"content": text}}]}}]}}),
    )
}

fn sections() -> [Section; 2] {
    [
        Section::from_markdown("{{ICP}}", "Banks"),
        Section::from_markdown("{{INTRO}}", "Hello"),
    ]
}

#[tokio::test]
async fn a_template_is_filled_in_one_write_tied_to_its_revision() {
    let server = StandIn::start([
        token("t1"),
        document("{{ICP}}!\n"),
        Answer::json(200, json!({})),
    ])
    .await;
    let filled = client(&server)
        .fill_template("d1", &sections())
        .await
        .unwrap();
    assert_eq!(
        filled,
        Filled {
            replaced: 1,
            missing: vec!["{{INTRO}}".into()]
        }
    );
    let requests = server.requests();
    assert_eq!(requests[1].line(), "GET /v1/documents/d1");
    assert_eq!(requests[2].line(), "POST /v1/documents/d1:batchUpdate");
    assert_eq!(
        requests[2].json(),
        json!({
            "requests": [
                {"insertText": {"location": {"index": 8}, "text": "Banks"}},
                {"deleteContentRange": {"range": {"startIndex": 1, "endIndex": 8}}},
            ],
            "writeControl": {"requiredRevisionId": "r9"},
        })
    );
}

#[tokio::test]
async fn a_filled_document_is_only_read() {
    let server = StandIn::start([token("t1"), document("Banks!\n")]).await;
    let filled = client(&server)
        .fill_template("d1", &sections())
        .await
        .unwrap();
    assert_eq!((filled.replaced, filled.missing.len()), (0, 2));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_document_edited_meanwhile_can_be_filled_again() {
    let conflict = json!({"error": {"code": 400, "status": "FAILED_PRECONDITION",
        "message": "The required revision ID does not match the latest revision."}});
    let server = StandIn::start([
        token("t1"),
        document("{{ICP}}\n"),
        Answer::json(400, conflict),
    ])
    .await;
    let error = client(&server)
        .fill_template("d1", &sections())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotDone { retry_after: None });
}

async fn copy(status: u16, reason: &str) -> ClientError {
    let body = json!({"error": {"code": status, "message": "why", "status": "S",
        "errors": [{"domain": "d", "reason": reason, "message": "why"}]}});
    let server = StandIn::start([token("t1"), Answer::json(status, body)]).await;
    client(&server)
        .copy_template("t", "n", "f", "j")
        .await
        .unwrap_err()
}

#[tokio::test]
async fn documented_errors_have_their_kinds_and_say_what_to_do() {
    let not_done = ErrorKind::NotDone { retry_after: None };
    let later = ErrorKind::NotDone {
        retry_after: Some(Duration::from_secs(3600)),
    };
    let set_up = ErrorKind::Permanent {
        reason: Some(Reason::SetUp),
    };
    let storage = ErrorKind::Permanent {
        reason: Some(Reason::StorageQuotaExceeded),
    };
    for (status, reason, kind, advice) in [
        (400, "invalid", ErrorKind::Permanent { reason: None }, ""),
        (403, "rateLimitExceeded", not_done, ""),
        (403, "userRateLimitExceeded", not_done, ""),
        (403, "dailyLimitExceeded", later, ""),
        (403, "sharingRateLimitExceeded", later, ""),
        (
            403,
            "storageQuotaExceeded",
            storage,
            "shared drive with robot@p.example",
        ),
        (
            403,
            "insufficientFilePermissions",
            set_up,
            "give robot@p.example edit access",
        ),
        (403, "cannotCopyFile", set_up, "robot@p.example"),
        (403, "teamDriveFileLimitExceeded", set_up, "full"),
        (403, "forbidden", ErrorKind::Unauthorized, "robot@p.example"),
        (
            404,
            "notFound",
            ErrorKind::NotFound,
            "not shared with robot@p.example",
        ),
        (
            412,
            "conditionNotMet",
            ErrorKind::Permanent { reason: None },
            "",
        ),
        (429, "rateLimitExceeded", not_done, ""),
        (500, "internalError", ErrorKind::Unknown, ""),
    ] {
        let error = copy(status, reason).await;
        assert_eq!(error.kind(), kind, "{status} {reason}");
        assert!(error.message().contains(advice), "{error}");
    }
}

#[test]
fn a_key_file_that_cannot_be_used_says_why_and_not_what_it_holds() {
    let error = ServiceAccountKey::from_file("/nowhere/key.json").unwrap_err();
    assert!(error.message().contains("/nowhere/key.json"), "{error}");

    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(br#"{"private_key": "hidden"}"#).unwrap();
    let error = ServiceAccountKey::from_file(file.path()).unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Permanent {
            reason: Some(Reason::SetUp)
        }
    );
    assert!(!error.to_string().contains("hidden"), "{error}");

    let file = key_file("https://token.example");
    let key = ServiceAccountKey::from_file(file.path()).unwrap();
    assert!(!format!("{key:?}").contains("BEGIN"));
}
