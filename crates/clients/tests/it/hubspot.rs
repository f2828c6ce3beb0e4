//! Deals, companies and notes in HubSpot.

use std::{collections::BTreeMap, time::Duration};

use clients::{
    ErrorKind, Secret,
    hubspot::{Client, HubspotConfig},
};
use serde_json::json;

use crate::stand_in::{Answer, StandIn};

fn client(server: &StandIn) -> Client {
    let access_token = Secret::new("pat-test");
    Client::new(HubspotConfig {
        base_url: server.url.clone(),
        access_token,
    })
    .unwrap()
}

#[tokio::test]
async fn a_deal_comes_with_each_of_its_companies_once() {
    let server = StandIn::start([Answer::json(
        200,
        json!({
            "id": "182", "archived": false,
            "properties": {"dealname": "Acme", "amount": null},
            "associations": {"companies": {"results": [
                {"id": "991", "type": "deal_to_company"},
                {"id": "12", "type": "deal_to_company_unlabeled"},
                {"id": "991", "type": "deal_to_company_unlabeled"}]}},
        }),
    )])
    .await;
    let deal = client(&server)
        .deal("182", &["dealname", "amount"])
        .await
        .unwrap();
    assert_eq!(deal.id, "182");
    assert_eq!(deal.company_ids, ["991", "12"]);
    assert_eq!(deal.properties["dealname"].as_deref(), Some("Acme"));
    assert_eq!(deal.properties["amount"], None);
    let request = server.request();
    assert_eq!(request.line(), "GET /crm/v3/objects/deals/182");
    assert_eq!(request.header("authorization"), "Bearer pat-test");
    assert_eq!(request.query["properties"], "dealname,amount");
    assert_eq!(request.query["associations"], "companies");
}

#[tokio::test]
async fn a_deal_without_companies_has_none() {
    let server = StandIn::start([Answer::json(200, json!({"id": "1", "properties": {}}))]).await;
    assert!(
        client(&server)
            .deal("1", &[])
            .await
            .unwrap()
            .company_ids
            .is_empty()
    );
}

#[tokio::test]
async fn a_company_is_read_with_its_properties() {
    let answer = json!({"id": "991", "properties": {"domain": "acme.example"}});
    let server = StandIn::start([Answer::json(200, answer)]).await;
    let company = client(&server)
        .company("991", &["name", "domain"])
        .await
        .unwrap();
    assert_eq!(
        company.properties["domain"].as_deref(),
        Some("acme.example")
    );
    let request = server.request();
    assert_eq!(request.line(), "GET /crm/v3/objects/companies/991");
    assert_eq!(request.query["properties"], "name,domain");
}

#[tokio::test]
async fn a_deal_is_updated_by_patch() {
    let server = StandIn::start([Answer::json(200, json!({"id": "1"}))]).await;
    let properties = BTreeMap::from([("research_doc_url".into(), "https://d.example".into())]);
    client(&server).update_deal("1", &properties).await.unwrap();
    let request = server.request();
    assert_eq!(request.line(), "PATCH /crm/v3/objects/deals/1");
    assert_eq!(
        request.json(),
        json!({"properties": {"research_doc_url": "https://d.example"}})
    );
}

#[tokio::test]
async fn a_note_is_created_on_its_deal() {
    let server = StandIn::start([Answer::json(201, json!({"id": "77"}))]).await;
    let time = "2026-11-21T12:00:00.5Z".parse().unwrap();
    assert_eq!(
        client(&server)
            .create_note("182", "<p>x</p>", time)
            .await
            .unwrap(),
        "77"
    );
    let request = server.request();
    assert_eq!(request.line(), "POST /crm/v3/objects/notes");
    assert_eq!(
        request.json(),
        json!({
            "properties": {"hs_timestamp": "2026-11-21T12:00:00Z", "hs_note_body": "<p>x</p>"},
            "associations": [{"to": {"id": "182"}, "types": [
                {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 214}]}],
        })
    );
}

#[tokio::test]
async fn a_note_is_found_by_its_text_on_a_later_page() {
    let server = StandIn::start([
        Answer::json(
            200,
            json!({"results": [{"toObjectId": 1, "associationTypes": []}],
                "paging": {"next": {"after": "c2"}}}),
        ),
        Answer::json(
            200,
            json!({"results": [{"id": "1", "properties": {"hs_note_body": null}}]}),
        ),
        Answer::json(
            200,
            json!({"results": [{"toObjectId": 2}, {"toObjectId": 3}]}),
        ),
        Answer::json(
            207,
            json!({"results": [{"id": "3", "properties": {"hs_note_body": "<p>job j1</p>"}}]}),
        ),
    ])
    .await;
    let found = client(&server).find_note("182", "job j1").await.unwrap();
    assert_eq!(found.as_deref(), Some("3"));
    let requests = server.requests();
    assert_eq!(
        requests[0].line(),
        "GET /crm/v4/objects/deals/182/associations/notes"
    );
    assert_eq!(requests[1].line(), "POST /crm/v3/objects/notes/batch/read");
    assert_eq!(requests[2].query["after"], "c2");
    assert_eq!(
        requests[3].json(),
        json!({"properties": ["hs_note_body"], "inputs": [{"id": "2"}, {"id": "3"}]})
    );
}

#[tokio::test]
async fn a_deal_without_notes_has_no_such_note() {
    let server = StandIn::start([Answer::json(200, json!({"results": []}))]).await;
    assert_eq!(client(&server).find_note("182", "job").await.unwrap(), None);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn documented_errors_have_their_kinds() {
    let wait = |seconds| ErrorKind::NotDone {
        retry_after: Some(Duration::from_secs(seconds)),
    };
    let permanent = ErrorKind::Permanent { reason: None };
    for (status, policy, retry_after, kind) in [
        (400, "", None, permanent),
        (401, "", None, ErrorKind::Unauthorized),
        (403, "", None, ErrorKind::Unauthorized),
        (404, "", None, ErrorKind::NotFound),
        (409, "", None, permanent),
        (414, "", None, permanent),
        (423, "", None, wait(2)),
        (423, "", Some("9"), wait(9)),
        (429, "TEN_SECONDLY_ROLLING", None, wait(10)),
        (429, "DAILY", None, wait(3600)),
        (429, "DAILY", Some("60"), wait(60)),
        (429, "", None, ErrorKind::NotDone { retry_after: None }),
        (477, "", Some("86400"), wait(86_400)),
        (500, "", None, ErrorKind::Unknown),
        (524, "", None, ErrorKind::Unknown),
    ] {
        let body = json!({"status": "error", "message": "why", "correlationId": "c-1",
            "category": "X", "policyName": policy});
        let mut answer = Answer::json(status, body);
        if let Some(seconds) = retry_after {
            answer = answer.header("retry-after", seconds);
        }
        let server = StandIn::start([answer]).await;
        let error = client(&server)
            .update_deal("1", &BTreeMap::new())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{status} {policy} {retry_after:?}");
        assert_eq!((error.request_id(), error.message()), (Some("c-1"), "why"));
    }
}
