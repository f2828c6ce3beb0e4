//! Research, replies and models at OpenAI.

use std::{collections::BTreeMap, time::Duration};

use clients::{
    ClientError, ErrorKind, Reason, Secret,
    openai::{
        Client, InputItem, OpenaiConfig, Reply, ReplyRequest, ResearchRequest, ResponseStatus, Role,
    },
};
use serde_json::{Value, json};

use crate::stand_in::{Answer, StandIn};

const HOUR: Duration = Duration::from_secs(3600);

fn client(server: &StandIn) -> Client {
    let base_url = format!("{}/v1", server.url);
    Client::new(OpenaiConfig {
        base_url,
        api_key: Secret::new("sk-test"),
    })
    .unwrap()
}

fn research() -> ResearchRequest {
    ResearchRequest {
        model: "gpt-5.5".into(),
        instructions: "be thorough".into(),
        input: "Acme".into(),
        tools: json!([{"type": "web_search"}]),
        effort: Some("high".into()),
        max_tool_calls: Some(60),
        max_output_tokens: None,
        metadata: BTreeMap::from([("job_id".into(), "j1".into())]),
    }
}

fn reply() -> ReplyRequest {
    ReplyRequest {
        model: "gpt-5.4-mini".into(),
        instructions: "be kind".into(),
        input: vec![
            InputItem {
                role: Role::User,
                content: "Tuesday?".into(),
            },
            InputItem {
                role: Role::Assistant,
                content: "At ten?".into(),
            },
        ],
        effort: None,
        max_output_tokens: Some(800),
        metadata: BTreeMap::from([("batch_id".into(), "b1".into())]),
    }
}

fn generated(status: &str, part: Value) -> Value {
    json!({"id": "resp_2", "status": status, "model": "gpt-5.4-mini-2026-03-17",
        "output": [{"type": "message", "content": [part]}],
        "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}})
}

async fn submit(answer: Answer) -> ClientError {
    let server = StandIn::start([answer]).await;
    client(&server)
        .submit_research(&research())
        .await
        .unwrap_err()
}

async fn generate(body: Value) -> Result<Reply, ClientError> {
    let server = StandIn::start([Answer::json(200, body)]).await;
    client(&server).generate_reply(&reply()).await
}

#[tokio::test]
async fn research_is_submitted_in_the_background_and_stored() {
    let server = StandIn::start([Answer::json(
        200,
        json!({"id": "resp_1", "status": "queued"}),
    )])
    .await;
    let submitted = client(&server).submit_research(&research()).await.unwrap();
    assert_eq!(
        (submitted.response_id.as_str(), submitted.status),
        ("resp_1", ResponseStatus::Queued)
    );
    let request = server.request();
    assert_eq!(request.line(), "POST /v1/responses");
    assert_eq!(request.header("authorization"), "Bearer sk-test");
    assert_eq!(
        request.json(),
        json!({
            "model": "gpt-5.5", "background": true, "store": true,
            "instructions": "be thorough", "input": "Acme",
            "reasoning": {"effort": "high", "summary": "auto"},
            "tools": [{"type": "web_search"}],
            "include": ["web_search_call.action.sources"],
            "max_tool_calls": 60, "metadata": {"job_id": "j1"},
        })
    );
}

#[tokio::test]
async fn a_response_is_fetched_with_its_exact_text() {
    let raw = r#"{"id":"resp_1",  "status":"in_progress","metadata":{"job_id":"j1"}}"#;
    let server = StandIn::start([Answer::text(200, raw)]).await;
    let fetched = client(&server).fetch_response("resp_1").await.unwrap();
    assert_eq!(fetched.raw, raw);
    assert_eq!(fetched.response.status, ResponseStatus::InProgress);
    assert_eq!(fetched.response.metadata["job_id"], "j1");
    let request = server.request();
    assert_eq!(request.line(), "GET /v1/responses/resp_1");
    assert_eq!(request.query["include[]"], "web_search_call.action.sources");
}

#[tokio::test]
async fn a_response_is_cancelled_by_its_id() {
    let server = StandIn::start([Answer::json(
        200,
        json!({"id": "resp_1", "status": "cancelled"}),
    )])
    .await;
    let response = client(&server).cancel_response("resp_1").await.unwrap();
    assert_eq!(response.status, ResponseStatus::Cancelled);
    assert_eq!(server.request().line(), "POST /v1/responses/resp_1/cancel");
}

#[tokio::test]
async fn a_model_tells_when_it_will_be_shut_down() {
    let server = StandIn::start([
        Answer::json(200, json!({"id": "gpt-5", "shutdown_date": "2026-12-11"})),
        Answer::json(200, json!({"id": "gpt-5.5", "shutdown_date": null})),
        Answer::json(200, json!({"id": "gpt-6-sol"})),
    ])
    .await;
    let client = client(&server);
    let date = client.model("gpt-5").await.unwrap().shutdown_date.unwrap();
    assert_eq!(date.to_string(), "2026-12-11");
    assert_eq!(client.model("gpt-5.5").await.unwrap().shutdown_date, None);
    assert_eq!(client.model("gpt-6-sol").await.unwrap().shutdown_date, None);
    assert_eq!(server.requests()[0].line(), "GET /v1/models/gpt-5");
}

#[tokio::test]
async fn a_reply_is_asked_for_with_a_strict_schema_and_not_stored() {
    let text = json!({"type": "output_text", "text": r#"{"send":true,"text":"Tuesday at ten."}"#});
    let server = StandIn::start([Answer::json(200, generated("completed", text))]).await;
    let answered = client(&server).generate_reply(&reply()).await.unwrap();
    assert!(answered.send);
    assert_eq!(answered.text, "Tuesday at ten.");
    assert_eq!(answered.model, "gpt-5.4-mini-2026-03-17");
    assert_eq!(answered.usage.unwrap().total_tokens, 7);
    assert_eq!(
        server.request().json(),
        json!({
            "model": "gpt-5.4-mini", "store": false, "instructions": "be kind",
            "input": [{"role": "user", "content": "Tuesday?"},
                      {"role": "assistant", "content": "At ten?"}],
            "max_output_tokens": 800, "metadata": {"batch_id": "b1"},
            "text": {"format": {"type": "json_schema", "name": "reply", "strict": true, "schema": {
                "type": "object", "additionalProperties": false, "required": ["send", "text"],
                "properties": {"send": {"type": "boolean"}, "text": {"type": "string"}}}}},
        })
    );
}

#[tokio::test]
async fn http_200_is_not_yet_a_reply() {
    let refusal = generated(
        "completed",
        json!({"type": "refusal", "refusal": "I can't."}),
    );
    let mut incomplete = generated("incomplete", json!({}));
    incomplete["incomplete_details"] = json!({"reason": "max_output_tokens"});
    let mut failed = generated("failed", json!({}));
    failed["error"] = json!({"code": "server_error", "message": "oops"});
    let mut forbidden = failed.clone();
    forbidden["error"]["code"] = json!("invalid_prompt");
    let cut = generated(
        "completed",
        json!({"type": "output_text", "text": "{\"send\": tr"}),
    );
    for (body, kind) in [
        (
            refusal,
            ErrorKind::Permanent {
                reason: Some(Reason::Refused),
            },
        ),
        (
            incomplete,
            ErrorKind::Permanent {
                reason: Some(Reason::Incomplete),
            },
        ),
        (failed, ErrorKind::NotDone { retry_after: None }),
        (forbidden, ErrorKind::Permanent { reason: None }),
        (cut, ErrorKind::Unknown),
    ] {
        assert_eq!(
            generate(body.clone()).await.unwrap_err().kind(),
            kind,
            "{body}"
        );
    }
}

#[tokio::test]
async fn plain_words_of_a_server_without_schemas_are_the_reply() {
    let words = json!({"type": "output_text", "text": "Sure!"});
    let reply = generate(generated("completed", words)).await.unwrap();
    assert_eq!((reply.send, reply.text.as_str()), (true, "Sure!"));
}

#[tokio::test]
async fn documented_errors_have_their_kinds() {
    let not_done = |retry_after| ErrorKind::NotDone { retry_after };
    let permanent = |reason| ErrorKind::Permanent { reason };
    for (status, code, header, kind) in [
        (400, "invalid_value", None, permanent(None)),
        (
            400,
            "model_not_found",
            None,
            permanent(Some(Reason::ModelNotFound)),
        ),
        (
            404,
            "model_not_found",
            None,
            permanent(Some(Reason::ModelNotFound)),
        ),
        (401, "invalid_api_key", None, ErrorKind::Unauthorized),
        (403, "unsupported_country", None, ErrorKind::Unauthorized),
        (404, "", None, ErrorKind::NotFound),
        (408, "", None, ErrorKind::Unknown),
        (409, "", None, not_done(None)),
        (409, "", Some(("x-should-retry", "false")), permanent(None)),
        (422, "", None, permanent(None)),
        (422, "", Some(("x-should-retry", "true")), not_done(None)),
        (429, "rate_limit_exceeded", None, not_done(None)),
        (
            429,
            "",
            Some(("retry-after", "600")),
            not_done(Some(Duration::from_secs(600))),
        ),
        (
            429,
            "",
            Some(("retry-after-ms", "1500")),
            not_done(Some(Duration::from_millis(1500))),
        ),
        (
            429,
            "",
            Some(("x-should-retry", "false")),
            not_done(Some(HOUR)),
        ),
        (
            429,
            "insufficient_quota",
            Some(("retry-after", "1")),
            not_done(Some(HOUR)),
        ),
        (500, "server_error", None, ErrorKind::Unknown),
        (
            503,
            "",
            Some(("x-should-retry", "false")),
            ErrorKind::Unknown,
        ),
    ] {
        let body = json!({"error": {"message": "why", "type": "t", "param": null, "code": code}});
        let mut answer = Answer::json(status, body).header("x-request-id", "req_1");
        if let Some((name, value)) = header {
            answer = answer.header(name, value);
        }
        let error = submit(answer).await;
        assert_eq!(error.kind(), kind, "{status} {code} {header:?}");
        assert_eq!(error.request_id(), Some("req_1"));
        assert_eq!(error.message(), "why");
    }
}

#[tokio::test]
async fn a_503_may_name_a_time_although_its_outcome_is_unknown() {
    let error = submit(Answer::text(503, "<html>").header("retry-after", "7")).await;
    assert_eq!(error.kind(), ErrorKind::Unknown);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    assert_eq!(
        error.to_string(),
        "OpenAI could not submit the research (status 503): Service Unavailable"
    );
}

#[tokio::test]
async fn a_success_that_cannot_be_read_is_unknown_and_not_quoted() {
    let error = submit(Answer::text(200, r#"{"id": 7, "status": "private words"}"#)).await;
    assert_eq!(error.kind(), ErrorKind::Unknown);
    assert!(!error.to_string().contains("private"), "{error}");
}
