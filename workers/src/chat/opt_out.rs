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

/// The wish that the whole message states, if it states one. E-mails come as HTML; their tags don't
/// count.
pub(crate) fn wish(text: &str) -> Option<Wish> {
    let word: String = without_tags(text)
        .trim_matches(|character: char| !character.is_alphanumeric())
        .to_uppercase();
    match word.as_str() {
        "STOP" | "STOPALL" | "STOP ALL" | "UNSUBSCRIBE" | "CANCEL" | "END" | "QUIT" | "OPTOUT"
        | "OPT OUT" | "OPT-OUT" | "REVOKE" | "REMOVE" | "REMOVE ME" => Some(Wish::OptOut),
        "START" | "UNSTOP" | "OPTIN" | "OPT IN" | "OPT-IN" | "RESUME" => Some(Wish::OptIn),
        _ => None,
    }
}

/// The text of an HTML fragment.
pub(super) fn without_tags(html: &str) -> String {
    let mut inside_tag = false;
    html.chars()
        .filter(|character| match character {
            '<' => {
                inside_tag = true;
                false
            }
            '>' if inside_tag => {
                inside_tag = false;
                false
            }
            _ => !inside_tag,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Wish, wish};

    #[test]
    fn only_the_whole_message_is_a_wish() {
        for text in [
            "<div>STOP</div><br>\n",
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
