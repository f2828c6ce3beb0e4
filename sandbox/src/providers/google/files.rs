//! The files of the Drive: what they are, and which can be seen.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::document::Document;
use super::error::{ApiError, file_not_found, forbidden};
use super::token::Token;
use crate::app::{new_id, now_text};

/// The shared drive, which is also the id of its top folder.
pub(crate) const DRIVE_ID: &str = "sandbox-drive";
/// The folder that documents go to (`GS_DRIVE_FOLDER_ID`).
pub const FOLDER_ID: &str = "sandbox-folder";
/// The template with a placeholder for each section (`GS_TEMPLATE_DOC_ID`).
pub const TEMPLATE_ID: &str = "sandbox-template";
pub(crate) const FOLDER_TYPE: &str = "application/vnd.google-apps.folder";
pub(crate) const DOCUMENT_TYPE: &str = "application/vnd.google-apps.document";

/// The sections of the template, in order.
const SECTIONS: [&str; 11] = [
    "INTRO",
    "PRICING_PACKAGING",
    "GTM_MOTION",
    "TOUCH_MODEL",
    "ICP",
    "METRICS",
    "FINANCIALS",
    "FINANCING",
    "MARKET_MATURITY",
    "STAKEHOLDERS",
    "SUMMARY_TABLE",
];

/// All files, oldest first, and the tokens given out.
#[derive(Debug)]
pub(crate) struct GoogleStore {
    pub(crate) files: Vec<File>,
    pub(crate) tokens: HashMap<String, Token>,
}

/// A file or folder.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) mime_type: String,
    /// Every file has exactly one.
    pub(crate) parent: String,
    /// The shared drive it lies on.
    pub(crate) drive_id: Option<&'static str>,
    pub(crate) app_properties: BTreeMap<String, String>,
    pub(crate) created: String,
    pub(crate) trashed: bool,
    /// The content, of a Google document.
    pub(crate) document: Option<Document>,
    /// Goes up with each change of the content.
    pub(crate) revision: u64,
}

impl GoogleStore {
    pub(crate) fn new(shared_drive: bool) -> Self {
        let mut folder = File::new("Millrace", FOLDER_TYPE, DRIVE_ID);
        FOLDER_ID.clone_into(&mut folder.id);
        let mut template = File::new("Strategy template", DOCUMENT_TYPE, DRIVE_ID);
        TEMPLATE_ID.clone_into(&mut template.id);
        template.document = Some(template_document());
        let mut store = Self {
            files: vec![folder, template],
            tokens: HashMap::new(),
        };
        store.set_shared_drive(shared_drive);
        store
    }

    /// Puts every file onto the shared drive, or into the folders of single users.
    pub(crate) fn set_shared_drive(&mut self, shared_drive: bool) {
        for file in &mut self.files {
            file.drive_id = shared_drive.then_some(DRIVE_ID);
        }
    }

    /// The file, if this caller may see it: on a shared drive only with `supportsAllDrives`.
    pub(crate) fn find(&self, id: &str, supports_all_drives: bool) -> Result<&File, ApiError> {
        let file = self.files.iter().find(|file| file.id == id);
        file.filter(|file| file.drive_id.is_none() || supports_all_drives)
            .ok_or_else(|| file_not_found(id))
    }

    /// The drive on which a new file in this folder lies; `None` is the caller's own.
    pub(crate) fn drive_of(
        &self,
        parent: &str,
        supports_all_drives: bool,
    ) -> Result<Option<&'static str>, ApiError> {
        if parent == DRIVE_ID {
            let shared = self.files.iter().any(|file| file.drive_id.is_some());
            return if shared && supports_all_drives {
                Ok(Some(DRIVE_ID))
            } else {
                Err(file_not_found(parent))
            };
        }
        if parent == "root" {
            return Ok(None);
        }
        self.find(parent, supports_all_drives)
            .map(|folder| folder.drive_id)
    }
}

/// Refuses what would lie in a service account's own drive; folders take no storage.
pub(crate) fn check_storage(file: &File, token: &Token) -> Result<(), ApiError> {
    if file.drive_id.is_some() || token.acting_user.is_some() || file.mime_type == FOLDER_TYPE {
        return Ok(());
    }
    let message = "Service Accounts do not have storage quota. Leverage shared drives \
                   (https://developers.google.com/workspace/drive/api/guides/about-shareddrives), \
                   or use OAuth delegation instead.";
    Err(forbidden("storageQuotaExceeded", message))
}

impl File {
    pub(crate) fn new(name: &str, mime_type: &str, parent: &str) -> Self {
        Self {
            id: new_id("1"),
            name: name.to_owned(),
            mime_type: mime_type.to_owned(),
            parent: parent.to_owned(),
            drive_id: None,
            app_properties: BTreeMap::new(),
            created: now_text(),
            trashed: false,
            document: (mime_type == DOCUMENT_TYPE).then(Document::empty),
            revision: 1,
        }
    }

    /// Where a person reads it: a page of the sandbox.
    pub(crate) fn link(&self, base_url: &str) -> String {
        let kind = if self.document.is_some() {
            "document"
        } else {
            "file"
        };
        format!("{base_url}/google/{kind}/d/{}/edit", self.id)
    }

    /// The whole resource; answers hold what `fields` asks for.
    pub(crate) fn show(&self, base_url: &str) -> Value {
        let mut shown = json!({
            "kind": "drive#file", "id": self.id, "name": self.name, "mimeType": self.mime_type,
            "parents": [self.parent], "createdTime": self.created, "modifiedTime": self.created,
            "trashed": self.trashed, "webViewLink": self.link(base_url),
        });
        if !self.app_properties.is_empty() {
            shown["appProperties"] = json!(self.app_properties);
        }
        if let Some(drive_id) = self.drive_id {
            shown["driveId"] = json!(drive_id);
        }
        shown
    }
}

fn template_document() -> Document {
    let mut text = "{{DOC_TITLE}}\n".to_owned();
    for section in SECTIONS {
        let heading = section.replace('_', " ");
        text.push_str(&format!("{heading}\n{{{{{section}}}}}\n"));
    }
    let mut document = Document::empty();
    document
        .insert_text(1, &text)
        .expect("index 1 always exists");
    document
}
