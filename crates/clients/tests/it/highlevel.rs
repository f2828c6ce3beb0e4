//! Messages, conversations and contacts in HighLevel.

use std::time::Duration;

use clients::{
    ClientError, ErrorKind, Reason, Secret,
    highlevel::{Channel, Client, Direction, HighlevelConfig, OutgoingMessage},
};
use serde_json::json;

use crate::stand_in::{Answer, StandIn};

fn client(server: &StandIn) -> Client {
    Client::new(HighlevelConfig {
        base_url: server.url.clone(),
        token: Secret::new("pit-test"),
        location_id: "loc1".into(),
    })
    .unwrap()
}

fn message(channel: Channel) -> OutgoingMessage {
    OutgoingMessage {
        contact_id: "c1".into(),
        channel,
        text: "Tuesday <10:00>\nworks.".into(),
        subject: Some("Re: Tuesday".into()),
        reply_to: None,
        thread_id: None,
        conversation_provider_id: None,
    }
}

async fn send(answer: Answer) -> ClientError {
    let server = StandIn::start([answer]).await;
    client(&server)
        .send_message(&message(Channel::Sms))
        .await
        .unwrap_err()
}

#[tokio::test]
async fn a_text_message_is_sent_as_plain_text() {
    let answer = json!({"conversationId": "v1", "messageId": "m1", "status": "pending"});
    let server = StandIn::start([Answer::json(201, answer)]).await;
    let sent = client(&server)
        .send_message(&message(Channel::Sms))
        .await
        .unwrap();
    assert_eq!(
        (sent.conversation_id.as_deref(), sent.message_id.as_str()),
        (Some("v1"), "m1")
    );
    let request = server.request();
    assert_eq!(request.line(), "POST /conversations/messages");
    assert_eq!(request.header("authorization"), "Bearer pit-test");
    assert_eq!(request.header("version"), "2021-04-15");
    assert_eq!(request.header("accept"), "application/json");
    assert_eq!(
        request.json(),
        json!({"type": "SMS", "contactId": "c1", "message": "Tuesday <10:00>\nworks."})
    );
}

#[tokio::test]
async fn an_e_mail_is_sent_as_html_in_its_thread() {
    let server = StandIn::start([Answer::json(200, json!({"emailMessageId": "e2"}))]).await;
    let email = OutgoingMessage {
        reply_to: Some("e1".into()),
        thread_id: Some("t1".into()),
        ..message(Channel::Email)
    };
    assert_eq!(
        client(&server)
            .send_message(&email)
            .await
            .unwrap()
            .message_id,
        "e2"
    );
    assert_eq!(
        server.request().json(),
        json!({"type": "Email", "contactId": "c1", "subject": "Re: Tuesday",
            "html": "<p>Tuesday &lt;10:00&gt;<br>works.</p>",
            "replyMessageId": "e1", "threadId": "t1"})
    );
}

#[tokio::test]
async fn a_custom_channel_names_its_provider() {
    let server = StandIn::start([Answer::json(200, json!({"messageId": "m1"}))]).await;
    let custom = OutgoingMessage {
        conversation_provider_id: Some("p1".into()),
        ..message(Channel::Custom)
    };
    client(&server).send_message(&custom).await.unwrap();
    let body = server.request().json();
    assert_eq!(
        (&body["type"], &body["conversationProviderId"]),
        (&json!("Custom"), &json!("p1"))
    );
}

#[tokio::test]
async fn recent_messages_are_read_flat_or_nested_newest_first() {
    let messages = json!([
        {"id": "1", "direction": "inbound", "body": "old", "messageType": "TYPE_SMS",
         "dateAdded": "2026-11-21T12:00:00.000Z"},
        {"id": "2", "messageType": "TYPE_ACTIVITY_CONTACT", "body": "tag added"},
        {"id": "3", "direction": "outbound", "body": null, "source": "api", "userId": "u1",
         "dateAdded": "2026-11-21T12:05:00.000Z", "messageType": "TYPE_CALL"},
    ]);
    for answer in [
        json!({"messages": messages, "nextPage": false}),
        json!({"messages": {"messages": messages, "lastMessageId": "3"}}),
    ] {
        let server = StandIn::start([Answer::json(200, answer)]).await;
        let found = client(&server).recent_messages("v1", 5).await.unwrap();
        let ids: Vec<_> = found.iter().map(|message| message.id.as_str()).collect();
        assert_eq!(ids, ["3", "1"]);
        assert_eq!(
            (found[0].direction, found[1].direction),
            (Direction::Outbound, Direction::Inbound)
        );
        assert_eq!(found[0].user_id.as_deref(), Some("u1"));
        assert_eq!(found[0].source.as_deref(), Some("api"));
        assert_eq!(found[0].body, "");
        let request = server.request();
        assert_eq!(request.line(), "GET /conversations/v1/messages");
        assert_eq!(request.query["limit"], "5");
    }
}

#[tokio::test]
async fn a_conversation_is_found_by_its_contact() {
    let server = StandIn::start([
        Answer::json(200, json!({"conversations": [{"id": "v1"}], "total": 1})),
        Answer::json(200, json!({"conversations": [], "total": 0})),
    ])
    .await;
    let client = client(&server);
    assert_eq!(
        client.find_conversation("c1").await.unwrap().as_deref(),
        Some("v1")
    );
    assert_eq!(client.find_conversation("c2").await.unwrap(), None);
    let request = &server.requests()[0];
    assert_eq!(request.line(), "GET /conversations/search");
    assert_eq!(
        (&*request.query["locationId"], &*request.query["contactId"]),
        ("loc1", "c1")
    );
}

#[tokio::test]
async fn a_contact_is_read_with_its_consent() {
    let server = StandIn::start([Answer::json(
        200,
        json!({"contact": {"id": "c1", "firstName": "Ann", "phone": "+15551234", "dnd": false,
            "dndSettings": {"SMS": {"status": "active"}}}}),
    )])
    .await;
    let contact = client(&server).contact("c1").await.unwrap();
    assert_eq!(contact.first_name.as_deref(), Some("Ann"));
    assert!(contact.blocks(Channel::Sms) && !contact.blocks(Channel::Email));
    let request = server.request();
    assert_eq!(request.line(), "GET /contacts/c1");
    assert_eq!(request.header("version"), "2021-07-28");
}

#[tokio::test]
async fn documented_errors_have_their_kinds() {
    let permanent = |reason| ErrorKind::Permanent { reason };
    for (status, text, kind) in [
        (
            400,
            "Cannot send message as DND is active for SMS.",
            permanent(Some(Reason::DoNotDisturb)),
        ),
        (
            400,
            "Contact has unsubscribed",
            permanent(Some(Reason::Unsubscribed)),
        ),
        (
            400,
            "Missing phone number",
            permanent(Some(Reason::MissingPhoneNumber)),
        ),
        (400, "Contact not found", ErrorKind::NotFound),
        (400, "Bad request", permanent(None)),
        (401, "Invalid JWT", ErrorKind::Unauthorized),
        (403, "wrong location", ErrorKind::Unauthorized),
        (404, "no", ErrorKind::NotFound),
        (500, "oops", ErrorKind::Unknown),
    ] {
        let body = json!({"statusCode": status, "message": text, "traceId": "t-1"});
        let error = send(Answer::json(status, body)).await;
        assert_eq!(error.kind(), kind, "{status} {text}");
        assert_eq!((error.request_id(), error.message()), (Some("t-1"), text));
    }
}

#[tokio::test]
async fn a_422_lists_its_reasons() {
    let error = send(Answer::json(
        422,
        json!({"message": ["type is bad", "so is id"]}),
    ))
    .await;
    assert_eq!(error.kind(), ErrorKind::Permanent { reason: None });
    assert_eq!(error.message(), "type is bad; so is id");
}

#[tokio::test]
async fn a_rate_limit_names_its_wait_in_headers() {
    let limited = || Answer::json(429, json!({"message": "Too Many Requests"}));
    let burst = || {
        limited()
            .header("x-ratelimit-interval-milliseconds", "10000")
            .header("x-ratelimit-daily-remaining", "5")
    };
    let daily = || limited().header("x-ratelimit-daily-remaining", "0");
    for (answer, seconds) in [
        (limited(), None),
        (burst(), Some(10)),
        (burst().header("retry-after", "3"), Some(3)),
        (
            daily().header("x-ratelimit-daily-reset", "7200000"),
            Some(7200),
        ),
        (daily(), Some(3600)),
    ] {
        let retry_after = seconds.map(Duration::from_secs);
        assert_eq!(
            send(answer).await.kind(),
            ErrorKind::NotDone { retry_after }
        );
    }
}

#[tokio::test]
async fn a_success_without_a_message_id_is_unknown() {
    assert_eq!(
        send(Answer::json(200, json!({"msg": "queued"})))
            .await
            .kind(),
        ErrorKind::Unknown
    );
}
