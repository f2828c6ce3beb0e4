//! Short texts in a client's body: on one line, with nothing that a database, a header or a log
//! can't hold.

use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

/// The longest text, in characters.
pub(crate) const LONGEST: usize = 255;

/// A text of at most [`LONGEST`] characters without control characters, and without spaces around
/// it. May be empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Line(String);

/// An id, which clients write as a [`Line`] or as a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identifier(Line);

impl Line {
    fn new(text: &str) -> Option<Self> {
        let fits = text.chars().count() <= LONGEST;
        let is_plain = !text.chars().any(|character| character.is_ascii_control());
        (fits && is_plain).then(|| Self(text.trim_matches(' ').to_owned()))
    }

    /// The text, or `None` where there is none.
    pub(crate) fn into_text(self) -> Option<String> {
        Some(self.0).filter(|text| !text.is_empty())
    }
}

impl Identifier {
    /// The text, or `None` where there is none.
    pub(crate) fn into_text(self) -> Option<String> {
        self.0.into_text()
    }
}

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(LineVisitor)
    }
}

impl<'de> Deserialize<'de> for Identifier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IdentifierVisitor)
    }
}

/// As [`Line`] is described.
impl PartialSchema for Line {
    fn schema() -> RefOr<Schema> {
        line(Type::String.into(), "^[^\\u0000-\\u001f\\u007f]{0,255}$").into()
    }
}

impl ToSchema for Line {}

impl PartialSchema for Identifier {
    fn schema() -> RefOr<Schema> {
        identifier("^[^\\u0000-\\u001f\\u007f]{0,255}$").into()
    }
}

impl ToSchema for Identifier {}

/// An [`Identifier`] that is required: with something that is not a space.
pub(crate) fn not_blank() -> Object {
    identifier("^[^\\u0000-\\u001f\\u007f]*[^\\u0000-\\u0020\\u007f][^\\u0000-\\u001f\\u007f]*$")
}

fn identifier(pattern: &str) -> Object {
    let types = SchemaType::from_iter([Type::String, Type::Number]);
    let mut schema = line(types, pattern);
    // Numbers with more digits would arrive rounded.
    schema.minimum = Some((-i64::MAX).into());
    schema.maximum = Some(i64::MAX.into());
    schema
}

fn line(schema_type: SchemaType, pattern: &str) -> Object {
    ObjectBuilder::new()
        .schema_type(schema_type)
        .max_length(Some(LONGEST))
        .pattern(Some(pattern))
        .build()
}

struct LineVisitor;

impl Visitor<'_> for LineVisitor {
    type Value = Line;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "a text of at most {LONGEST} characters without control characters"
        )
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Line, E> {
        Line::new(text).ok_or_else(|| E::invalid_value(Unexpected::Other("text"), &self))
    }
}

struct IdentifierVisitor;

impl Visitor<'_> for IdentifierVisitor {
    type Value = Identifier;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "a number of at most 64 bits, or a text of at most {LONGEST} characters without \
             control characters"
        )
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Identifier, E> {
        Line::new(text)
            .map(Identifier)
            .ok_or_else(|| E::invalid_value(Unexpected::Other("text"), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Identifier, E> {
        match number {
            // Rounded, smaller numbers are this one too.
            i64::MIN => Err(E::invalid_value(Unexpected::Signed(number), &self)),
            number => Ok(Identifier(Line(number.to_string()))),
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Identifier, E> {
        let number = i64::try_from(number)
            .map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))?;
        self.visit_i64(number)
    }

    // A JSON number with more digits than 64 bits hold arrives here rounded: two ids could become one.
    fn visit_f64<E: Error>(self, number: f64) -> Result<Identifier, E> {
        #[expect(clippy::cast_precision_loss, reason = "2^63 is exact")]
        let bound = i64::MAX as f64;
        match serde_json::Number::from_f64(number).filter(|_| number.abs() < bound) {
            Some(number) => Ok(Identifier(Line(number.to_string()))),
            None => Err(E::invalid_value(Unexpected::Float(number), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Identifier, Line};

    fn identifier(value: Value) -> Option<String> {
        serde_json::from_value::<Identifier>(value)
            .ok()?
            .into_text()
    }

    #[test]
    fn an_id_is_a_text_or_a_number() {
        let accepted = [
            (json!(" 42 "), "42"),
            (json!("ä b"), "ä b"),
            (json!(9_007_199_254_740_993_i64), "9007199254740993"),
            (json!(-1), "-1"),
            (json!(1_795_262_400.25), "1795262400.25"),
            (json!("x".repeat(255)), &"x".repeat(255)),
        ];
        for (value, expected) in accepted {
            assert_eq!(identifier(value).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_would_not_survive_the_way_is_refused() {
        let refused = [
            json!("x".repeat(256)),
            json!("a\u{0}b"),
            json!("a\nb"),
            json!("  "),
            json!(u64::MAX),
            json!(i64::MIN),
            json!(1e19),
            json!(true),
            json!([1]),
            json!({}),
        ];
        for value in refused {
            assert_eq!(identifier(value.clone()), None, "{value}");
        }
    }

    #[test]
    fn a_line_is_a_text() {
        let line = |value| serde_json::from_value::<Line>(value).is_ok();
        assert!(line(json!("")) && line(json!("Acme")));
        assert!(!line(json!(1)) && !line(json!("tab\t")) && !line(json!("\u{7f}")));
    }
}
