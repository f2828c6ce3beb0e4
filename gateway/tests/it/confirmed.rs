//! With a broker: what is answered 2xx is in a queue. No database is there, and none is needed.

use axum::body::Body;
use axum::http::{HeaderValue, Request};
use entities::JobId;
use messages::{
    Envelope, FlushRequested, FlushTrigger, MessageReceived, ResearchRequested, ResponseEnded,
};
use serde_json::json;
use test_support::Broker;

use crate::gateway::{
    Gateway, NO_DATABASE, WORKFLOW_SECRET, highlevel, hubspot, now, openai, unproven, workflow,
};

/// The events that wait in a queue.
async fn waiting(broker: &Broker, queue: &str) -> Vec<Envelope> {
    let messages = tokio::task::block_in_place(|| broker.waiting(queue));
    messages
        .iter()
        .map(|message| Envelope::decode(message["payload"].as_str().unwrap().as_bytes()).unwrap())
        .collect()
}

fn types(events: &[Envelope]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event.event_type.as_str())
        .collect()
}

async fn start() -> (Broker, Gateway) {
    let broker = Broker::start();
    let gateway = Gateway::connected(&broker, NO_DATABASE).await;
    (broker, gateway)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_response_waits_for_the_completion_worker() {
    let (broker, gateway) = start().await;
    let body = r#"{"id":"evt_1","type":"response.completed","created_at":1795262390.0,
        "data":{"id":"resp_1"}}"#;
    let answer = gateway.send(openai("wh_1", body)).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let events = waiting(&broker, "research.completion").await;
    assert_eq!(types(&events), ["openai.response.completed"]);
    assert_eq!(
        (events[0].id.as_str(), events[0].subject.as_deref()),
        ("wh_1", Some("resp_1"))
    );
    let ended: ResponseEnded = events[0].data().unwrap();
    assert_eq!(ended.event_id.as_deref(), Some("evt_1"));
    assert_eq!(ended.created_at, Some(1_795_262_390));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_nobody_knows_is_kept_whole() {
    let (broker, gateway) = start().await;
    let body = r#"{"id":"evt_2","type":"batch.completed","data":{"id":"batch_1"},"more":1}"#;
    assert_eq!(gateway.send(openai("wh_2", body)).await.status, 202);
    let events = waiting(&broker, "unrouted").await;
    assert_eq!(types(&events), ["openai.batch.completed"]);
    assert_eq!(events[0].data.get(), body);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_of_a_hubspot_delivery_becomes_a_message() {
    let (broker, gateway) = start().await;
    let event = |id: i64, property: &str| {
        json!({
            "eventId": id, "portalId": 1, "objectId": id, "occurredAt": 3,
            "subscriptionType": "deal.propertyChange", "propertyName": property,
            "propertyValue": "won",
        })
    };
    let body = json!([
        event(1, "dealstage"),
        event(2, "amount"),
        event(3, "dealstage")
    ]);
    let answer = gateway
        .send(hubspot("/webhook/hubspot?app=1", &body.to_string()))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let mut deals: Vec<_> = waiting(&broker, "research.submission")
        .await
        .into_iter()
        .map(|event| event.subject.unwrap())
        .collect();
    deals.sort();
    assert_eq!(deals, ["1", "3"]);
    let rest = waiting(&broker, "unrouted").await;
    assert_eq!(types(&rest), ["hubspot.deal.property_change"]);
    let useless = gateway.send(hubspot("/webhook/hubspot", "[]")).await;
    assert_eq!(useless.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_each_shape_waits_for_the_batching_worker() {
    let (broker, gateway) = start().await;
    let path = format!("/webhook/t/{WORKFLOW_SECRET}");
    let native = r#"{"type":"InboundMessage","contactId":"c1","body":"one","webhookId":"w1"}"#;
    for (request, contact) in [
        (highlevel("/webhook", native), "c1"),
        (
            highlevel("/webhook/highlevel", &native.replace("c1", "c2")),
            "c2",
        ),
        (
            workflow(
                "application/json; charset=utf-8",
                r#"{"contact_id":"c3","message":"x"}"#,
            ),
            "c3",
        ),
        (
            workflow(
                "application/x-www-form-urlencoded",
                "contact[id]=c4&message[body]=x",
            ),
            "c4",
        ),
        (
            unproven(
                "POST",
                &path,
                r#"{"type":"contact.reply","contact":{"id":"c5"},"message":"x"}"#,
            ),
            "c5",
        ),
    ] {
        let answer = gateway.send(request).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.body["status"], "success");
        assert_eq!(answer.body["contact_id"], contact);
        assert!(answer.body["message"].is_string() && answer.body["timestamp"].is_string());
    }
    let contacts: Vec<_> = waiting(&broker, "chat.intake")
        .await
        .into_iter()
        .map(|event| event.data::<MessageReceived>().unwrap().contact_id)
        .collect();
    assert_eq!(contacts, ["c1", "c2", "c3", "c4", "c5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn research_is_accepted_with_the_id_of_the_job_and_twice_is_the_same_job() {
    let (broker, gateway) = start().await;
    let body = r#"{"companyId":42,"stageTs":"t1","company":{"name":"Acme"},"deal_id":7}"#;
    let first = gateway.call("POST", "/generate", body).await;
    let second = gateway.call("POST", "/submit-job", body).await;
    assert_eq!(
        (first.status.as_u16(), second.status.as_u16()),
        (202, 202),
        "{}",
        first.body
    );
    let job_id = JobId::from_idempotency_key("generate:42:t1").to_string();
    for answer in [&first, &second] {
        assert_eq!(answer.body["status"], "submitted");
        assert_eq!(answer.body["job_id"], job_id.as_str());
        assert_eq!(answer.body["response_id"], job_id.as_str());
        assert_eq!(answer.body["estimated_completion"], "5-15 minutes");
        let address = format!("https://hooks.example.com/job-status/{job_id}");
        assert_eq!(answer.body["check_status_url"], address.as_str());
    }
    let events = waiting(&broker, "research.submission").await;
    assert_eq!(types(&events), ["research.requested", "research.requested"]);
    assert_eq!(events[0].id, events[1].id);
    let data: ResearchRequested = events[0].data().unwrap();
    assert_eq!(data.deal_id.as_deref(), Some("7"));
    assert_eq!(data.company["name"], "Acme");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_names_the_job() {
    let (_broker, gateway) = start().await;
    let request = |stage: &str| {
        let body = format!(r#"{{"companyId":1,"stageTs":"{stage}"}}"#);
        let mut request: Request<Body> = unproven("POST", "/generate", &body);
        let headers = request.headers_mut();
        headers.insert(
            "x-api-key",
            HeaderValue::from_static(crate::gateway::API_KEY),
        );
        headers.insert("idempotency-key", HeaderValue::from_static("k1"));
        request
    };
    let first = gateway.send(request("a")).await;
    let second = gateway.send(request("b")).await;
    assert_eq!(first.status, 202, "{}", first.body);
    assert_eq!(first.body["job_id"], second.body["job_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_can_be_forced_while_the_database_is_down() {
    let (broker, gateway) = start().await;
    let answer = gateway.call("POST", "/force-process-batch/c1", "").await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let events = waiting(&broker, "chat.flush").await;
    let flush: FlushRequested = events[0].data().unwrap();
    let expected = FlushRequested {
        contact_id: "c1".to_owned(),
        batch_id: None,
        trigger: FlushTrigger::Operator,
    };
    assert_eq!(flush, expected);
    assert_eq!(events[0].time, now());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_event_is_confirmed_and_the_gateway_is_ready_without_a_database() {
    let (broker, gateway) = start().await;
    let answer = gateway.send(unproven("GET", "/test-webhook", "")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body["confirmed"], true);
    assert!(answer.body["latency_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(types(&waiting(&broker, "unrouted").await), ["test.ping"]);
    let answer = gateway.send(unproven("GET", "/health/ready", "")).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.body["status"]),
        (200, &"degraded".into())
    );
    assert_eq!(answer.body["broker"]["status"], "ready");
    assert_eq!(answer.body["database"]["status"], "down");
}

/// The only test that sets up telemetry: it is one for the process.
#[tokio::test(flavor = "multi_thread")]
async fn a_clients_trace_goes_on_and_a_providers_starts_here() {
    let _telemetry = telemetry::init("gateway-test", &telemetry::Settings::default()).unwrap();
    let (broker, gateway) = start().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let header = HeaderValue::from_str(&format!("00-{trace}-00f067aa0ba902b7-01")).unwrap();

    let mut request = unproven("POST", "/generate", r#"{"companyId":1}"#);
    request.headers_mut().insert(
        "x-api-key",
        HeaderValue::from_static(crate::gateway::API_KEY),
    );
    request.headers_mut().insert("traceparent", header.clone());
    assert_eq!(gateway.send(request).await.status, 202);
    let events = waiting(&broker, "research.submission").await;
    assert!(events[0].traceparent.as_deref().unwrap().contains(trace));

    let mut delivery = openai(
        "wh_3",
        r#"{"type":"response.failed","data":{"id":"resp_1"}}"#,
    );
    delivery.headers_mut().insert("traceparent", header);
    assert_eq!(gateway.send(delivery).await.status, 202);
    let events = waiting(&broker, "research.completion").await;
    assert!(!events[0].traceparent.as_deref().unwrap().contains(trace));
}
