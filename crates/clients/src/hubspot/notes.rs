//! Notes on a deal.

use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Client,
    paths::{ASSOCIATIONS, OBJECTS},
};
use crate::{
    error::ClientError,
    lenient::{self, null_as_default},
};

/// HubSpot's number for the association "note to deal".
const NOTE_TO_DEAL: u32 = 214;
/// The most that one batch read takes.
const PAGE: usize = 100;

#[derive(Deserialize)]
struct Created {
    #[serde(deserialize_with = "lenient::id")]
    id: String,
}

#[derive(Deserialize)]
struct NoteIds {
    #[serde(default)]
    results: Vec<NoteId>,
    #[serde(default)]
    paging: Value,
}

#[derive(Deserialize)]
struct NoteId {
    #[serde(rename = "toObjectId", deserialize_with = "lenient::id")]
    id: String,
}

#[derive(Deserialize)]
struct Notes {
    #[serde(default)]
    results: Vec<Note>,
}

#[derive(Deserialize)]
struct Note {
    #[serde(deserialize_with = "lenient::id")]
    id: String,
    #[serde(default, deserialize_with = "null_as_default")]
    properties: NoteProperties,
}

#[derive(Default, Deserialize)]
struct NoteProperties {
    #[serde(default, deserialize_with = "null_as_default")]
    hs_note_body: String,
}

impl Client {
    /// Creates a note on a deal and returns its id. **Not idempotent**: put a text into `html` by
    /// which [`find_note`](Self::find_note) finds it. At most 65,536 characters.
    pub async fn create_note(
        &self,
        deal_id: &str,
        html: &str,
        timestamp: DateTime<Utc>,
    ) -> Result<String, ClientError> {
        let request = self
            .request(Method::POST, OBJECTS, &["notes"])
            .json(&json!({
                "properties": {
                    "hs_timestamp": timestamp.to_rfc3339_opts(SecondsFormat::Secs, true),
                    "hs_note_body": html,
                },
                "associations": [{
                    "to": {"id": deal_id},
                    "types": [{
                        "associationCategory": "HUBSPOT_DEFINED",
                        "associationTypeId": NOTE_TO_DEAL,
                    }],
                }],
            }));
        let created: Created = self.call("create the note", request).await?.parse()?;
        Ok(created.id)
    }

    /// The first note of the deal whose body contains `contained_text`. A read in every step.
    pub async fn find_note(
        &self,
        deal_id: &str,
        contained_text: &str,
    ) -> Result<Option<String>, ClientError> {
        let mut after = None;
        loop {
            let page = self.note_ids(deal_id, after.as_deref()).await?;
            if !page.results.is_empty() {
                let notes = self.notes(&page.results).await?;
                let found = notes
                    .into_iter()
                    .find(|note| note.properties.hs_note_body.contains(contained_text));
                if let Some(note) = found {
                    return Ok(Some(note.id));
                }
            }
            let next = page.paging["next"]["after"].as_str().map(str::to_owned);
            // A cursor that stays the same would never end.
            if next.is_none() || next == after {
                return Ok(None);
            }
            after = next;
        }
    }

    async fn note_ids(&self, deal_id: &str, after: Option<&str>) -> Result<NoteIds, ClientError> {
        let path = ["deals", deal_id, "associations", "notes"];
        let mut request = self
            .request(Method::GET, ASSOCIATIONS, &path)
            .query(&[("limit", PAGE)]);
        if let Some(after) = after {
            request = request.query(&[("after", after)]);
        }
        self.call("list the deal's notes", request).await?.parse()
    }

    async fn notes(&self, ids: &[NoteId]) -> Result<Vec<Note>, ClientError> {
        let inputs: Vec<Value> = ids.iter().map(|note| json!({"id": note.id})).collect();
        let request = self
            .request(Method::POST, OBJECTS, &["notes", "batch", "read"])
            .json(&json!({"properties": ["hs_note_body"], "inputs": inputs}));
        let notes: Notes = self.call("read the deal's notes", request).await?.parse()?;
        Ok(notes.results)
    }
}
