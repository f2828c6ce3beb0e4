//! contracts/google.md sections 3 and 4: Drive and Docs.

use reqwest::Method;
use sandbox::{EffectKind, FOLDER_ID, TEMPLATE_ID};
use serde_json::{Value, json};

use crate::google_token::{assertion, exchange};
use crate::support::{World, status_and_json};

const DOCUMENT: &str = "application/vnd.google-apps.document";

struct Google {
    world: World,
    token: String,
}

impl Google {
    async fn start() -> Self {
        Self::in_world(World::start().await).await
    }

    async fn in_world(world: World) -> Self {
        let (status, answer) = exchange(&world, &assertion(&world, |_| {})).await;
        assert_eq!((status, &answer["token_type"]), (200, &json!("Bearer")));
        let token = answer["access_token"].as_str().unwrap().to_owned();
        Self { world, token }
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let url = format!("{}{path}", self.world.sandbox.google_base_url());
        self.world.call(method, &url, &self.token, body).await
    }

    async fn copy(&self, job: &str) -> (u16, Value) {
        let path = format!(
            "/drive/v3/files/{TEMPLATE_ID}/copy?supportsAllDrives=true&fields=id,parents,webViewLink,appProperties"
        );
        let metadata = json!({"name": "Research", "parents": [FOLDER_ID],
                              "appProperties": {"job_id": job}});
        self.call(Method::POST, &path, Some(&metadata)).await
    }

    async fn update(&self, id: &str, requests: Value) -> (u16, Value) {
        let path = format!("/v1/documents/{id}:batchUpdate");
        self.call(Method::POST, &path, Some(&json!({"requests": requests})))
            .await
    }

    /// An empty document.
    async fn document(&self) -> String {
        let metadata = json!({"name": "Empty", "mimeType": DOCUMENT, "parents": [FOLDER_ID]});
        let path = "/drive/v3/files?supportsAllDrives=true";
        let (_, file) = self.call(Method::POST, path, Some(&metadata)).await;
        file["id"].as_str().unwrap().to_owned()
    }

    async fn text(&self, id: &str) -> String {
        let url = format!(
            "{}/sandbox/google/documents/{id}",
            self.world.sandbox.base_url()
        );
        self.world
            .http
            .get(url)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn a_call_needs_a_token_with_a_fitting_scope() {
    let mut google = Google::start().await;
    let readonly = "https://www.googleapis.com/auth/documents";
    let narrow = assertion(&google.world, |claims| claims["scope"] = json!(readonly));
    let (_, answer) = exchange(&google.world, &narrow).await;
    google.token = answer["access_token"].as_str().unwrap().to_owned();
    let (status, body) = google.call(Method::GET, "/drive/v3/files", None).await;
    assert_eq!(status, 403);
    assert_eq!(
        body["error"]["errors"][0]["reason"],
        "insufficientPermissions"
    );
    google.token = "wrong".to_owned();
    let (status, body) = google.call(Method::GET, "/drive/v3/files", None).await;
    assert_eq!(
        (status, &body["error"]["status"]),
        (401, &json!("UNAUTHENTICATED"))
    );
}

#[tokio::test]
async fn a_copy_of_the_template_is_found_by_its_job() {
    let google = Google::start().await;
    let (status, copy) = google.copy("job-1").await;
    assert_eq!((status, &copy["parents"]), (200, &json!([FOLDER_ID])));
    assert!(copy.get("name").is_none(), "only what fields names");
    let query = format!(
        "appProperties has {{ key='job_id' and value='job-1' }} and '{FOLDER_ID}' in parents and trashed = false"
    );
    let list = |more: &str| {
        let mut url = reqwest::Url::parse("http://x/drive/v3/files").unwrap();
        url.query_pairs_mut()
            .append_pair("q", &query)
            .append_pair("fields", "files(id)");
        format!("{}?{}{more}", url.path(), url.query().unwrap())
    };
    let path = list("&supportsAllDrives=true&includeItemsFromAllDrives=true");
    let (_, found) = google.call(Method::GET, &path, None).await;
    assert_eq!(found, json!({"files": [{"id": copy["id"]}]}));
    let (_, hidden) = google.call(Method::GET, &list(""), None).await;
    assert_eq!(hidden, json!({"files": []}));
    assert_eq!(
        google
            .world
            .sandbox
            .effect_count(EffectKind::DocumentsCreated, "job-1"),
        1
    );
}

#[tokio::test]
async fn a_shared_drive_is_not_seen_without_supports_all_drives() {
    let google = Google::start().await;
    let path = format!("/drive/v3/files/{TEMPLATE_ID}");
    let (status, body) = google.call(Method::GET, &path, None).await;
    assert_eq!(
        (status, &body["error"]["errors"][0]["reason"]),
        (404, &json!("notFound"))
    );
    let (status, _) = google
        .call(Method::GET, &format!("{path}?supportsAllDrives=true"), None)
        .await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_service_account_has_no_storage_of_its_own() {
    let world = World::with(|config| config.google_shared_drive = false).await;
    let google = Google::in_world(world).await;
    let (status, body) = google.copy("job-1").await;
    assert_eq!(status, 403);
    assert_eq!(body["error"]["errors"][0]["reason"], "storageQuotaExceeded");
    assert_eq!(google.world.sandbox.effects().len(), 0);
}

#[tokio::test]
async fn placeholders_are_replaced_and_links_and_tables_kept() {
    let google = Google::start().await;
    let (_, copy) = google.copy("job-1").await;
    let id = copy["id"].as_str().unwrap();
    let replace = |from: &str, to: &str| json!({"replaceAllText": {"containsText": {"text": from, "matchCase": true}, "replaceText": to}});
    let requests = json!([
        replace("{{DOC_TITLE}}", "Bolt – strategy 🚀"),
        replace("{{NONE}}", "x")
    ]);
    let (status, answer) = google.update(id, requests).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        answer["replies"],
        json!([{"replaceAllText": {"occurrencesChanged": 1}},
                                         {"replaceAllText": {}}])
    );
    assert!(
        google
            .text(id)
            .await
            .starts_with("Bolt – strategy 🚀\nINTRO\n{{INTRO}}\n")
    );
}

#[tokio::test]
async fn indexes_count_utf16_units_and_cells_can_be_filled() {
    let google = Google::start().await;
    let id = google.document().await;
    // The rocket takes two units: "a" 1, rocket 2-3, "b" 4, line feed 5.
    let requests = json!([
        {"insertText": {"location": {"index": 1}, "text": "a🚀b\n"}},
        {"insertText": {"location": {"index": 4}, "text": "+"}},
        {"updateTextStyle": {"range": {"startIndex": 5, "endIndex": 6}, "fields": "link",
                             "textStyle": {"link": {"url": "https://b.example"}}}},
        {"deleteContentRange": {"range": {"startIndex": 1, "endIndex": 2}}},
        {"insertTable": {"rows": 2, "columns": 2, "endOfSegmentLocation": {}}},
    ]);
    let (status, answer) = google.update(&id, requests).await;
    assert_eq!(status, 200, "{answer}");
    let (_, shown) = google
        .call(Method::GET, &format!("/v1/documents/{id}"), None)
        .await;
    let content = shown["body"]["content"].as_array().unwrap();
    let table = content
        .iter()
        .find(|element| element.get("table").is_some())
        .unwrap();
    let cell = |row: usize, column: usize| {
        let cell = &table["table"]["tableRows"][row]["tableCells"][column];
        cell["content"][0]["startIndex"].clone()
    };
    let requests = json!([
        {"insertText": {"location": {"index": cell(1, 1)}, "text": "D"}},
        {"insertText": {"location": {"index": cell(1, 0)}, "text": "C"}},
        {"insertText": {"location": {"index": cell(0, 1)}, "text": "B"}},
        {"insertText": {"location": {"index": cell(0, 0)}, "text": "A"}},
        {"createParagraphBullets": {"range": {"startIndex": 1, "endIndex": 2},
                                    "bulletPreset": "BULLET_DISC_CIRCLE_SQUARE"}},
        {"updateParagraphStyle": {"range": {"startIndex": 1, "endIndex": 2},
            "paragraphStyle": {"namedStyleType": "HEADING_1"}, "fields": "namedStyleType"}},
    ]);
    let (status, answer) = google.update(&id, requests).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        google.text(&id).await,
        "🚀+[b](https://b.example)\n\nA\tB\nC\tD\n\n"
    );
    let (_, shown) = google
        .call(Method::GET, &format!("/v1/documents/{id}"), None)
        .await;
    let first = &shown["body"]["content"][1]["paragraph"];
    assert_eq!(first["paragraphStyle"]["namedStyleType"], "HEADING_1");
    assert!(first["bullet"].is_object());
}

#[tokio::test]
async fn one_bad_request_undoes_the_whole_batch() {
    let google = Google::start().await;
    let id = google.document().await;
    let good = json!({"insertText": {"location": {"index": 1}, "text": "x"}});
    let bad = [
        json!({"insertText": {"location": {"index": 99}, "text": "x"}}),
        json!({"insertText": {"location": {"index": 0}, "text": "x"}}),
        json!({"deleteContentRange": {"range": {"startIndex": 1, "endIndex": 3}}}),
        json!({"updateTextStyle": {"range": {"startIndex": 1, "endIndex": 2}, "textStyle": {}}}),
        json!({"paintItBlue": {}}),
    ];
    for request in bad {
        let (status, body) = google.update(&id, json!([good, request])).await;
        assert_eq!(
            (status, &body["error"]["status"]),
            (400, &json!("INVALID_ARGUMENT")),
            "{body}"
        );
    }
    assert_eq!(google.text(&id).await, "\n");
}

#[tokio::test]
async fn a_required_revision_guards_against_a_second_run() {
    let google = Google::start().await;
    let id = google.document().await;
    let path = format!("/v1/documents/{id}");
    let (_, shown) = google
        .call(Method::GET, &format!("{path}?fields=revisionId"), None)
        .await;
    let body = json!({"requests": [{"insertText": {"endOfSegmentLocation": {}, "text": "once"}}],
                      "writeControl": {"requiredRevisionId": shown["revisionId"]}});
    let path = format!("{path}:batchUpdate");
    assert_eq!(google.call(Method::POST, &path, Some(&body)).await.0, 200);
    assert_eq!(google.call(Method::POST, &path, Some(&body)).await.0, 400);
    assert_eq!(google.text(&id).await, "once\n");
}

#[tokio::test]
async fn markdown_is_converted_at_upload() {
    let google = Google::start().await;
    let metadata = json!({"name": "Up", "mimeType": DOCUMENT, "parents": [FOLDER_ID],
                          "appProperties": {"job_id": "job-9"}});
    let source = "# Title\r\n\r\n| A | B |\r\n|---|---|\r\n| 1 | [x](https://x.example) |\r\n";
    let body = format!(
        "--B\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{metadata}\r\n--B\r\n\
         Content-Type: text/markdown; charset=UTF-8\r\n\r\n{source}\r\n--B--\r\n"
    );
    let url = format!(
        "{}/upload/drive/v3/files?uploadType=multipart&supportsAllDrives=true&fields=id,webViewLink",
        google.world.sandbox.google_base_url()
    );
    let request = google
        .world
        .http
        .post(url)
        .bearer_auth(&google.token)
        .body(body);
    let request = request.header("content-type", "multipart/related; boundary=B");
    let (status, file) = status_and_json(request.send().await.unwrap()).await;
    assert_eq!(status, 200, "{file}");
    let text = google.text(file["id"].as_str().unwrap()).await;
    assert!(
        text.starts_with("Title\n") && text.contains("A\tB\n1\t"),
        "{text}"
    );
    assert_eq!(
        google
            .world
            .sandbox
            .effect_count(EffectKind::DocumentsCreated, "job-9"),
        1
    );
    let link = google
        .world
        .http
        .get(file["webViewLink"].as_str().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(link.text().await.unwrap(), text);
}

#[tokio::test]
async fn a_folder_can_be_made_and_used() {
    let google = Google::start().await;
    let metadata = json!({"name": "8001-acme.example", "parents": [FOLDER_ID],
                          "mimeType": "application/vnd.google-apps.folder"});
    let path = "/drive/v3/files?supportsAllDrives=true&fields=id,driveId";
    let (status, folder) = google.call(Method::POST, path, Some(&metadata)).await;
    assert_eq!((status, &folder["driveId"]), (200, &json!("sandbox-drive")));
    let metadata = json!({"name": "D", "mimeType": DOCUMENT, "parents": [folder["id"]]});
    assert_eq!(
        google.call(Method::POST, path, Some(&metadata)).await.0,
        200
    );
}
