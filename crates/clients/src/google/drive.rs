//! Files and folders in Drive v3.

use reqwest::{Method, Url, header::CONTENT_TYPE};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Client;
use crate::{
    error::ClientError,
    lenient::{misfit_as_default, null_as_default},
};

const FOLDER: &str = "application/vnd.google-apps.folder";
const DOCUMENT: &str = "application/vnd.google-apps.document";
/// Files in shared drives are invisible without it.
const ALL_DRIVES: (&str, &str) = ("supportsAllDrives", "true");
const FIELDS: (&str, &str) = ("fields", "id,name,webViewLink");

/// A file in Drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriveFile {
    /// Its id, for Docs the document's id too.
    pub id: String,
    /// The link for people.
    pub url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileAnswer {
    id: String,
    #[serde(default, deserialize_with = "misfit_as_default")]
    web_view_link: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileList {
    #[serde(default)]
    files: Vec<FileAnswer>,
    #[serde(default, deserialize_with = "null_as_default")]
    incomplete_search: bool,
}

impl Client {
    /// The oldest file that carries the job id, in whichever folder. The index can lag some seconds
    /// behind a creation: after an unclear failure wait before believing `None`.
    pub async fn find_file_by_job(&self, job_id: &str) -> Result<Option<DriveFile>, ClientError> {
        let query = format!(
            "appProperties has {{ key='job_id' and value={} }} and trashed = false",
            quoted(job_id)
        );
        self.oldest("look for the job's document", &query).await
    }

    /// The id of the folder `name` in `parent`, created if there is none. Call it for one name at
    /// a time: Drive admits two folders of one name.
    pub async fn ensure_folder(&self, name: &str, parent: &str) -> Result<String, ClientError> {
        let query = format!(
            "name = {} and mimeType = '{FOLDER}' and {} in parents and trashed = false",
            quoted(name),
            quoted(parent)
        );
        if let Some(folder) = self.oldest("look for the folder", &query).await? {
            return Ok(folder.id);
        }
        let request = self
            .request(Method::POST, self.files(&[]))
            .query(&[ALL_DRIVES, FIELDS])
            .json(&json!({
                "name": name,
                "mimeType": FOLDER,
                "parents": [parent],
                "appProperties": {"created_by": "millrace"},
            }));
        let folder: FileAnswer = self.call("create the folder", request).await?.parse()?;
        Ok(folder.id)
    }

    /// Copies a template into `folder`. **Not idempotent**: after an unclear failure look for the
    /// job's file first.
    pub async fn copy_template(
        &self,
        template_id: &str,
        name: &str,
        folder: &str,
        job_id: &str,
    ) -> Result<DriveFile, ClientError> {
        let request = self
            .request(Method::POST, self.files(&[template_id, "copy"]))
            .query(&[ALL_DRIVES, FIELDS])
            .json(&metadata(name, folder, job_id));
        let file: FileAnswer = self.call("copy the template", request).await?.parse()?;
        Ok(file.into())
    }

    /// Creates a document out of Markdown, in Google's default styles, up to 5 MB.
    /// **Not idempotent**: after an unclear failure look for the job's file first.
    pub async fn create_from_markdown(
        &self,
        name: &str,
        folder: &str,
        job_id: &str,
        markdown: &str,
    ) -> Result<DriveFile, ClientError> {
        let mut metadata = metadata(name, folder, job_id);
        metadata["mimeType"] = json!(DOCUMENT);
        let metadata = metadata.to_string();
        let boundary = boundary(&[&metadata, markdown]);
        let body = format!(
            "--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{metadata}\r\n\
             --{boundary}\r\nContent-Type: text/markdown; charset=UTF-8\r\n\r\n{markdown}\r\n\
             --{boundary}--\r\n"
        );
        let request = self
            .request(
                Method::POST,
                self.drive.join(["upload", "drive", "v3", "files"]),
            )
            .query(&[("uploadType", "multipart"), ALL_DRIVES, FIELDS])
            .header(
                CONTENT_TYPE,
                format!("multipart/related; boundary={boundary}"),
            )
            .body(body);
        let file: FileAnswer = self.call("create the document", request).await?.parse()?;
        Ok(file.into())
    }

    async fn oldest(
        &self,
        operation: &'static str,
        query: &str,
    ) -> Result<Option<DriveFile>, ClientError> {
        let request = self.request(Method::GET, self.files(&[])).query(&[
            ("q", query),
            ("orderBy", "createdTime"),
            ("fields", "incompleteSearch,files(id,name,webViewLink)"),
            // Shared drives as well as what the account made or was given.
            ("corpora", "allDrives"),
            ("includeItemsFromAllDrives", "true"),
            ALL_DRIVES,
        ]);
        let answer = self.call(operation, request).await?;
        let list: FileList = answer.parse()?;
        match list.files.into_iter().next() {
            None if list.incomplete_search => {
                Err(answer.unreadable("Drive did not search everywhere"))
            }
            found => Ok(found.map(DriveFile::from)),
        }
    }

    fn files(&self, path: &[&str]) -> Url {
        self.drive.join(
            ["drive", "v3", "files"]
                .into_iter()
                .chain(path.iter().copied()),
        )
    }
}

impl From<FileAnswer> for DriveFile {
    fn from(file: FileAnswer) -> Self {
        let url = file
            .web_view_link
            .unwrap_or_else(|| format!("https://docs.google.com/document/d/{}/edit", file.id));
        Self { id: file.id, url }
    }
}

fn metadata(name: &str, folder: &str, job_id: &str) -> Value {
    json!({"name": name, "parents": [folder], "appProperties": {"job_id": job_id}})
}

/// A value in Drive's query language.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A line that occurs in none of the parts.
fn boundary(parts: &[&str]) -> String {
    let mut boundary = "millrace".to_owned();
    while parts.iter().any(|part| part.contains(&boundary)) {
        boundary.push('x');
    }
    boundary
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_backslashes_stay_inside_the_value() {
        assert_eq!(quoted(r"O'Neil\x"), r"'O\'Neil\\x'");
    }

    #[test]
    fn the_boundary_avoids_the_content() {
        assert_eq!(boundary(&["a millracex b", "c"]), "millracexx");
    }
}
