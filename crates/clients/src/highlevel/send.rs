//! Sending a message.

use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::{CONVERSATIONS, Channel, Client};
use crate::error::ClientError;

/// A message to a contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingMessage {
    /// To whom.
    pub contact_id: String,
    /// By which way: the one by which the contact wrote.
    pub channel: Channel,
    /// Plain text. For e-mail it is sent as HTML, escaped, with its line breaks.
    pub text: String,
    /// E-mail only.
    pub subject: Option<String>,
    /// The message that is answered; for e-mail its `emailMessageId`.
    pub reply_to: Option<String>,
    /// The e-mail thread.
    pub thread_id: Option<String>,
    /// Needed for [`Channel::Custom`].
    pub conversation_provider_id: Option<String>,
}

/// A message that HighLevel has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentMessage {
    /// The conversation it is in, if said.
    pub conversation_id: Option<String>,
    /// Its id.
    pub message_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(rename = "type")]
    channel: &'static str,
    contact_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    html: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_message_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_provider_id: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[derive(Default)]
struct SendAnswer {
    conversation_id: Option<String>,
    message_id: Option<String>,
    email_message_id: Option<String>,
}

impl Client {
    /// Sends a message. **Not idempotent**. An answer without any message id is
    /// [`Unknown`](crate::ErrorKind::Unknown), as is one that can't be read.
    pub async fn send_message(
        &self,
        message: &OutgoingMessage,
    ) -> Result<SentMessage, ClientError> {
        let request = self
            .request(Method::POST, CONVERSATIONS, &["conversations", "messages"])
            .json(&message.body());
        let answer = self.call("send the message", request).await?;
        let sent: SendAnswer = answer.parse()?;
        let message_id = sent
            .message_id
            .or(sent.email_message_id)
            .ok_or_else(|| answer.unreadable("the answer names no message"))?;
        Ok(SentMessage {
            conversation_id: sent.conversation_id,
            message_id,
        })
    }
}

impl OutgoingMessage {
    fn body(&self) -> Body<'_> {
        let is_email = self.channel == Channel::Email;
        Body {
            channel: self.channel.as_api(),
            contact_id: &self.contact_id,
            message: (!is_email).then_some(self.text.as_str()),
            html: is_email.then(|| html(&self.text)),
            subject: self.subject.as_deref().filter(|_| is_email),
            reply_message_id: self.reply_to.as_deref(),
            thread_id: self.thread_id.as_deref(),
            conversation_provider_id: self.conversation_provider_id.as_deref(),
        }
    }
}

fn html(text: &str) -> String {
    let escaped = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    format!(
        "<p>{}</p>",
        escaped.replace("\r\n", "\n").replace('\n', "<br>")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_becomes_html_that_shows_the_same() {
        assert_eq!(
            html("1 < 2 & 3\n\nBye"),
            "<p>1 &lt; 2 &amp; 3<br><br>Bye</p>"
        );
    }
}
