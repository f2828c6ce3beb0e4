//! Sending the reply, once, although HighLevel has no idempotency key.

use chrono::{DateTime, TimeDelta, Utc};
use clients::ErrorKind;
use clients::highlevel::{Channel, Direction as Way, OutgoingMessage, SentMessage};
use crash_points::crash_point;
use entities::batch::{self, Outcome};
use entities::{effect, message, reply};

use super::Reply;
use super::claim::{effect_key, suppressing};
use crate::chat::opt_out::without_tags;
use crate::halt::{
    Halt, Handled, give_up, not_there, reason, retry_later, unauthorized, unless_grown_old,
};

/// After this time no send that was started can still be on its way: the client's own deadline for
/// a call, and some. Until then "not found" may mean "not yet".
pub(crate) const IN_FLIGHT: TimeDelta = TimeDelta::seconds(25);

/// How far HighLevel's clock may be behind ours.
const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(30);

/// How many of the conversation's latest messages are searched.
const SEARCHED_MESSAGES: u32 = 50;

impl Reply {
    /// Sends the reply that was claimed at `since`.
    pub(super) async fn send(
        &self,
        batch: &batch::Model,
        reply: &reply::Model,
        outgoing: &OutgoingMessage,
        since: DateTime<Utc>,
    ) -> Handled {
        let key = effect_key(batch.id);
        let highlevel = self.highlevel()?;
        unless_grown_old(&self.db, &key, since).await?;
        let sent = highlevel.send_message(outgoing).await;
        crash_point!("chat.reply.sent");
        let error = match sent {
            Ok(sent) => return self.record(batch, reply, sent).await,
            Err(error) => error,
        };
        match error.kind() {
            // The effect stays as it is: the next attempt asks before it sends.
            ErrorKind::Unknown => Ok(retry_later("highlevel_outcome_unknown", error.to_string())),
            ErrorKind::NotDone { .. } => {
                effect::forget(&self.db, &key, since).await?;
                Err(Halt::from(error))
            }
            ErrorKind::Unauthorized => {
                effect::forget(&self.db, &key, since).await?;
                Ok(unauthorized(&error))
            }
            ErrorKind::Permanent { reason: why } => {
                effect::forget(&self.db, &key, since).await?;
                match suppressing(why) {
                    Some(reason) => self.end(batch, Outcome::Suppressed, reason).await,
                    None => Ok(give_up(reason(&error), error.to_string())),
                }
            }
            ErrorKind::NotFound => {
                effect::forget(&self.db, &key, since).await?;
                Ok(give_up(reason(&error), error.to_string()))
            }
        }
    }

    /// A send was started at `since` and its outcome is not known: asks HighLevel.
    pub(super) async fn ask_before_sending_again(
        &self,
        batch: &batch::Model,
        channel: Channel,
        reply: &reply::Model,
        since: DateTime<Utc>,
    ) -> Handled {
        let asked_at = crate::time::now();
        if let Some(sent) = self.find_sent(batch, channel, reply, since).await? {
            return self.record(batch, reply, sent).await;
        }
        // If it certainly was not sent, the next attempt decides anew whether it still should be.
        let reasons = ["reply_may_be_on_its_way", "reply_was_not_sent"];
        let key = effect_key(batch.id);
        Ok(not_there(&self.db, &key, since, asked_at, IN_FLIGHT, reasons).await?)
    }

    /// The message in HighLevel's conversation that is this reply, if it is there.
    pub(super) async fn find_sent(
        &self,
        batch: &batch::Model,
        channel: Channel,
        reply: &reply::Model,
        since: DateTime<Utc>,
    ) -> Result<Option<SentMessage>, Halt> {
        let highlevel = self.highlevel()?;
        let conversation = match &batch.conversation_id {
            Some(id) => Some(id.clone()),
            None => {
                highlevel
                    .find_conversation(batch.contact_id.as_str())
                    .await?
            }
        };
        let Some(conversation) = conversation else {
            return Ok(None);
        };
        let earliest = since - CLOCK_SKEW;
        for message in highlevel
            .recent_messages(&conversation, SEARCHED_MESSAGES)
            .await?
        {
            let may_be_it = message.direction == Way::Outbound
                && message.user_id.is_none()
                && message.date_added.is_none_or(|date| date >= earliest)
                && holds_text(&message.body, &reply.text, channel);
            // An earlier reply with the same words is stored with its id.
            if may_be_it && !message::is_stored(&self.db, &batch.contact_id, &message.id).await? {
                let conversation_id = Some(conversation);
                return Ok(Some(SentMessage {
                    conversation_id,
                    message_id: message.id,
                }));
            }
        }
        Ok(None)
    }

    pub(super) fn outgoing(
        batch: &batch::Model,
        channel: Channel,
        reply: &reply::Model,
        messages: &[message::Model],
    ) -> OutgoingMessage {
        // The thread of the channel that the reply goes out by; a batch may hold several channels.
        let same_channel = |message: &&message::Model| message.channel == batch.channel;
        let last = messages.iter().rfind(same_channel).or(messages.last());
        let email = channel == Channel::Email;
        let subject = last
            .and_then(|message| message.subject.clone())
            .filter(|_| email);
        OutgoingMessage {
            contact_id: batch.contact_id.to_string(),
            channel,
            text: reply.text.clone(),
            subject: subject.map(|subject| answered(&subject)),
            reply_to: last
                .and_then(|message| message.email_message_id.clone())
                .filter(|_| email),
            thread_id: None,
            conversation_provider_id: batch.conversation_provider_id.clone(),
        }
    }
}

fn answered(subject: &str) -> String {
    let is_answer = subject
        .get(..3)
        .is_some_and(|start| start.eq_ignore_ascii_case("re:"));
    if is_answer {
        subject.to_owned()
    } else {
        format!("Re: {subject}")
    }
}

/// Whether the message there holds our text: HighLevel may add a line to it (how to opt out), and an
/// e-mail is sent as HTML and may come back changed in form, so that only its letters count.
fn holds_text(there: &str, ours: &str, channel: Channel) -> bool {
    if channel == Channel::Email {
        let letters = |text: &str| -> String {
            without_tags(text)
                .chars()
                .filter(|character| character.is_alphanumeric())
                .collect()
        };
        return letters(there).contains(&letters(ours));
    }
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    words(there).contains(&words(ours))
}

#[cfg(test)]
mod tests {
    use clients::highlevel::Channel;

    use super::{answered, holds_text};

    #[test]
    fn a_sent_message_is_recognised_by_its_text() {
        assert!(holds_text(
            " See you then.\n",
            "See you then.",
            Channel::Sms
        ));
        assert!(holds_text(
            "See you  then.\nReply STOP to end.",
            "See you then.",
            Channel::Sms
        ));
        assert!(!holds_text("See you", "See you then.", Channel::Sms));
        assert!(holds_text(
            "<p>See you,<br>then.</p>",
            "See you,\nthen.",
            Channel::Email
        ));
    }

    #[test]
    fn an_email_is_answered_under_its_subject() {
        assert_eq!(answered("Booking"), "Re: Booking");
        assert_eq!(answered("RE: Booking"), "RE: Booking");
    }
}
