//! The words by which a contact opts out of messages, or back in.
//!
//! The list that carriers in North America honour for SMS (CTIA Messaging Principles). A word
//! counts only as the whole message: "stop by tomorrow" is not an opt-out.

/// What a message means for whether we may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// The contact wants no more messages.
    OptOut,
    /// The contact wants messages again.
    OptIn,
}

/// The wish that the whole message states, if it states one.
pub(crate) fn wish(text: &str) -> Option<Wish> {
    let word: String = text
        .trim_matches(|character: char| !character.is_alphanumeric())
        .to_uppercase();
    match word.as_str() {
        "STOP" | "STOPALL" | "STOP ALL" | "UNSUBSCRIBE" | "CANCEL" | "END" | "QUIT" | "OPTOUT"
        | "OPT OUT" | "OPT-OUT" | "REVOKE" | "REMOVE" | "REMOVE ME" => Some(Wish::OptOut),
        "START" | "UNSTOP" | "OPTIN" | "OPT IN" | "OPT-IN" | "RESUME" => Some(Wish::OptIn),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Wish, wish};

    #[test]
    fn only_the_whole_message_is_a_wish() {
        for text in [
            "STOP",
            "stop",
            " Stop. ",
            "\"unsubscribe\"",
            "Opt-out!",
            "remove me",
        ] {
            assert_eq!(wish(text), Some(Wish::OptOut), "{text}");
        }
        for text in [
            "",
            "stop by tomorrow",
            "when does it end?",
            "please cancel my booking",
        ] {
            assert_eq!(wish(text), None, "{text}");
        }
        assert_eq!(wish("Start"), Some(Wish::OptIn));
    }
}
