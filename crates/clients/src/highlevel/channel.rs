//! The ways by which a message can be answered.

/// A channel on which replies are sent. Calls, voicemail, `GMB` and whatever is unknown have none:
/// they must not be answered automatically.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Text message.
    Sms,
    /// E-mail.
    Email,
    /// WhatsApp.
    WhatsApp,
    /// Facebook Messenger.
    Facebook,
    /// Instagram direct message.
    Instagram,
    /// The chat widget of a website.
    LiveChat,
    /// A conversation provider of the operator's own.
    Custom,
}

impl Channel {
    /// From a webhook's `messageType` (`Live Chat`), or from our own [`as_api`](Self::as_api).
    /// `None`: do not answer.
    pub fn from_webhook(message_type: &str) -> Option<Self> {
        Some(match message_type {
            "SMS" => Self::Sms,
            "Email" => Self::Email,
            "WhatsApp" => Self::WhatsApp,
            "FB" => Self::Facebook,
            "IG" => Self::Instagram,
            "Live Chat" | "Live_Chat" => Self::LiveChat,
            "Custom" => Self::Custom,
            _ => return None,
        })
    }

    /// The `type` of `POST /conversations/messages`.
    pub fn as_api(self) -> &'static str {
        match self {
            Self::Sms => "SMS",
            Self::Email => "Email",
            Self::WhatsApp => "WhatsApp",
            Self::Facebook => "FB",
            Self::Instagram => "IG",
            Self::LiveChat => "Live_Chat",
            Self::Custom => "Custom",
        }
    }

    /// Whether a key of `dndSettings` (`SMS`, `FB`, …) is about this channel. A custom provider
    /// mostly carries text messages, so a block on those counts for it too.
    pub fn is_governed_by(self, dnd_key: &str) -> bool {
        let key = dnd_key.replace(['_', ' '], "");
        let is = |name: &str| key.eq_ignore_ascii_case(name);
        match self {
            Self::Sms => is("SMS"),
            Self::Email => is("Email"),
            Self::WhatsApp => is("WhatsApp"),
            Self::Facebook => is("FB"),
            Self::Instagram => is("IG"),
            Self::LiveChat => is("LiveChat"),
            Self::Custom => is("Custom") || is("SMS"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhook_names_map_to_api_names() {
        for (webhook, api) in [
            ("SMS", "SMS"),
            ("Email", "Email"),
            ("WhatsApp", "WhatsApp"),
            ("FB", "FB"),
            ("IG", "IG"),
            ("Live Chat", "Live_Chat"),
            ("Custom", "Custom"),
        ] {
            let channel = Channel::from_webhook(webhook).unwrap();
            assert_eq!(channel.as_api(), api);
            assert_eq!(Channel::from_webhook(api), Some(channel));
        }
    }

    #[test]
    fn what_must_not_be_answered_has_no_channel() {
        for message_type in [
            "CALL",
            "VOICEMAIL",
            "GMB",
            "TYPE_ACTIVITY_CONTACT",
            "",
            "Telegram",
        ] {
            assert_eq!(Channel::from_webhook(message_type), None, "{message_type}");
        }
    }
}
