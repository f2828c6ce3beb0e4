//! What an error must not repeat. Providers quote in their errors what they were sent: OpenAI the
//! key it refuses, HighLevel a message or a telephone number. Errors go into logs, traces, the
//! parking lot and the news.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{
    Request,
    header::{AUTHORIZATION, HeaderValue},
};
use serde_json::Value;

const MASK: &str = "***";

/// Texts of at least this many bytes with a space in them are somebody's words. Shorter ones and
/// single words are names of models and properties, which a person needs to see in an error.
const SHORTEST_WORDS: usize = 12;

/// How keys and tokens of providers begin.
const KEY_PREFIXES: [&str; 9] = [
    "sk-", "pat-", "pit-", "whsec_", "ya29.", "eyJ", "Bearer", "xoxb-", "AIza",
];

/// What one request held that its error must not. Looked at only if there is an error.
#[derive(Clone, Default)]
pub(crate) struct Sent {
    authorization: Vec<HeaderValue>,
    body: Vec<u8>,
}

impl std::fmt::Debug for Sent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(MASK)
    }
}

impl Sent {
    /// Keeps what [`masked`](Self::masked) looks for.
    pub(crate) fn of(request: &Request) -> Self {
        let authorization = request.headers().get_all(AUTHORIZATION);
        let body = request.body().and_then(reqwest::Body::as_bytes);
        Self {
            authorization: authorization.iter().cloned().collect(),
            body: body.unwrap_or_default().to_vec(),
        }
    }

    /// The message without what was sent.
    pub(crate) fn masked(&self, message: &str) -> String {
        self.hidden()
            .iter()
            .fold(message.to_owned(), |message, text| {
                message.replace(text.as_str(), MASK)
            })
    }

    /// The tokens and passwords in the request's header and the texts in its JSON.
    fn hidden(&self) -> Vec<String> {
        let mut hidden = Vec::new();
        for value in &self.authorization {
            let token = value.to_str().ok().and_then(|value| value.split_once(' '));
            let Some((scheme, token)) = token else {
                continue;
            };
            // reqwest makes it of the user and password in an address.
            if scheme == "Basic"
                && let Ok(pair) = STANDARD.decode(token)
                && let Some((_, password)) = String::from_utf8_lossy(&pair).split_once(':')
            {
                hidden.push(password.to_owned());
            }
            hidden.push(token.to_owned());
        }
        if let Ok(json) = serde_json::from_slice::<Value>(&self.body) {
            collect_words(&json, &mut hidden);
        }
        hidden.retain(|text| !text.is_empty());
        // A text may be a part of another one.
        hidden.sort_by_key(|text| std::cmp::Reverse(text.len()));
        hidden
    }
}

fn collect_words(json: &Value, found: &mut Vec<String>) {
    match json {
        Value::String(text) if text.len() >= SHORTEST_WORDS && text.contains(' ') => {
            found.push(text.clone());
            // Half of a long text is quoted as readily as the whole.
            found.extend(
                text.lines()
                    .filter(|line| line.len() >= SHORTEST_WORDS)
                    .map(str::to_owned),
            );
        }
        Value::Array(items) => items.iter().for_each(|item| collect_words(item, found)),
        Value::Object(fields) => fields
            .values()
            .for_each(|value| collect_words(value, found)),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The message as one line without control characters, keys, e-mail addresses and telephone numbers,
/// whoever's they are.
pub(crate) fn without_personal_data(message: &str) -> String {
    let line: String = message
        .chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect();
    let mut words: Vec<&str> = Vec::new();
    let mut after_bearer = false;
    for word in line.split(' ') {
        let bare = word.trim_matches(|character: char| !character.is_alphanumeric());
        let is_key = after_bearer
            || (word.len() >= SHORTEST_WORDS
                && KEY_PREFIXES.iter().any(|prefix| bare.starts_with(prefix)));
        let is_email = bare.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty() && host.contains('.') && !name.contains('/')
        });
        after_bearer = bare == "Bearer";
        words.push(if is_key || is_email { MASK } else { word });
    }
    without_telephone_numbers(&words.join(" "))
}

/// `+`, then at least seven digits with the usual signs between them; ids have no `+`.
fn without_telephone_numbers(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('+') {
        let number = &rest[start + 1..];
        let end = number
            .find(|character: char| !character.is_ascii_digit() && !" -().".contains(character))
            .unwrap_or(number.len());
        let number = number[..end].trim_end_matches([' ', '-', '(', ')', '.']);
        let digits = number.bytes().filter(u8::is_ascii_digit).count();
        kept.push_str(&rest[..start]);
        if digits >= 7 {
            kept.push_str(MASK);
            rest = &rest[start + 1 + number.len()..];
        } else {
            kept.push('+');
            rest = &rest[start + 1..];
        }
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use reqwest::{Client, Method};
    use serde_json::json;

    use super::{Sent, without_personal_data};

    #[test]
    fn an_error_does_not_repeat_what_was_sent() {
        crate::install_crypto_provider();
        let request = Client::new()
            .request(Method::POST, "https://user:hidden-pass@a.example/v1")
            .bearer_auth("secret-token")
            .json(&json!({
                "model": "gpt-5.5",
                "input": [{"content": "My garden is on fire\nand so am I, help"}],
            }))
            .build()
            .unwrap();
        let sent = Sent::of(&request);
        for (message, masked) in [
            (
                "Incorrect API key provided: secret-token.",
                "Incorrect API key provided: ***.",
            ),
            (
                "flagged: My garden is on fire\nand so am I, help",
                "flagged: ***",
            ),
            ("flagged: 'and so am I, help'", "flagged: '***'"),
            (
                "The model `gpt-5.5` does not exist",
                "The model `gpt-5.5` does not exist",
            ),
            ("no access to hidden-pass", "no access to ***"),
        ] {
            assert_eq!(sent.masked(message), masked);
        }
        assert_eq!(format!("{sent:?}"), "***");
    }

    #[test]
    fn keys_addresses_and_numbers_of_anybody_are_masked() {
        for (message, masked) in [
            ("key 'sk-proj-abcdefgh'.", "key ***"),
            ("Bearer abc refused", "Bearer *** refused"),
            ("ada@mail.example is unknown", "*** is unknown"),
            ("<ada@mail.example>", "***"),
            ("Invalid number +1 (555) 010-9999!", "Invalid number ***!"),
            (
                "deal 9001234567890 and 1+1 and @here",
                "deal 9001234567890 and 1+1 and @here",
            ),
            ("a sk-8 board", "a sk-8 board"),
            ("one\r\ntwo\0", "one  two "),
        ] {
            assert_eq!(without_personal_data(message), masked);
        }
    }
}
