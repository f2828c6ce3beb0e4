//! Sending the reply goes wrong. HighLevel knows no idempotency key.

use end_to_end::{World, on_both_databases};
use entities::batch::State;
use sandbox::{EffectKind, Fault, FaultKind};

use crate::faults::{CREATE_RESPONSE, SEND_MESSAGE, once, refused};

on_both_databases!(
    a_rate_limit_of_highlevel_is_waited_for,
    a_reply_whose_answer_was_lost_is_not_sent_again,
    a_reply_that_answered_500_after_it_was_sent_is_not_sent_again,
    an_unreadable_answer_after_the_reply_was_sent_sends_nothing_more,
    a_reply_that_openai_could_not_make_is_made_later,
    a_connection_that_breaks_during_the_flow_loses_nothing,
);

async fn a_rate_limit_of_highlevel_is_waited_for(world: World) {
    world.sandbox.add_fault(Fault {
        retry_after: Some("1".to_owned()),
        ..refused(SEND_MESSAGE, 429)
    });
    answered_once(&world).await;
    assert_eq!(world.requests("POST /conversations/messages"), 2);
}

async fn a_reply_whose_answer_was_lost_is_not_sent_again(world: World) {
    sent_although(world, FaultKind::DropAfter).await;
}

async fn a_reply_that_answered_500_after_it_was_sent_is_not_sent_again(world: World) {
    sent_although(world, FaultKind::StatusAfter).await;
}

async fn an_unreadable_answer_after_the_reply_was_sent_sends_nothing_more(world: World) {
    sent_although(world, FaultKind::Garbage).await;
}

async fn a_reply_that_openai_could_not_make_is_made_later(world: World) {
    world.sandbox.add_fault(refused(CREATE_RESPONSE, 503));
    answered_once(&world).await;
    assert_eq!(world.effects(EffectKind::RepliesGenerated).len(), 1);
}

async fn a_connection_that_breaks_during_the_flow_loses_nothing(mut world: World) {
    world.set("MESSAGE_BATCH_WAIT_TIME", "300");
    world.start().await;
    world.contact_writes("ada", "Hello!").await;
    world.until_open("ada", 1).await;
    // RabbitMQ lists a connection some seconds after it was made.
    world
        .until("connections that can be closed", |world| {
            world.broker.close_connections() > 0
        })
        .await;
    world
        .contact_writes_in_troubled_times("ada", "Anybody there?")
        .await;
    world.close_batch("ada", 2).await;
    world.until_batch("ada", State::Replied).await;
    assert_eq!(world.sent_to("ada").len(), 1);
}

/// HighLevel sends the reply, and then something goes wrong.
async fn sent_although(world: World, fault: FaultKind) {
    world.sandbox.add_fault(once(SEND_MESSAGE, fault));
    answered_once(&world).await;
    assert_eq!(world.requests("POST /conversations/messages"), 1);
}

async fn answered_once(world: &World) {
    world.start().await;
    world.contact_writes("ada", "Hello!").await;
    world.close_batch("ada", 1).await;
    world.until_batch("ada", State::Replied).await;
    assert_eq!(world.sent_to("ada").len(), 1);
}
