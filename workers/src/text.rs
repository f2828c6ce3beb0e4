//! Text that somebody else wrote, made fit to be stored, shown to a model or sent.

/// The text without control characters and without the invisible characters that can carry words
/// which no person sees (Unicode's tags), but with its line breaks.
pub(crate) fn without_controls(text: &str) -> String {
    text.replace("\r\n", "\n")
        .chars()
        .filter_map(|character| match character {
            '\n' => Some('\n'),
            '\r' => Some('\n'),
            '\t' => Some(' '),
            '\u{e0000}'..='\u{e007f}' => None,
            other if other.is_control() => None,
            other => Some(other),
        })
        .collect()
}

/// The text as one line of at most `longest` characters, without control characters.
pub(crate) fn one_line(text: &str, longest: usize) -> String {
    let words = without_controls(text);
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(longest).collect()
}

/// The first `longest` characters, with a note where something is missing.
pub(crate) fn at_most(text: String, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{} [the rest was cut off]", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{at_most, one_line, without_controls};

    #[test]
    fn line_breaks_stay_and_control_characters_go() {
        assert_eq!(
            without_controls("one\r\ntwo\rthree\0\u{1b}[31m\tfour"),
            "one\ntwo\nthree[31m four"
        );
        assert_eq!(without_controls("Hi\u{e0048}\u{e0049}!"), "Hi!");
        assert_eq!(without_controls("Zoë 👩‍👧 שלום"), "Zoë 👩‍👧 שלום");
    }

    #[test]
    fn a_line_has_no_breaks_and_an_end() {
        assert_eq!(one_line(" Ada\n\nLove\0lace ", 80), "Ada Lovelace");
        assert_eq!(one_line("äöü", 2), "äö");
    }

    #[test]
    fn what_was_cut_off_is_said() {
        assert_eq!(at_most("short".into(), 5), "short");
        assert_eq!(at_most("longer".into(), 4), "long [the rest was cut off]");
    }
}
