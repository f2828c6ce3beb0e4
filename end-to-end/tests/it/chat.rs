//! Messages of a contact become one batch, and a batch gets one reply.

use std::collections::BTreeSet;
use std::time::Duration;

use end_to_end::{World, on_both_databases};
use entities::batch::{self, ClosedBy, State};
use futures_util::future::join_all;
use sandbox::EffectKind;
use serde_json::Value;
use tokio::time::MissedTickBehavior;

use crate::faults::{CREATE_RESPONSE, slow};
use crate::trace::trace_id;

on_both_databases!(
    three_messages_within_the_wait_get_one_reply,
    the_order_of_messages_is_the_contacts,
    a_message_that_is_delivered_twice_counts_once,
    a_hundred_contacts_at_once_get_a_reply_each,
    contacts_who_write_at_once_share_timers_and_are_each_answered_in_their_own_trace,
    a_contact_who_never_stops_is_answered_after_the_longest_wait,
    a_message_during_generation_is_answered_together_with_the_rest,
    our_own_messages_that_come_back_are_not_answered,
    the_next_batch_knows_the_conversation,
);

async fn three_messages_within_the_wait_get_one_reply(world: World) {
    world.start().await;
    for text in ["Hello!", "Do you fix bikes?", "Mine has a flat tyre."] {
        world.contact_writes("ada", text).await;
    }
    let batch = world.until_batch("ada", State::Replied).await;
    assert_eq!(batch.sequence, 3);
    assert_eq!(batch.closed_by, Some(ClosedBy::Quiet));
    let waited = batch.closed_at.unwrap() - batch.last_message_at;
    let waited = waited.to_std().unwrap();
    assert!(waited >= Duration::from_millis(4900), "{waited:?}");
    let reply =
        "Thank you for your 3 messages, the last of which ends with \"Mine has a flat tyre.\".";
    assert_eq!(world.sent_to("ada"), [reply]);
    asked(&world, "Hello!\nDo you fix bikes?\nMine has a flat tyre.");
    assert_eq!(world.effects(EffectKind::RepliesGenerated).len(), 1);
}

async fn the_order_of_messages_is_the_contacts(world: World) {
    world.start().await;
    // HighLevel's stamps have milliseconds: of two in the same one, nobody knows the order.
    let a_stamp_later = || tokio::time::sleep(Duration::from_millis(2));
    world.contact_writes_late("ada", "one", 1500).await;
    a_stamp_later().await;
    world.contact_writes_late("ada", "two", 800).await;
    a_stamp_later().await;
    world.contact_writes("ada", "three").await;
    world.until_batch("ada", State::Replied).await;
    assert_eq!(world.sent_to("ada").len(), 1);
    asked(&world, "one\ntwo\nthree");
}

async fn a_message_that_is_delivered_twice_counts_once(world: World) {
    world.start().await;
    world.contact_writes_twice_delivered("ada", "Hello!").await;
    world
        .contact_writes_twice_delivered("ada", "Anybody there?")
        .await;
    let batch = world.until_batch("ada", State::Replied).await;
    assert_eq!(batch.sequence, 2);
    asked(&world, "Hello!\nAnybody there?");
    world.until_chat_is_handled().await;
    assert_eq!(world.sent_to("ada").len(), 1);
}

async fn a_hundred_contacts_at_once_get_a_reply_each(mut world: World) {
    // On a busy machine the second message of a contact may come seconds after the first.
    world.set("MESSAGE_BATCH_WAIT_TIME", "20");
    world.start().await;
    let contacts: Vec<String> = (0..100).map(|number| format!("contact-{number}")).collect();
    let bursts = contacts.iter().map(async |contact| {
        world.contact_writes(contact, "Hello!").await;
        world
            .contact_writes(contact, &format!("I am {contact}."))
            .await;
    });
    join_all(bursts).await;
    for contact in &contacts {
        world.until_batch(contact, State::Replied).await;
    }
    for contact in &contacts {
        let reply = format!(
            "Thank you for your 2 messages, the last of which ends with \"I am {contact}.\"."
        );
        assert_eq!(world.sent_to(contact), [reply]);
    }
}

async fn contacts_who_write_at_once_share_timers_and_are_each_answered_in_their_own_trace(
    world: World,
) {
    world.start_gateway().await;
    let contacts: Vec<String> = (0..40).map(|number| format!("contact-{number}")).collect();
    join_all(contacts.iter().map(|c| world.contact_writes(c, "Hello!"))).await;
    let waiting = |world: &World, queue: &str| world.broker.waiting(queue).len();
    world
        .until("all messages", |world| waiting(world, "chat.intake") == 40)
        .await;

    world.start_workers("batching").await;
    world
        .until("a wish for each", |world| {
            waiting(world, "chat.reply") == 40
        })
        .await;
    // What has come while the first one was stored was stored together: a few messages hold the deadlines.
    let deadlines = waiting(&world, "delay.300s");
    assert!((1..40).contains(&deadlines), "{deadlines}");
    let mut traces = BTreeSet::new();
    for wish in world.broker.waiting("chat.reply") {
        let event: Value = serde_json::from_str(wish["payload"].as_str().unwrap()).unwrap();
        let contact = event["data"]["contact_id"].as_str().unwrap();
        let batch = world.until_batch(contact, State::Closed).await;
        let of_wish = trace_id(event["traceparent"].as_str().unwrap());
        let of_batch = batch.traceparent.unwrap();
        assert_eq!(of_wish, trace_id(&of_batch), "{contact}");
        traces.insert(of_wish.to_owned());
    }
    assert_eq!(traces.len(), 40);
}

async fn a_contact_who_never_stops_is_answered_after_the_longest_wait(mut world: World) {
    world.set("MESSAGE_BATCH_MAX_WAIT", "8");
    world.start().await;
    world.contact_writes("ada", "Hello!").await;
    let first = world.until_open("ada", 1).await;
    let mut pace = tokio::time::interval(Duration::from_secs(1));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let closed = loop {
        pace.tick().await;
        let batch = batch::find(&world.db, first.id).await.unwrap().unwrap();
        if batch.state != State::Open {
            break batch;
        }
        world.contact_writes("ada", "And another thing:").await;
    };
    assert_eq!(closed.closed_by, Some(ClosedBy::Deadline));
    let waited = (closed.closed_at.unwrap() - closed.opened_at).to_std();
    let expected = Duration::from_millis(7900)..Duration::from_secs(11);
    assert!(expected.contains(&waited.unwrap()), "{waited:?}");
    world.until_batch("ada", State::Replied).await;
    assert!(!world.sent_to("ada").is_empty());
}

async fn a_message_during_generation_is_answered_together_with_the_rest(world: World) {
    world.start().await;
    // The second message has to be stored meanwhile, on a busy machine too.
    world.sandbox.add_fault(slow(CREATE_RESPONSE, 6000));
    world.contact_writes("ada", "Do you fix bikes?").await;
    world.close_batch("ada", 1).await;
    world
        .until("generation", |world| {
            world.requests("POST /v1/responses") == 1
        })
        .await;
    world.contact_writes("ada", "It is urgent.").await;
    let first = world.until_open("ada", 1).await;
    world.until_batch("ada", State::Replied).await;

    let reply = "Thank you for your 2 messages, the last of which ends with \"It is urgent.\".";
    assert_eq!(world.sent_to("ada"), [reply]);
    let waiting = batch::closed_of(&world.db, [&first.contact_id]).await;
    assert_eq!(waiting.unwrap(), []);
}

async fn our_own_messages_that_come_back_are_not_answered(world: World) {
    world.start().await;
    world.contact_writes("ada", "Hello!").await;
    world.close_batch("ada", 1).await;
    world.until_batch("ada", State::Replied).await;
    world
        .until("the echo", |world| {
            let deliveries = world.sandbox.deliveries();
            let mut echoes = deliveries.iter();
            echoes.any(|sent| sent.event == "OutboundMessage" && sent.status == Some(200))
        })
        .await;
    world.until_chat_is_handled().await;
    assert_eq!(world.sent_to("ada").len(), 1);
    let batch = world.until_batch("ada", State::Replied).await;
    assert_eq!(batch.sequence, 1);
}

async fn the_next_batch_knows_the_conversation(world: World) {
    world.start().await;
    world.contact_writes("ada", "Do you fix bikes?").await;
    world.close_batch("ada", 1).await;
    world.until_batch("ada", State::Replied).await;
    world.contact_writes("ada", "Great, when?").await;
    world.close_batch("ada", 1).await;
    world.until_batch("ada", State::Replied).await;
    let asked = last_question(&world);
    let contents: Vec<&str> = asked.iter().map(|(_, content)| content.as_str()).collect();
    let first_reply = &world.sent_to("ada")[0];
    assert!(
        contents.ends_with(&["Do you fix bikes?", first_reply, "Great, when?"]),
        "{contents:?}"
    );
}

/// The last item of the last question to the model is this one, of the contact.
#[track_caller]
fn asked(world: &World, text: &str) {
    let question = last_question(world);
    let last = question.last().unwrap();
    assert_eq!((last.0.as_str(), last.1.as_str()), ("user", text));
}

/// Role and content of each item that the model was asked with last.
fn last_question(world: &World) -> Vec<(String, String)> {
    let received = world.sandbox.received(Some(sandbox::Provider::OpenAi));
    let questions = received.iter().rev();
    let mut questions = questions.filter(|request| request.method == "POST");
    let input = questions.next().unwrap().body["input"].clone();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    input
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (text(&item["role"]), text(&item["content"])))
        .collect()
}
