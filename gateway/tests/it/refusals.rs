//! What is refused before anything is published.

use axum::http::HeaderValue;

use crate::api_keys::ROUTES;
use crate::gateway::{
    API_KEY, Gateway, NO_BROKER, NO_DATABASE, WORKFLOW_SECRET, highlevel, hubspot, openai,
    unproven, workflow,
};

const WEBHOOKS: [&str; 6] = [
    "/webhook",
    "/webhook/highlevel",
    "/webhook/hubspot",
    "/webhook/hubspot/workflow",
    "/webhook/openai",
    "/webhook/t/wrong",
];

#[tokio::test]
async fn webhooks_without_a_proof_say_only_that() {
    let workflow_action = [("HUBSPOT_WORKFLOW_SIGNATURES", "true")];
    let gateway = Gateway::with(NO_BROKER, NO_DATABASE, &workflow_action);
    for path in WEBHOOKS {
        let answer = gateway.send(unproven("POST", path, "{}")).await;
        assert_eq!(answer.problem(401), "invalid-signature", "{path}");
        assert!(answer.headers.contains_key("www-authenticate"));
    }
}

#[tokio::test]
async fn a_signature_of_other_bytes_or_another_address_is_refused() {
    let gateway = Gateway::alone();
    for signed in [
        openai("wh_1", "{}"),
        hubspot("/webhook/hubspot", "[]"),
        highlevel("/webhook", "{}"),
    ] {
        let (parts, _) = signed.into_parts();
        let forged = axum::http::Request::from_parts(parts, "{ }".into());
        assert_eq!(gateway.send(forged).await.problem(401), "invalid-signature");
    }
    let mut moved = hubspot("/webhook/hubspot?a=1", "[]");
    *moved.uri_mut() = "/webhook/hubspot?a=2".parse().unwrap();
    assert_eq!(gateway.send(moved).await.problem(401), "invalid-signature");
}

#[tokio::test]
async fn a_wrong_highlevel_signature_is_final_even_with_the_right_secret() {
    let gateway = Gateway::alone();
    let mut request = workflow("application/json", r#"{"contact_id":"c","message":"Hi"}"#);
    request
        .headers_mut()
        .insert("x-ghl-signature", HeaderValue::from_static("AAAA"));
    assert_eq!(
        gateway.send(request).await.problem(401),
        "invalid-signature"
    );
    let path = format!("/webhook/t/{WORKFLOW_SECRET}");
    let mut request = unproven("POST", &path, "{}");
    request
        .headers_mut()
        .insert("x-ghl-signature", HeaderValue::from_static("AAAA"));
    assert_eq!(
        gateway.send(request).await.problem(401),
        "invalid-signature"
    );
}

#[tokio::test]
async fn routes_without_a_configured_secret_are_closed() {
    let gateway = Gateway::with(
        NO_BROKER,
        NO_DATABASE,
        &[
            ("OPENAI_WEBHOOK_SECRET", ""),
            ("HUBSPOT_CLIENT_SECRET", ""),
            ("WEBHOOK_SECRET", ""),
        ],
    );
    for signed in [
        openai("wh_1", "{}"),
        hubspot("/webhook/hubspot", "[]"),
        workflow("application/json", "{}"),
        unproven("POST", "/webhook/t/guessed", "{}"),
    ] {
        let answer = gateway.send(signed).await;
        assert_eq!(answer.problem(503), "route-closed");
        assert!(answer.retry_after() > 0);
    }
    let answer = gateway.send(unproven("POST", "/webhook/t/", "{}")).await;
    assert_eq!(answer.problem(404), "not-found");
}

#[tokio::test]
async fn hubspots_workflow_route_is_closed_unless_it_is_switched_on() {
    let answer = Gateway::alone()
        .send(hubspot("/webhook/hubspot/workflow", "{}"))
        .await;
    assert_eq!(answer.problem(503), "route-closed");
}

#[tokio::test]
async fn clients_and_operators_need_a_key() {
    let gateway = Gateway::alone();
    for (method, path, _) in ROUTES {
        let answer = gateway.send(unproven(method, path, "not even JSON")).await;
        assert_eq!(answer.problem(401), "unauthorized", "{method} {path}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_announced_or_not() {
    let gateway = Gateway::with(NO_BROKER, NO_DATABASE, &[("MAX_BODY_BYTES", "1024")]);
    let large = "x".repeat(1025);
    for path in WEBHOOKS {
        let answer = gateway.send(unproven("POST", path, &large)).await;
        assert_eq!(answer.problem(413), "too-large", "{path}");
    }
    // Announced, and never sent.
    let mut announced = unproven("POST", "/webhook/openai", "");
    announced
        .headers_mut()
        .insert("content-length", HeaderValue::from_static("1025"));
    assert_eq!(gateway.send(announced).await.problem(413), "too-large");
    let largest = "x".repeat(1024);
    assert_eq!(
        gateway.send(openai("wh_1", &largest)).await.problem(400),
        "malformed-request"
    );
}

#[tokio::test]
async fn verified_bodies_that_cannot_be_read_are_malformed() {
    let gateway = Gateway::alone();
    for request in [
        openai("wh_1", "{"),
        openai("wh_1", "[]"),
        hubspot("/webhook/hubspot", "[{]"),
        hubspot("/webhook/hubspot", "7"),
        highlevel("/webhook", "{\"a\":"),
        workflow(
            "application/json",
            r#"{"contact_id":"c","message":"say "hi""}"#,
        ),
    ] {
        let answer = gateway.send(request).await;
        assert_eq!(answer.problem(400), "malformed-request");
    }
}

#[tokio::test]
async fn a_missing_field_is_named() {
    let gateway = Gateway::alone();
    for (request, pointer) in [
        (openai("wh_1", r#"{"data":{"id":"resp_1"}}"#), "/type"),
        (
            openai("wh_1", r#"{"type":"response.completed","data":{}}"#),
            "/data/id",
        ),
        (
            highlevel("/webhook", r#"{"type":"InboundMessage","body":"Hi"}"#),
            "/contactId",
        ),
        (
            workflow("application/json", r#"{"message":"Hi"}"#),
            "/contact_id",
        ),
        (
            workflow("application/x-www-form-urlencoded", "message=Hi"),
            "/contact_id",
        ),
    ] {
        let answer = gateway.send(request).await;
        assert_eq!(answer.problem(422), "invalid-field");
        assert_eq!(answer.pointer(), pointer);
    }
    let answer = gateway
        .call("POST", "/generate", r#"{"company":{"name":"Acme"}}"#)
        .await;
    assert_eq!(answer.problem(422), "invalid-field");
    assert_eq!(answer.pointer(), "/companyId");
}

#[tokio::test]
async fn a_wait_outside_of_its_range_is_refused_and_the_range_is_told() {
    let gateway = Gateway::alone();
    for (wait, status, kind) in [
        ("4", 400, "out-of-range"),
        ("301", 400, "out-of-range"),
        ("30.5", 422, "invalid-field"),
        ("\"30\"", 422, "invalid-field"),
        ("null", 422, "invalid-field"),
    ] {
        let body = format!(r#"{{"batch_wait_time":{wait}}}"#);
        let answer = gateway.call("POST", "/batch-config", &body).await;
        assert_eq!(answer.problem(status), kind);
        assert_eq!(answer.pointer(), "/batch_wait_time");
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.contains("from 5 to 300"), "{detail}");
    }
}

#[tokio::test]
async fn clients_send_json_and_may_leave_its_name_out() {
    let gateway = Gateway::alone();
    for (media_type, status) in [
        (None, 422),
        (Some("application/json"), 422),
        (Some("Application/JSON; charset=utf-8"), 422),
        (Some("application/vnd.acme+json"), 422),
        (Some("text/plain"), 415),
        (Some("application/x-www-form-urlencoded"), 415),
        (Some(""), 415),
    ] {
        let mut request = unproven("POST", "/generate", "{}");
        let headers = request.headers_mut();
        headers.insert("x-api-key", HeaderValue::from_static(API_KEY));
        if let Some(media_type) = media_type {
            headers.insert("content-type", HeaderValue::from_static(media_type));
        }
        let answer = gateway.send(request).await;
        answer.problem(status);
    }
}

#[tokio::test]
async fn an_id_that_nothing_can_have_is_not_found() {
    let gateway = Gateway::alone();
    let long = format!("/job-status/{}", "x".repeat(256));
    for path in [
        &long,
        "/job-status/%00",
        "/job-status/a%20b",
        "/job-status/%FF",
    ] {
        let answer = gateway.call("GET", path, "").await;
        assert_eq!(answer.problem(404), "not-found", "{path}");
    }
}

#[tokio::test]
async fn unknown_routes_and_methods_are_problems_too() {
    let gateway = Gateway::alone();
    let answer = gateway.send(unproven("GET", "/nowhere", "")).await;
    assert_eq!(answer.problem(404), "not-found");
    for (method, path, allowed) in [
        ("GET", "/webhook/openai", "POST"),
        ("DELETE", "/batch-config", "GET,HEAD,POST"),
    ] {
        let answer = gateway.send(unproven(method, path, "")).await;
        assert_eq!(answer.problem(405), "method-not-allowed");
        assert_eq!(answer.headers["allow"], allowed);
    }
}
