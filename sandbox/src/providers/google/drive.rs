//! Drive v3: list, get, copy, create, and upload with conversion (contracts/google.md section 3).

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::convert;
use super::error::{ApiError, file_not_found, forbidden, invalid};
use super::fields;
use super::files::{DOCUMENT_TYPE, DRIVE_ID, File, check_storage};
use super::query;
use super::token::Token;
use crate::app::{App, lock, new_id, now_text};
use crate::effects::EffectKind;

type Answer = Result<Json<Value>, ApiError>;

/// Query parameters that the calls share.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Parameters {
    #[serde(default)]
    supports_all_drives: bool,
    #[serde(default)]
    include_items_from_all_drives: bool,
    fields: Option<String>,
    q: Option<String>,
    corpora: Option<String>,
    drive_id: Option<String>,
    order_by: Option<String>,
    page_size: Option<usize>,
    upload_type: Option<String>,
}

const USUAL_FIELDS: &str = "kind,id,name,mimeType";
const LONGEST_PROPERTY: usize = 124;

/// `GET /drive/v3/files`.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Query(parameters): Query<Parameters>,
) -> Answer {
    let query = query::Query::parse(parameters.q.as_deref().unwrap_or_default())?;
    let shared = parameters.supports_all_drives && parameters.include_items_from_all_drives;
    if parameters.corpora.as_deref() == Some("drive") {
        match parameters.drive_id.as_deref() {
            Some(DRIVE_ID) if shared => {}
            Some(DRIVE_ID) => return Err(invalid("corpora=drive needs includeItemsFromAllDrives")),
            Some(other) => {
                return Err(file_not_found(&format!("Shared drive not found: {other}")));
            }
            None => return Err(invalid("The driveId parameter must be specified.")),
        }
    }
    let only_shared = parameters.corpora.as_deref() == Some("drive");
    let store = lock(&app.google);
    let mut found: Vec<&File> = store
        .files
        .iter()
        .filter(|file| query.fits(file))
        .filter(|file| {
            if file.drive_id.is_some() {
                shared
            } else {
                !only_shared
            }
        })
        .collect();
    match parameters.order_by.as_deref() {
        Some("createdTime") => {}
        None | Some("createdTime desc") => found.reverse(),
        Some("name") => found.sort_by(|one, other| one.name.cmp(&other.name)),
        Some(other) => return Err(invalid(format!("Invalid sort key: {other}"))),
    }
    let limit = parameters.page_size.unwrap_or(100);
    let files: Vec<Value> = found
        .into_iter()
        .take(limit)
        .map(|file| file.show(&app.base_url))
        .collect();
    let usual = format!("kind,incompleteSearch,files({USUAL_FIELDS})");
    let answer = json!({"kind": "drive#fileList", "incompleteSearch": false, "files": files});
    fields::select(answer, parameters.fields.as_deref().unwrap_or(&usual)).map(Json)
}

/// `GET /drive/v3/files/{id}`.
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(parameters): Query<Parameters>,
) -> Answer {
    let store = lock(&app.google);
    let file = store.find(&id, parameters.supports_all_drives)?;
    answer(&app, file, &parameters)
}

/// `POST /drive/v3/files/{id}/copy`: what the body does not name is inherited.
pub(crate) async fn copy(
    State(app): State<Arc<App>>,
    Extension(token): Extension<Token>,
    Path(id): Path<String>,
    Query(parameters): Query<Parameters>,
    body: Bytes,
) -> Answer {
    let metadata = parse(&body)?;
    let source = lock(&app.google)
        .find(&id, parameters.supports_all_drives)?
        .clone();
    if source.document.is_none() {
        return Err(forbidden(
            "cannotCopyFile",
            "This file cannot be copied by the user.",
        ));
    }
    let name = format!("Copy of {}", source.name);
    let file = File {
        id: new_id("1"),
        name,
        created: now_text(),
        revision: 1,
        ..source
    };
    add(&app, file, &metadata, &token, &parameters)
}

/// `POST /drive/v3/files`: metadata only, for folders and empty documents.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Extension(token): Extension<Token>,
    Query(parameters): Query<Parameters>,
    body: Bytes,
) -> Answer {
    let metadata = parse(&body)?;
    let mime_type = metadata["mimeType"]
        .as_str()
        .unwrap_or("application/octet-stream");
    let file = File::new("Untitled", mime_type, "root");
    add(&app, file, &metadata, &token, &parameters)
}

/// `POST /upload/drive/v3/files?uploadType=multipart`: metadata and content.
pub(crate) async fn upload(
    State(app): State<Arc<App>>,
    Extension(token): Extension<Token>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    if parameters.upload_type.as_deref() != Some("multipart") {
        return Err(invalid("The sandbox takes uploadType=multipart only."));
    }
    let parts = multipart(&headers, &body).ok_or_else(|| invalid("Malformed multipart body."))?;
    let [(_, metadata), (source_type, source)] = parts.as_slice() else {
        return Err(invalid("Malformed multipart body: two parts needed."));
    };
    let metadata = parse(&Bytes::copy_from_slice(metadata.as_bytes()))?;
    let target = metadata["mimeType"].as_str().unwrap_or(source_type);
    let mut file = File::new("Untitled", target, "root");
    if target == DOCUMENT_TYPE {
        let document = convert::to_document(source_type, source);
        let message = format!("Conversion from {source_type} is not supported.");
        file.document = Some(document.ok_or_else(|| invalid(message))?);
    }
    add(&app, file, &metadata, &token, &parameters)
}

/// Applies the metadata to a new file, checks where it is to lie, and stores it.
fn add(
    app: &App,
    mut file: File,
    metadata: &Value,
    token: &Token,
    parameters: &Parameters,
) -> Answer {
    if let Some(name) = metadata["name"].as_str() {
        name.clone_into(&mut file.name);
    }
    match metadata["parents"].as_array().map(Vec::as_slice) {
        None | Some([]) => {}
        Some([Value::String(parent)]) => parent.clone_into(&mut file.parent),
        Some(_) => return Err(invalid("A file must have exactly one parent.")),
    }
    for (key, value) in metadata["appProperties"].as_object().into_iter().flatten() {
        let value = value
            .as_str()
            .ok_or_else(|| invalid("Values of appProperties are text."))?;
        if key.len() + value.len() > LONGEST_PROPERTY {
            return Err(invalid(
                "The property is too long: key and value take 124 bytes at most.",
            ));
        }
        file.app_properties.insert(key.clone(), value.to_owned());
    }
    let mut store = lock(&app.google);
    file.drive_id = store.drive_of(&file.parent, parameters.supports_all_drives)?;
    check_storage(&file, token)?;
    store.files.push(file.clone());
    drop(store);
    if file.document.is_some() {
        let detail = json!({"id": file.id, "name": file.name, "link": file.link(&app.base_url)});
        let job_id = file.app_properties.get("job_id").map(String::as_str);
        app.effect(EffectKind::DocumentsCreated, job_id, detail);
    }
    answer(app, &file, parameters)
}

fn answer(app: &App, file: &File, parameters: &Parameters) -> Answer {
    let fields = parameters.fields.as_deref().unwrap_or(USUAL_FIELDS);
    fields::select(file.show(&app.base_url), fields).map(Json)
}

fn parse(body: &Bytes) -> Result<Value, ApiError> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(body).map_err(|error| invalid(format!("Parse Error: {error}")))
}

/// Content type and text of each part of a `multipart/related` body (RFC 2387).
fn multipart(headers: &HeaderMap, body: &Bytes) -> Option<Vec<(String, String)>> {
    let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    if !content_type.starts_with("multipart/related") {
        return None;
    }
    let (_, boundary) = content_type.split_once("boundary=")?;
    let boundary = boundary.split(';').next()?.trim().trim_matches('"');
    let body = std::str::from_utf8(body).ok()?.replace("\r\n", "\n");
    let (body, _) = body.split_once(&format!("--{boundary}--"))?;
    body.split(&format!("--{boundary}\n"))
        .skip(1)
        .map(|part| {
            let (head, text) = part.split_once("\n\n")?;
            let content_type = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-type")
                    .then(|| value.trim().to_owned())
            })?;
            Some((
                content_type,
                text.strip_suffix('\n').unwrap_or(text).to_owned(),
            ))
        })
        .collect()
}
