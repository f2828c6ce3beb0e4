//! The `q` of `files.list` (contracts/google.md section 3.3): terms joined by `and`.

use super::error::{ApiError, invalid};
use super::files::File;

/// One condition.
#[derive(Debug, PartialEq, Eq)]
enum Term {
    AppProperty { key: String, value: String },
    Name(String),
    MimeType(String),
    NotMimeType(String),
    Parent(String),
    Trashed(bool),
}

/// All conditions, every one of which must hold.
#[derive(Debug)]
pub(crate) struct Query(Vec<Term>);

impl Query {
    pub(crate) fn parse(text: &str) -> Result<Self, ApiError> {
        let tokens = tokens(text).ok_or_else(|| invalid("Invalid Value: q"))?;
        if tokens.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let mut terms = Vec::new();
        let mut rest = tokens.as_slice();
        loop {
            let (term, after) = term(rest).ok_or_else(|| invalid("Invalid Value: q"))?;
            terms.push(term);
            match after {
                [] => return Ok(Self(terms)),
                [Token::Word(and), after @ ..] if and == "and" => rest = after,
                _ => return Err(invalid("Invalid Value: q")),
            }
        }
    }

    pub(crate) fn fits(&self, file: &File) -> bool {
        self.0.iter().all(|term| match term {
            Term::AppProperty { key, value } => file.app_properties.get(key) == Some(value),
            Term::Name(name) => file.name == *name,
            Term::MimeType(mime_type) => file.mime_type == *mime_type,
            Term::NotMimeType(mime_type) => file.mime_type != *mime_type,
            Term::Parent(parent) => file.parent == *parent,
            Term::Trashed(trashed) => file.trashed == *trashed,
        })
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    /// A word or an operator.
    Word(String),
    /// Text between single quotes, without its escapes.
    Text(String),
}

fn term(tokens: &[Token]) -> Option<(Term, &[Token])> {
    use Token::{Text, Word};
    match tokens {
        [Text(parent), Word(within), Word(parents), rest @ ..]
            if within == "in" && parents == "parents" =>
        {
            Some((Term::Parent(parent.clone()), rest))
        }
        [
            Word(name),
            Word(has),
            Word(open),
            Word(k),
            Word(eq1),
            Text(key),
            Word(and),
            Word(v),
            Word(eq2),
            Text(value),
            Word(close),
            rest @ ..,
        ] if [name, has, open, k, eq1, and, v, eq2, close]
            == [
                "appProperties",
                "has",
                "{",
                "key",
                "=",
                "and",
                "value",
                "=",
                "}",
            ] =>
        {
            Some((
                Term::AppProperty {
                    key: key.clone(),
                    value: value.clone(),
                },
                rest,
            ))
        }
        [Word(name), Word(operator), Text(text), rest @ ..] => {
            let text = text.clone();
            let term = match (name.as_str(), operator.as_str()) {
                ("name", "=") => Term::Name(text),
                ("mimeType", "=") => Term::MimeType(text),
                ("mimeType", "!=") => Term::NotMimeType(text),
                _ => return None,
            };
            Some((term, rest))
        }
        [Word(name), Word(operator), Word(value), rest @ ..]
            if name == "trashed" && operator == "=" =>
        {
            Some((Term::Trashed(value.parse().ok()?), rest))
        }
        _ => None,
    }
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            ' ' => {}
            '\'' => tokens.push(Token::Text(quoted(&mut characters)?)),
            '{' | '}' | '=' => tokens.push(Token::Word(character.to_string())),
            '!' => {
                characters.next_if_eq(&'=')?;
                tokens.push(Token::Word("!=".to_owned()));
            }
            first if first.is_ascii_alphabetic() => {
                let mut word = first.to_string();
                while let Some(next) = characters.next_if(char::is_ascii_alphanumeric) {
                    word.push(next);
                }
                tokens.push(Token::Word(word));
            }
            _ => return None,
        }
    }
    Some(tokens)
}

/// The text up to the closing quote; a backslash escapes a quote or a backslash.
fn quoted(characters: &mut impl Iterator<Item = char>) -> Option<String> {
    let mut text = String::new();
    loop {
        match characters.next()? {
            '\'' => return Some(text),
            '\\' => text.push(characters.next().filter(|c| ['\'', '\\'].contains(c))?),
            character => text.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terms_of_the_contract_are_understood() {
        let query = Query::parse(
            r"appProperties has { key='job_id' and value='it\'s' } and 'f' in parents and name = 'a' and mimeType = 'b' and trashed = false",
        );
        let expected = [
            Term::AppProperty {
                key: "job_id".to_owned(),
                value: "it's".to_owned(),
            },
            Term::Parent("f".to_owned()),
            Term::Name("a".to_owned()),
            Term::MimeType("b".to_owned()),
            Term::Trashed(false),
        ];
        assert_eq!(query.unwrap().0, expected);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "name = a",
            "name ~ 'a'",
            "name = 'a",
            "name = 'a' and",
            "name='it's'",
        ] {
            assert!(Query::parse(text).is_err(), "{text}");
        }
    }
}
