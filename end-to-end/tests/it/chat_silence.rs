//! When nothing must be sent.

use end_to_end::{World, on_both_databases};
use entities::batch::State;
use sandbox::{Deliver, Provider};

use crate::faults::{CREATE_RESPONSE, delivery, slow};

on_both_databases!(
    stop_inside_a_burst_silences_us_until_start,
    a_contact_who_is_not_to_be_disturbed_gets_no_reply,
    do_not_disturb_that_nobody_told_us_of_is_respected,
    do_not_disturb_during_generation_is_respected,
    a_person_who_answers_during_the_wait_is_not_spoken_over,
    a_person_who_answers_during_generation_is_not_spoken_over,
);

async fn stop_inside_a_burst_silences_us_until_start(world: World) {
    world.start().await;
    for text in ["Hello!", "STOP", "Are you still there?"] {
        world.contact_writes("ada", text).await;
    }
    suppressed(&world, "ada", 3, "opted_out").await;
    world.contact_writes("ada", "I have a question.").await;
    suppressed(&world, "ada", 1, "opted_out").await;

    world.contact_writes("ada", "START").await;
    world.close_batch("ada", 1).await;
    world.until_batch("ada", State::Replied).await;
    assert_eq!(world.sent_to("ada").len(), 1);
}

async fn a_contact_who_is_not_to_be_disturbed_gets_no_reply(world: World) {
    world.start().await;
    world.contact_writes("ada", "Hello!").await;
    world.do_not_disturb("ada").await;
    suppressed(&world, "ada", 1, "do_not_disturb").await;
    assert_eq!(world.requests("POST /v1/responses"), 0);
}

async fn do_not_disturb_that_nobody_told_us_of_is_respected(world: World) {
    world.start().await;
    world.contact_writes("ada", "Hello!").await;
    let never = delivery(Deliver::Never);
    world.sandbox.set_delivery(Provider::HighLevel, never);
    world.do_not_disturb("ada").await;
    suppressed(&world, "ada", 1, "do_not_disturb").await;
}

async fn do_not_disturb_during_generation_is_respected(world: World) {
    world.start().await;
    generating(&world, "ada").await;
    let never = delivery(Deliver::Never);
    world.sandbox.set_delivery(Provider::HighLevel, never);
    world.do_not_disturb("ada").await;
    // HighLevel itself refuses the message.
    let batch = world.until_batch("ada", State::Suppressed).await;
    assert_eq!(batch.reason.as_deref(), Some("do_not_disturb"));
    assert_eq!(world.requests("POST /conversations/messages"), 1);
    assert_eq!(world.sent_to("ada").len(), 0);
}

async fn a_person_who_answers_during_the_wait_is_not_spoken_over(world: World) {
    world.start().await;
    world.contact_writes("ada", "Hello!").await;
    world.person_answers("ada", "Hi Ada, Tom here.").await;
    let batch = world.until_batch("ada", State::Suppressed).await;
    assert_eq!(batch.reason.as_deref(), Some("answered_by_a_person"));
    assert_eq!(world.sent_to("ada").len(), 0);

    // The next message is nobody's yet.
    world
        .contact_writes("ada", "Thanks. When do you open?")
        .await;
    world.close_batch("ada", 1).await;
    world.until_batch("ada", State::Replied).await;
    assert_eq!(world.sent_to("ada").len(), 1);
}

async fn a_person_who_answers_during_generation_is_not_spoken_over(world: World) {
    world.start().await;
    generating(&world, "ada").await;
    world.person_answers("ada", "Hi Ada, Tom here.").await;
    let batch = world.until_batch("ada", State::Suppressed).await;
    assert_eq!(batch.reason.as_deref(), Some("answered_by_a_person"));
    assert_eq!(world.requests("POST /conversations/messages"), 0);
}

/// The contact's batch is closed, and the model is thinking about the reply.
async fn generating(world: &World, contact: &str) {
    world.sandbox.add_fault(slow(CREATE_RESPONSE, 2000));
    world.contact_writes(contact, "Hello!").await;
    world.close_batch(contact, 1).await;
    world
        .until("generation", |world| {
            world.requests("POST /v1/responses") == 1
        })
        .await;
}

/// The contact's open batch, of this many messages, ends without a reply for this reason.
async fn suppressed(world: &World, contact: &str, messages: i32, reason: &str) {
    world.close_batch(contact, messages).await;
    let batch = world.until_batch(contact, State::Suppressed).await;
    assert_eq!(batch.reason.as_deref(), Some(reason));
    assert_eq!(world.sent_to(contact).len(), 0);
    assert_eq!(world.requests("POST /conversations/messages"), 0);
}
