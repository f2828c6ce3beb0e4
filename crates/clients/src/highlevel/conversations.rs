//! Reading conversations.

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde::Deserialize;

use super::{CONVERSATIONS, Client};
use crate::{
    error::ClientError,
    lenient::{self, misfit_as_default},
};

/// A message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConversationMessage {
    /// Its id.
    #[serde(deserialize_with = "lenient::id")]
    pub id: String,
    /// Who wrote it.
    #[serde(default, deserialize_with = "misfit_as_default")]
    pub direction: Direction,
    /// Its text; empty for calls and for attachments without text.
    #[serde(default, deserialize_with = "misfit_as_default")]
    pub body: String,
    /// What sent an outbound message: `workflow`, `bulk_actions`, `campaign`, `api`, `app`.
    #[serde(default, deserialize_with = "misfit_as_default")]
    pub source: Option<String>,
    /// The user of the business who wrote it: a person has taken over.
    #[serde(default, deserialize_with = "misfit_as_default")]
    pub user_id: Option<String>,
    /// When it was added.
    #[serde(default, deserialize_with = "misfit_as_default")]
    pub date_added: Option<DateTime<Utc>>,
    /// `TYPE_SMS`, `TYPE_EMAIL`, …: not the vocabulary of the webhooks.
    #[serde(default, deserialize_with = "misfit_as_default")]
    pub message_type: Option<String>,
}

/// Who wrote a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The contact.
    Inbound,
    /// The business, a person or a machine.
    Outbound,
    /// Not said.
    #[default]
    #[serde(other)]
    Unknown,
}

/// The specification shows the list flat; in practice it is also found one level down.
#[derive(Deserialize)]
struct MessagesAnswer {
    messages: Messages,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Messages {
    Flat(Vec<ConversationMessage>),
    Nested { messages: Vec<ConversationMessage> },
}

#[derive(Deserialize)]
struct SearchAnswer {
    conversations: Vec<Conversation>,
}

#[derive(Deserialize)]
struct Conversation {
    id: String,
}

impl Client {
    /// The latest messages, newest first. `limit` is HighLevel's, which counts activity entries
    /// (`TYPE_ACTIVITY_…`); those are left out here.
    pub async fn recent_messages(
        &self,
        conversation_id: &str,
        limit: u32,
    ) -> Result<Vec<ConversationMessage>, ClientError> {
        let path = ["conversations", conversation_id, "messages"];
        let request = self
            .request(Method::GET, CONVERSATIONS, &path)
            .query(&[("limit", limit)]);
        let answer: MessagesAnswer = self.call("read the conversation", request).await?.parse()?;
        let mut messages = match answer.messages {
            Messages::Flat(messages) | Messages::Nested { messages } => messages,
        };
        messages.retain(|message| !message.is_activity());
        messages.sort_by_key(|message| std::cmp::Reverse(message.date_added));
        Ok(messages)
    }

    /// The contact's conversation, if there is one.
    pub async fn find_conversation(&self, contact_id: &str) -> Result<Option<String>, ClientError> {
        let request = self
            .request(Method::GET, CONVERSATIONS, &["conversations", "search"])
            .query(&[
                ("locationId", self.location_id.as_str()),
                ("contactId", contact_id),
            ]);
        let answer: SearchAnswer = self
            .call("look for the conversation", request)
            .await?
            .parse()?;
        Ok(answer
            .conversations
            .into_iter()
            .next()
            .map(|conversation| conversation.id))
    }
}

impl ConversationMessage {
    fn is_activity(&self) -> bool {
        self.message_type
            .as_deref()
            .is_some_and(|name| name.starts_with("TYPE_ACTIVITY"))
    }
}
