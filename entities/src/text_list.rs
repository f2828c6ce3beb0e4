//! A list of short texts in one JSON column.

use sea_orm::FromJsonQueryResult;
use serde::{Deserialize, Serialize};

/// A list of texts, stored as a JSON array.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
#[serde(transparent)]
pub struct TextList(pub Vec<String>);

impl<T: Into<String>> FromIterator<T> for TextList {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        Self(texts.into_iter().map(Into::into).collect())
    }
}

impl From<Vec<String>> for TextList {
    fn from(texts: Vec<String>) -> Self {
        Self(texts)
    }
}
