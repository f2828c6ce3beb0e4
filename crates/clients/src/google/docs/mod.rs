//! Filling a document's placeholders with Markdown content, in one atomic write.
//!
//! The document is read, every placeholder's place is found, and one `batchUpdate` replaces them
//! from the end backwards, so that no edit moves a place that is still to be edited. The write is
//! tied to the revision that was read; a repeat after a crash finds no placeholder and writes
//! nothing.

mod document;
mod edits;

use reqwest::Method;
use serde_json::json;

use self::document::Document;
use super::{
    Client,
    markdown::{self, Block},
};
use crate::error::ClientError;

/// What one placeholder is replaced with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its full text in the template, such as `{{ICP}}`.
    pub placeholder: String,
    /// Nothing at all removes the placeholder.
    pub content: Vec<Block>,
}

/// What a filling did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filled {
    /// How many places were replaced.
    pub replaced: usize,
    /// Placeholders that stand nowhere in the document (all of them, when it is filled already).
    pub missing: Vec<String>,
}

impl Section {
    /// A section with Markdown as its content.
    pub fn from_markdown(placeholder: impl Into<String>, markdown: &str) -> Self {
        Self {
            placeholder: placeholder.into(),
            content: markdown::parse(markdown),
        }
    }
}

impl Client {
    /// Replaces the placeholders in the body (first tab), headers and footers of a document.
    /// Harmless when repeated. [`NotDone`](crate::ErrorKind::NotDone) also means that somebody
    /// edited the document at the same moment.
    pub async fn fill_template(
        &self,
        document_id: &str,
        sections: &[Section],
    ) -> Result<Filled, ClientError> {
        let document = self.read_document(document_id).await?;
        let placeholders: Vec<&str> = sections
            .iter()
            .map(|section| section.placeholder.as_str())
            .collect();
        let places = document.places(&placeholders);
        let missing = sections
            .iter()
            .map(|section| &section.placeholder)
            .filter(|placeholder| {
                places
                    .iter()
                    .all(|place| place.placeholder != **placeholder)
            })
            .cloned()
            .collect();
        let filled = Filled {
            replaced: places.len(),
            missing,
        };
        if places.is_empty() {
            return Ok(filled);
        }
        let url = self
            .docs
            .join(["v1", "documents", &format!("{document_id}:batchUpdate")]);
        let request = self.request(Method::POST, url).json(&json!({
            "requests": edits::replace_all(&places, sections),
            "writeControl": {"requiredRevisionId": document.revision_id},
        }));
        self.call("fill the document", request).await?;
        Ok(filled)
    }

    async fn read_document(&self, document_id: &str) -> Result<Document, ClientError> {
        let url = self.docs.join(["v1", "documents", document_id]);
        self.call("read the document", self.request(Method::GET, url))
            .await?
            .parse()
    }
}

#[cfg(test)]
mod tests;
