//! The channel of a message, in the words of HighLevel's webhooks.

/// `SMS`, `Email`, `Live Chat` and so on, from the webhooks' names, the API's (`TYPE_SMS`,
/// `Live_Chat`) or the numbers. An unknown one stays as it is, so that nobody answers it by
/// mistake.
pub(super) fn name(given: &str) -> String {
    let bare = given.strip_prefix("TYPE_").unwrap_or(given);
    let plain: String = bare
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_lowercase();
    let known = match plain.as_str() {
        "2" | "sms" => "SMS",
        "1" | "call" => "CALL",
        "3" | "email" => "Email",
        "10" | "voicemail" => "VOICEMAIL",
        "whatsapp" => "WhatsApp",
        "fb" | "facebook" => "FB",
        "ig" | "instagram" => "IG",
        "gmb" => "GMB",
        "livechat" => "Live Chat",
        "custom" => "Custom",
        _ => return given.to_owned(),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn each_way_to_name_a_channel_gives_the_webhooks_name() {
        let cases = [
            ("SMS", "SMS"),
            ("2", "SMS"),
            ("TYPE_SMS", "SMS"),
            ("sms", "SMS"),
            ("1", "CALL"),
            ("3", "Email"),
            ("10", "VOICEMAIL"),
            ("Live_Chat", "Live Chat"),
            ("TYPE_LIVE_CHAT", "Live Chat"),
            ("TYPE_FACEBOOK", "FB"),
            ("Carrier Pigeon", "Carrier Pigeon"),
            ("29", "29"),
        ];
        for (given, expected) in cases {
            assert_eq!(name(given), expected);
        }
    }
}
