//! The description holds what is true, all of it: each route, each status, each example.

use std::collections::BTreeSet;

use ::gateway::problem::kind;
use axum::body::Body;
use axum::http::{HeaderValue, Request};
use entities::api_key::{self, KeyHash};
use entities::job;
use futures_util::future::join_all;
use futures_util::stream;
use serde_json::{Value, json};
use test_support::{Broker, Database};

use crate::described::{entries, misfits, operations, template};
use crate::gateway::{
    API_KEY, Answer, Gateway, NO_BROKER, NO_DATABASE, WORKFLOW_SECRET, highlevel, hubspot, now,
    openai, unproven,
};
use crate::questions::{new_job, write};

/// A key that opens nothing.
const KEY_WITHOUT_SCOPES: &str = "key-without-scopes";

/// The largest body of the gateways here.
const LARGEST: usize = 4096;

#[tokio::test]
async fn the_description_is_served_and_names_each_operation_once() {
    let answer = Gateway::alone()
        .send(unproven("GET", "/openapi.json", ""))
        .await;
    assert_eq!(answer.body["openapi"], "3.1.0");
    assert_eq!(answer.body["info"]["version"], env!("CARGO_PKG_VERSION"));
    let ids: Vec<_> = operations()
        .map(|(_, _, operation)| operation["operationId"].as_str().unwrap())
        .collect();
    let distinct: BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "{ids:?}");
    for (method, path, operation) in operations() {
        for field in ["summary", "tags"] {
            assert!(!operation[field].is_null(), "{method} {path}: no {field}");
        }
    }
}

#[test]
fn each_body_has_an_example_that_fits_its_schema() {
    let mut examples = 0;
    for (method, path, operation) in operations() {
        let responses = entries(&operation["responses"]).map(|(_, response)| response);
        let bodies = responses.chain([&operation["requestBody"]]);
        for (media_type, body) in bodies.flat_map(|body| entries(&body["content"])) {
            let about = format!("{method} {path} {media_type}");
            // The description and its page are their own examples.
            if matches!(path, "/openapi.json" | "/docs" | "/problems/{name}")
                && media_type != "application/problem+json"
            {
                continue;
            }
            let several = entries(&body["examples"]).map(|(_, example)| &example["value"]);
            let of_body: Vec<_> = several.chain(body.get("example")).collect();
            assert!(!of_body.is_empty(), "{about} has no example");
            for example in of_body {
                assert_eq!(
                    misfits(&body["schema"], example),
                    [""; 0],
                    "{about}: {example}"
                );
                examples += 1;
            }
        }
    }
    assert!(examples > 100, "{examples}");
}

#[test]
fn bodies_that_the_routes_refuse_do_not_fit_their_schemas() {
    let body = |path: &str, media_type: &str| {
        let operation = operations().find(|(method, known, _)| (*method, *known) == ("post", path));
        let content = &operation.unwrap().2["requestBody"]["content"];
        &content[media_type]["schema"]
    };
    for (path, refused) in [
        ("/generate", json!({})),
        ("/generate", json!({"companyId": " "})),
        ("/generate", json!({"companyId": "a\u{0}"})),
        ("/generate", json!({"companyId": null})),
        ("/generate", json!({"companyId": 1, "refresh": "yes"})),
        ("/generate", json!({"companyId": 1, "company": {"name": 7}})),
        ("/batch-config", json!({"batch_wait_time": 4})),
        ("/batch-config", json!({"batch_wait_time": "30"})),
        ("/webhook/openai", json!({})),
        (
            "/webhook/openai",
            json!({"type": "response.failed", "data": {}}),
        ),
        ("/webhook/hubspot", json!([1])),
        ("/webhook/hubspot", json!(vec![json!({}); 101])),
        ("/webhook/hubspot/workflow", json!([])),
        ("/webhook", json!({"message": "Hi"})),
        ("/webhook", json!({"type": "InboundMessage", "body": "Hi"})),
        ("/webhook", json!({"contact_id": " "})),
    ] {
        let misfits = misfits(body(path, "application/json"), &refused);
        assert!(!misfits.is_empty(), "{path}: {refused}");
    }
    let form = body("/webhook", "application/x-www-form-urlencoded");
    assert!(!misfits(form, &json!({"message": "Hi"})).is_empty());
}

#[test]
fn each_problem_of_the_catalogue_is_in_the_description() {
    let described = entries(&::gateway::contract::DOCUMENT["components"]["schemas"])
        .find(|(name, _)| *name == "Problem")
        .map(|(_, schema)| schema["properties"]["type"]["enum"].clone())
        .unwrap();
    let catalogue: Vec<String> = kind::ALL.iter().map(|kind| kind.uri()).collect();
    assert_eq!(described, json!(catalogue));
}

#[test]
fn the_docs_hold_the_catalogue() {
    let docs = include_str!("../../../docs/http.md");
    let rows: Vec<_> = docs
        .lines()
        .filter(|line| line.starts_with("| `/problems/"))
        .collect();
    let catalogue = kind::ALL.map(|kind| {
        let statuses: Vec<String> = kind.statuses.iter().map(u16::to_string).collect();
        format!(
            "| `{}` | {} | {} |",
            kind.uri(),
            statuses.join(", "),
            kind.meaning
        )
    });
    assert_eq!(rows, catalogue);
}

#[tokio::test]
async fn pages_for_people_need_no_script_and_name_everything() {
    let gateway = Gateway::alone();
    let answer = gateway.send(unproven("GET", "/docs", "")).await;
    assert_eq!(answer.status, 200);
    let policy = answer.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let page = answer.body.as_str().unwrap();
    for (_, path, operation) in operations() {
        let id = operation["operationId"].as_str().unwrap();
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
        assert!(page.contains(path), "{path}");
    }
    assert!(!page.contains("<script"), "no scripts");
    for kind in kind::ALL {
        assert!(page.contains(&kind.uri()), "{}", kind.name);
        let answer = gateway.send(unproven("GET", &kind.uri(), "")).await;
        assert_eq!(answer.status, 200);
        let page = answer.body.as_str().unwrap();
        assert!(page.contains(kind.title), "{page}");
    }
    let answer = gateway.send(unproven("GET", "/problems/unknown", "")).await;
    assert_eq!(answer.problem(404), "not-found");
}

/// Gateways in the states that the statuses need.
struct Gateways {
    /// Everything is there.
    whole: Gateway,
    /// A broker and no database.
    no_database: Gateway,
    /// Neither.
    alone: Gateway,
    /// No secret is configured for workflow actions.
    closed: Gateway,
    /// Nobody may call any more.
    exhausted: Gateway,
    _broker: Broker,
    _database: Database,
}

impl Gateways {
    async fn start() -> Self {
        let (broker, database) = (Broker::start(), Database::sqlite().await);
        let connection = database.connect().await;
        write(&connection, "c1", "one", 1).await;
        job::insert(&connection, new_job(), now()).await.unwrap();
        let hash = KeyHash::of(KEY_WITHOUT_SCOPES);
        let made = api_key::insert(&connection, "nothing", hash, &[], None, now()).await;
        made.unwrap();
        let limit = LARGEST.to_string();
        let more = [
            ("MAX_BODY_BYTES", limit.as_str()),
            ("HUBSPOT_WORKFLOW_SIGNATURES", "true"),
        ];
        let once = [("RATE_LIMIT_PER_ADDRESS", "1")];
        let exhausted = Gateway::with(NO_BROKER, NO_DATABASE, &[&more[..], &once].concat());
        let calls: [(usize, &dyn Fn() -> Request<Body>); 3] = [
            (1, &|| proven("GET", "/job-status/%00", "")),
            (1, &|| unproven("POST", "/webhook", "")),
            (60, &|| unproven("GET", "/test-webhook", "")),
        ];
        for (limit, request) in calls {
            for _ in 0..limit {
                exhausted.send_unseen(request()).await;
            }
        }
        let connected = |database_url: &str| {
            Gateway::with(broker.amqp_url(), database_url, &more).once_connected()
        };
        Self {
            whole: connected(database.url()).await,
            no_database: connected(NO_DATABASE).await,
            alone: Gateway::with(NO_BROKER, NO_DATABASE, &more),
            closed: Gateway::with(NO_BROKER, NO_DATABASE, &[("WEBHOOK_SECRET", "")]),
            exhausted,
            _broker: broker,
            _database: database,
        }
    }

    /// Brings the gateway to answer `status`.
    async fn drive(&self, method: &str, path: &str, status: u16) -> Answer {
        let proven = |body: &str| proven(method, path, body);
        match status {
            200 if path == "/problems/{name}" => {
                self.whole
                    .send(unproven(method, "/problems/not-found", ""))
                    .await
            }
            202 if path == "/force-process-batch/{contact_id}" => {
                self.no_database.send(proven("")).await
            }
            200 | 202 => self.whole.send(proven(&good_body(path))).await,
            400 => self.whole.send(proven("{")).await,
            401 => {
                let path = concrete(path).replace(WORKFLOW_SECRET, "wrong");
                self.whole.send(unproven(method, &path, "{}")).await
            }
            403 => {
                let mut request = proven(&good_body(path));
                let key = HeaderValue::from_static(KEY_WITHOUT_SCOPES);
                request.headers_mut().insert("x-api-key", key);
                self.whole.send(request).await
            }
            404 if path == "/problems/{name}" => {
                self.whole
                    .send(unproven(method, "/problems/none", ""))
                    .await
            }
            404 => {
                let path = format!("{}%00", concrete(path));
                self.whole.call(method, &path, "").await
            }
            408 => slow_answer(method, path).await,
            413 => self.whole.send(proven(&"x".repeat(LARGEST + 1))).await,
            415 => {
                let mut request = proven("{}");
                let compression = HeaderValue::from_static("gzip");
                request
                    .headers_mut()
                    .insert("content-encoding", compression);
                self.whole.send(request).await
            }
            422 if path == "/webhook/hubspot" => self.whole.send(proven("[1]")).await,
            422 => self.whole.send(proven("{}")).await,
            429 if path.starts_with("/webhook") => {
                let path = concrete(path).replace(WORKFLOW_SECRET, "wrong");
                self.exhausted.send(unproven(method, &path, "{}")).await
            }
            429 => self.exhausted.send(proven(&good_body(path))).await,
            // HighLevel is answered 429 where others are answered 503, unless the route is closed.
            503 if matches!(
                path,
                "/webhook" | "/webhook/highlevel" | "/webhook/t/{secret}"
            ) =>
            {
                let mut request = unproven(method, &concrete(path), "{}");
                let token = HeaderValue::from_static("guessed");
                request.headers_mut().insert("x-webhook-token", token);
                self.closed.send(request).await
            }
            503 => self.alone.send(proven(&good_body(path))).await,
            _ => panic!("no request is known that {method} {path} answers with {status}"),
        }
    }
}

/// Each status of each route, in the description and in truth. Answers are compared with the
/// description wherever one is received.
#[tokio::test(flavor = "multi_thread")]
async fn each_documented_status_is_answered_as_it_is_documented() {
    let gateways = Gateways::start().await;
    let mut driven = BTreeSet::new();
    // All at once: some take as long as the gateway waits for a body or a database.
    let mut answers = Vec::new();
    for (method, path, operation) in operations() {
        for (status, _) in entries(&operation["responses"]) {
            let status: u16 = status.parse().unwrap();
            // Answered before a route is looked for: `server::` has them.
            let reads_a_body = operation["requestBody"].is_object();
            if status == 431 || (status == 400 && !reads_a_body) {
                continue;
            }
            driven.insert(status);
            let (gateways, method) = (&gateways, method.to_uppercase());
            answers.push(async move {
                let answer = gateways.drive(&method, path, status).await;
                assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
            });
        }
    }
    join_all(answers).await;
    let all = [200, 202, 400, 401, 403, 404, 408, 413, 415, 422, 429, 503];
    assert_eq!(driven, BTreeSet::from(all));
}

#[tokio::test]
async fn no_route_has_a_method_that_is_not_described() {
    let gateway = Gateway::alone();
    let paths: BTreeSet<_> = operations().map(|(_, path, _)| path).collect();
    for path in paths {
        for method in [
            "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY",
        ] {
            let described =
                operations().any(|(known, of, _)| of == path && known.eq_ignore_ascii_case(method));
            if described {
                continue;
            }
            let answer = gateway.send(unproven(method, &concrete(path), "")).await;
            assert_eq!(answer.problem(405), "method-not-allowed", "{method} {path}");
            assert!(answer.headers.contains_key("allow"), "{method} {path}");
        }
    }
}

#[test]
fn paths_are_found_in_the_description() {
    assert_eq!(template("/webhook/hubspot?a=1"), Some("/webhook/hubspot"));
    assert_eq!(template("/webhook/t/x"), Some("/webhook/t/{secret}"));
    assert_eq!(template("/nowhere"), None);
}

/// The path with its parameters filled in.
fn concrete(path: &str) -> String {
    path.replace("{secret}", WORKFLOW_SECRET)
        .replace("{contact_id}", "c1")
        .replace("{id}", &new_job().id().to_string())
        .replace("{name}", "not-found")
}

/// A body that the route accepts.
fn good_body(path: &str) -> String {
    let operation = operations().find(|(method, known, _)| (*method, *known) == ("post", path));
    let Some((_, _, operation)) = operation else {
        return String::new();
    };
    let body = &operation["requestBody"]["content"]["application/json"];
    let first = || {
        entries(&body["examples"])
            .next()
            .map(|(_, example)| &example["value"])
    };
    let example = body.get("example").or_else(first);
    example.map(Value::to_string).unwrap_or_default()
}

/// A request whose sender proves who it is.
fn proven(method: &str, path: &str, body: &str) -> Request<Body> {
    match path {
        "/webhook/openai" => openai("wh_1", body),
        "/webhook/hubspot" | "/webhook/hubspot/workflow" => hubspot(path, body),
        "/webhook" | "/webhook/highlevel" => highlevel(path, body),
        _ => {
            let mut request = unproven(method, &concrete(path), body);
            let key = HeaderValue::from_static(API_KEY);
            request.headers_mut().insert("x-api-key", key);
            request
        }
    }
}

/// The answer to a body that never ends.
async fn slow_answer(method: &str, path: &str) -> Answer {
    let (parts, _) = proven(method, path, "").into_parts();
    let never = stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let mut request = Request::from_parts(parts, Body::from_stream(never));
    request.headers_mut().remove("content-length");
    Gateway::alone().send(request).await
}
