//! The contacts and conversations of HighLevel's stand-in.

use std::collections::BTreeMap;

use chrono::Utc;
use serde_json::{Value, json};

use crate::app::{new_id, now_text};
use crate::config::SandboxConfig;
use crate::keys;

/// All contacts and messages, and the two ways in which real accounts differ.
#[derive(Debug)]
pub(crate) struct HighLevelStore {
    pub(crate) contacts: BTreeMap<String, Contact>,
    /// Oldest first.
    pub(crate) messages: Vec<Message>,
    pub(crate) nested_messages: bool,
    pub(crate) echo_outbound: bool,
}

/// A contact; each has one conversation.
#[derive(Debug, Clone)]
pub(crate) struct Contact {
    pub(crate) id: String,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    pub(crate) email: String,
    pub(crate) phone: String,
    pub(crate) dnd: bool,
    /// Channel and `active`, `inactive` or `permanent`; `active` means blocked.
    pub(crate) dnd_settings: BTreeMap<String, String>,
    date_added: String,
}

/// A message of a conversation.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) contact_id: String,
    pub(crate) conversation_id: String,
    /// As webhooks name it: `SMS`, `Email`, `WhatsApp`, `Live Chat`, ….
    pub(crate) channel: String,
    pub(crate) body: String,
    pub(crate) outbound: bool,
    /// `api` or `app` of outbound messages.
    pub(crate) source: Option<&'static str>,
    /// The person of the business who typed it.
    pub(crate) user_id: Option<String>,
    pub(crate) date_added: String,
    milliseconds: i64,
}

impl HighLevelStore {
    pub(crate) fn new(config: &SandboxConfig) -> Self {
        Self {
            contacts: BTreeMap::new(),
            messages: Vec::new(),
            nested_messages: config.highlevel_nested_messages,
            echo_outbound: config.highlevel_echo_outbound,
        }
    }

    /// The contact, made on the spot when it is new.
    pub(crate) fn contact(&mut self, id: &str) -> &mut Contact {
        self.contacts
            .entry(id.to_owned())
            .or_insert_with(|| Contact::new(id))
    }

    /// Puts a message into its contact's conversation.
    pub(crate) fn add(
        &mut self,
        contact_id: &str,
        channel: &str,
        body: &str,
        author: Author,
    ) -> Message {
        let now = Utc::now();
        let (outbound, source, user_id) = match author {
            Author::Contact => (false, None, None),
            Author::Api => (true, Some("api"), None),
            Author::Person(user_id) => (true, Some("app"), Some(user_id)),
        };
        let message = Message {
            id: new_id("msg"),
            contact_id: contact_id.to_owned(),
            conversation_id: conversation_id(contact_id),
            channel: channel.to_owned(),
            body: body.to_owned(),
            outbound,
            source,
            user_id,
            date_added: now.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            milliseconds: now.timestamp_millis(),
        };
        self.messages.push(message.clone());
        message
    }
}

/// Who wrote a message.
#[derive(Debug, Clone)]
pub(crate) enum Author {
    /// The contact.
    Contact,
    /// A program, through the API.
    Api,
    /// A person of the business, with their user id.
    Person(String),
}

impl Contact {
    fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            first_name: "Dana".to_owned(),
            last_name: "Example".to_owned(),
            email: format!("{id}@contacts.example"),
            phone: "+33100000000".to_owned(),
            dnd: false,
            dnd_settings: BTreeMap::new(),
            date_added: now_text(),
        }
    }

    /// Whether sending on a channel (as the API names it) is refused.
    pub(crate) fn blocks(&self, channel: &str) -> bool {
        let status = self.dnd_settings.get(channel).map(String::as_str);
        self.dnd || matches!(status, Some("active" | "permanent"))
    }

    /// The fields that the API and the webhooks share.
    pub(crate) fn show(&self) -> Value {
        let settings: BTreeMap<&str, Value> = self
            .dnd_settings
            .iter()
            .map(|(channel, status)| {
                (
                    channel.as_str(),
                    json!({"status": status, "message": "", "code": ""}),
                )
            })
            .collect();
        json!({
            "id": self.id, "locationId": keys::HIGHLEVEL_LOCATION_ID,
            "firstName": self.first_name, "lastName": self.last_name,
            "name": format!("{} {}", self.first_name, self.last_name),
            "email": self.email, "phone": self.phone, "tags": [], "customFields": [],
            "dateAdded": self.date_added, "dnd": self.dnd, "dndSettings": settings,
        })
    }
}

impl Message {
    /// The message as the API lists it, which says `TYPE_SMS` where webhooks say `SMS`.
    pub(crate) fn show(&self) -> Value {
        let mut shown = json!({
            "id": self.id, "type": 2, "messageType": self.api_type(),
            "locationId": keys::HIGHLEVEL_LOCATION_ID, "contactId": self.contact_id,
            "conversationId": self.conversation_id, "dateAdded": self.date_added,
            "body": self.body, "direction": self.direction(), "status": "delivered",
            "contentType": "text/plain", "attachments": [],
        });
        if let Some(source) = self.source {
            shown["source"] = json!(source);
        }
        if let Some(user_id) = &self.user_id {
            shown["userId"] = json!(user_id);
        }
        shown
    }

    pub(crate) fn direction(&self) -> &'static str {
        if self.outbound { "outbound" } else { "inbound" }
    }

    pub(crate) fn api_type(&self) -> &'static str {
        match self.channel.as_str() {
            "Email" => "TYPE_EMAIL",
            "WhatsApp" => "TYPE_WHATSAPP",
            "FB" => "TYPE_FACEBOOK",
            "IG" => "TYPE_INSTAGRAM",
            "Live Chat" | "Live_Chat" => "TYPE_LIVE_CHAT",
            "Custom" => "TYPE_CUSTOM_SMS",
            _ => "TYPE_SMS",
        }
    }

    pub(crate) fn milliseconds(&self) -> i64 {
        self.milliseconds
    }
}

/// The id of a contact's conversation.
pub(crate) fn conversation_id(contact_id: &str) -> String {
    format!("conversation-{contact_id}")
}
