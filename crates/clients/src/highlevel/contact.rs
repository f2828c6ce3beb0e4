//! A contact, and whether it may be written to.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::Deserialize;

use super::{CONTACTS, Channel, Client};
use crate::{
    error::ClientError,
    lenient::{misfit_as_default, null_as_default},
};

/// A contact as `GET /contacts/{id}` gives it; also the shape of a stored `ContactDndUpdate`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Contact {
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Telephone number.
    pub phone: Option<String>,
    /// Do not disturb on every channel.
    #[serde(deserialize_with = "null_as_default")]
    pub dnd: bool,
    /// Do not disturb by channel (`SMS`, `Email`, `WhatsApp`, `FB`, …).
    #[serde(deserialize_with = "null_as_default")]
    pub dnd_settings: BTreeMap<String, DndSetting>,
}

/// Do-not-disturb for one channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct DndSetting {
    /// `active` and `permanent` mean **blocked**; `inactive` means allowed.
    #[serde(deserialize_with = "misfit_as_default")]
    pub status: String,
}

#[derive(Deserialize)]
struct ContactAnswer {
    contact: Contact,
}

impl Contact {
    /// Whether nothing may be sent on this channel. A status that we don't know counts as a block.
    pub fn blocks(&self, channel: Channel) -> bool {
        self.dnd
            || self
                .dnd_settings
                .iter()
                .any(|(key, setting)| channel.is_governed_by(key) && setting.blocks())
    }
}

impl DndSetting {
    fn blocks(&self) -> bool {
        !self.status.is_empty() && !self.status.eq_ignore_ascii_case("inactive")
    }
}

impl Client {
    /// Reads a contact.
    pub async fn contact(&self, id: &str) -> Result<Contact, ClientError> {
        let request = self.request(Method::GET, CONTACTS, &["contacts", id]);
        let answer: ContactAnswer = self.call("read the contact", request).await?.parse()?;
        Ok(answer.contact)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn contact(json: Value) -> Contact {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn active_means_blocked_on_that_channel_only() {
        let contact = contact(json!({"dnd": false, "dndSettings": {
            "SMS": {"status": "active", "message": "", "code": ""},
            "Email": {"status": "inactive"},
            "WhatsApp": {"status": "permanent"},
        }}));
        assert!(contact.blocks(Channel::Sms));
        assert!(
            contact.blocks(Channel::Custom),
            "a custom provider carries text messages"
        );
        assert!(!contact.blocks(Channel::Email));
        assert!(contact.blocks(Channel::WhatsApp));
        assert!(!contact.blocks(Channel::Facebook));
    }

    #[test]
    fn dnd_at_the_top_blocks_every_channel() {
        let contact = contact(json!({"dnd": true, "dndSettings": {"SMS": {"status": "inactive"}}}));
        assert!(contact.blocks(Channel::Sms) && contact.blocks(Channel::LiveChat));
    }

    #[test]
    fn a_status_that_is_not_known_blocks() {
        let contact = contact(json!({"dndSettings": {"FB": {"status": "paused"}}}));
        assert!(contact.blocks(Channel::Facebook));
    }

    #[test]
    fn missing_and_null_fields_do_not_block() {
        let contact = contact(json!({"dnd": null, "dndSettings": null, "phone": null, "tags": []}));
        assert_eq!(contact, Contact::default());
        assert!(!contact.blocks(Channel::Sms));
    }
}
