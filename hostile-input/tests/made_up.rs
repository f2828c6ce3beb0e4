//! Parsers fed with what proptest makes up: anything at all, changes of the corpus, and what they must
//! accept.

#![expect(
    clippy::unwrap_used,
    reason = "clippy does not see that helpers of a test are one"
)]

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use hostile_input::TARGETS;
use messages::{DealStageChanged, Envelope, MessageReceived, ResponseEnded};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::json;

/// How often each property is tried. Fixed, so that a run takes seconds.
fn times(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// The files of all corpora, each with the position of its target.
fn seeds() -> &'static [(usize, Vec<u8>)] {
    static SEEDS: OnceLock<Vec<(usize, Vec<u8>)>> = OnceLock::new();
    SEEDS.get_or_init(|| {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
        let mut seeds = Vec::new();
        for (position, target) in TARGETS.iter().enumerate() {
            for file in fs::read_dir(corpus.join(target.name)).unwrap() {
                seeds.push((position, fs::read(file.unwrap().path()).unwrap()));
            }
        }
        seeds
    })
}

/// Pieces that mean something to some parser.
const PIECES: [&[u8]; 24] = [
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\\",
    b"\0",
    b"\\u0000",
    b"\n\n",
    b"<",
    b">",
    b"![",
    b"](",
    b"{{",
    b"}}",
    b"javascript:",
    b"&#58;",
    b"@",
    b"://",
    b"\xff",
    b"\xed\xa0\x80",
    b"-1",
    b"1e999",
    b"\xe2\x80\x8b",
];

proptest! {
    #![proptest_config(times(256))]

    #[test]
    fn any_bytes_break_no_promise(data in proptest::collection::vec(any::<u8>(), 0..400)) {
        for target in TARGETS {
            (target.run)(&data);
        }
    }

    #[test]
    fn any_text_breaks_no_promise(data in "\\PC{0,200}") {
        for target in TARGETS {
            (target.run)(data.as_bytes());
        }
    }
}

proptest! {
    #![proptest_config(times(2000))]

    #[test]
    fn a_changed_example_breaks_no_promise(
        seed in any::<Index>(),
        changes in proptest::collection::vec((any::<Index>(), select(&PIECES[..]), 0..9_usize), 1..5),
    ) {
        let (target, mut data) = seed.get(seeds()).clone();
        for (place, piece, removed) in changes {
            let start = place.index(data.len() + 1);
            let end = (start + removed).min(data.len());
            data.splice(start..end, piece.iter().copied());
        }
        (TARGETS[target].run)(&data);
    }
}

fn read_chat(media_type: &str, body: &str) -> Envelope {
    let reading = gateway::highlevel_payload::read(
        Some(media_type),
        body.as_bytes(),
        "/webhook/highlevel",
        chrono::DateTime::UNIX_EPOCH,
    );
    reading.unwrap().event
}

/// A word as ids have them, and a text that is not blank.
fn word() -> impl Strategy<Value = String> {
    "[A-Za-z0-9]{1,24}"
}

fn text() -> impl Strategy<Value = String> {
    "[a-z]\\PC{0,80}[a-z]"
}

proptest! {
    #![proptest_config(times(200))]

    #[test]
    fn the_three_shapes_of_a_message_say_the_same(contact in word(), text in text()) {
        let shapes = [
            json!({"type": "InboundMessage", "contactId": contact, "body": text,
                "messageType": "SMS", "direction": "inbound"}),
            json!({"contact_id": contact, "message": {"type": "SMS", "body": text}}),
            json!({"type": "contact.reply", "contact": {"id": contact},
                "message": {"content": text}}),
            json!({"type": "contact.reply", "contact": {"id": contact}, "message": text}),
        ];
        for shape in shapes {
            let event = read_chat("application/json", &shape.to_string());
            let message: MessageReceived = event.data().unwrap();
            prop_assert_eq!(&message.contact_id, &contact);
            prop_assert_eq!(&message.text, &text);
            prop_assert_eq!(&message.channel, "SMS");
        }
    }

    #[test]
    fn a_form_says_the_same_as_json(contact in word(), text in text()) {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("contact_id", &contact);
        form.append_pair("message[body]", &text);
        let event = read_chat("application/x-www-form-urlencoded", &form.finish());
        let message: MessageReceived = event.data().unwrap();
        prop_assert_eq!(message.contact_id, contact);
        prop_assert_eq!(message.text, text);
    }

    #[test]
    fn a_deal_keeps_its_numbers_and_its_stage(
        portal in 1..i64::MAX, deal in 1..i64::MAX, at in 0..i64::MAX, stage in word(),
    ) {
        let event = json!([{"portalId": portal, "objectId": deal, "occurredAt": at,
            "subscriptionType": "deal.propertyChange", "propertyName": "dealstage",
            "propertyValue": stage}]);
        let body = event.to_string();
        let events = gateway::readers::hubspot_events(body.as_bytes(), chrono::DateTime::UNIX_EPOCH);
        let change: DealStageChanged = events.unwrap()[0].data().unwrap();
        prop_assert_eq!(
            (change.portal_id, change.deal_id, change.occurred_at_ms, change.stage),
            (portal, deal, at, stage)
        );
    }

    #[test]
    fn an_ended_response_keeps_its_id(id in word(), kind in select(vec!["completed", "failed"])) {
        let body = json!({"type": format!("response.{kind}"), "data": {"id": id}}).to_string();
        let delivery = gateway::verify::OpenAiDelivery {
            webhook_id: "wh".to_owned(),
            body: body.into_bytes().into(),
        };
        let event = gateway::readers::openai_event(&delivery, chrono::DateTime::UNIX_EPOCH);
        let ended: ResponseEnded = event.unwrap().data().unwrap();
        prop_assert_eq!(ended.response_id, id);
    }

    #[test]
    fn sections_come_out_as_they_were_written(intro in "[A-Za-z0-9 .,äöü€]{1,200}", cut in 1..40_usize) {
        prop_assume!(!intro.trim().is_empty());
        let whole = json!({"INTRO": intro, "METRICS": "none"}).to_string();
        let around = format!("Here it is:\n```json\n{whole}\n```\n");
        for text in [&whole, &around] {
            let sections = workers::readers::research(text, &[]);
            prop_assert_eq!(sections.get("INTRO"), Some(&intro));
        }
        // Cut short, what is there is still there.
        let end = whole.char_indices().rev().nth(cut.min(whole.chars().count() - 12)).unwrap().0;
        let sections = workers::readers::research(&whole[..end], &[]);
        let kept = sections.get("INTRO").map_or("", String::as_str);
        prop_assert!(intro.starts_with(kept.trim_end_matches('{')) || kept.contains("INTRO"), "{}", kept);
    }

    #[test]
    fn a_wait_in_seconds_is_read(seconds in 0..1_000_000_u64) {
        let mut headers = http::HeaderMap::new();
        headers.insert("retry-after", seconds.into());
        let wait = clients::readers::retry_after(&headers, std::time::SystemTime::UNIX_EPOCH);
        prop_assert_eq!(wait, Some(std::time::Duration::from_secs(seconds)));
    }
}
