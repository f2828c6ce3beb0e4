//! Making the document: Markdown and JSON files, or a Google Doc.

use std::path::{Path, PathBuf};

use broker::Verdict;
use chrono::{TimeDelta, Utc};
use clients::{ErrorKind, google};
use crash_points::crash_point;
use entities::document::{self, Provider};
use entities::{TextList, effect, job};
use sea_orm::DatabaseConnection;
use serde_json::json;
use tokio::fs;

use super::markdown::harmless;
use super::result::{Research, SECTIONS};
use crate::halt::{Halt, give_up, not_there, retry_later, unless_grown_old, unless_paused};

/// After this time no creation that was started can still be on its way, and Drive's search has
/// caught up.
const IN_FLIGHT: TimeDelta = TimeDelta::seconds(120);

/// Where documents are made.
pub(crate) enum Documents {
    /// Files under a folder.
    Local(PathBuf),
    /// Google Docs.
    Google(Box<GoogleDocuments>),
}

/// Google's side of it.
pub(crate) struct GoogleDocuments {
    pub(crate) client: google::Client,
    /// The folder in which each company gets its own.
    pub(crate) folder_id: String,
    /// The template to copy; without one the document is made out of Markdown.
    pub(crate) template_id: Option<String>,
}

impl Documents {
    /// Makes the job's document, or finds the one that an earlier run made.
    pub(crate) async fn create(
        &self,
        db: &DatabaseConnection,
        job: &job::Model,
        research: &Research,
        raw: &str,
    ) -> Result<document::Model, Halt> {
        let title = title(job, research);
        let (provider, provider_id, url) = match self {
            Self::Local(folder) => {
                let path = write_files(folder, job, research, raw, &title)
                    .await
                    .map_err(|error| {
                        let detail = format!(
                            "can't write to {}: {error}; see DOCUMENTS_DIR",
                            folder.display()
                        );
                        Halt::from(retry_later("documents_dir_not_writable", detail))
                    })?;
                let url = url::Url::from_file_path(&path)
                    .map(String::from)
                    .unwrap_or_default();
                (Provider::Local, path.display().to_string(), url)
            }
            Self::Google(google) => {
                let (id, url) = google.create(db, job, research, &title).await?;
                (Provider::Google, id, url)
            }
        };
        Ok(document::Model {
            job_id: job.id,
            provider,
            provider_id,
            url,
            title,
            missing_sections: TextList::from(research.missing()),
            created_at: crate::time::now(),
            removed_at: None,
        })
    }
}

impl GoogleDocuments {
    /// Through the ledger: Drive does not know a repeated creation, but finds a file by our job id.
    async fn create(
        &self,
        db: &DatabaseConnection,
        job: &job::Model,
        research: &Research,
        title: &str,
    ) -> Result<(String, String), Halt> {
        unless_paused(db, clients::Provider::Google).await?;
        let job_id = job.id.to_string();
        let key = format!("document:{job_id}");
        let folder = self
            .client
            .ensure_folder(&folder_name(job), &self.folder_id)
            .await?;
        let now = crate::time::now();
        let file = match effect::start(db, &key, now).await? {
            effect::Start::Fresh => {
                self.create_file(db, job, research, title, &folder, &key, now)
                    .await?
            }
            effect::Start::Started { since } => {
                let asked_at = crate::time::now();
                match self.client.find_file_by_job(&job_id).await? {
                    Some(file) => file,
                    None => {
                        let reasons = ["document_may_be_on_its_way", "document_was_not_made"];
                        let waiting =
                            not_there(db, &key, since, asked_at, IN_FLIGHT, reasons).await?;
                        return Err(Halt::from(waiting));
                    }
                }
            }
            effect::Start::Done { result } => {
                let result = result.unwrap_or_default();
                let text = |name: &str| result[name].as_str().unwrap_or_default().to_owned();
                return Ok((text("id"), text("url")));
            }
        };
        // Filling twice changes nothing: the second time there are no placeholders left.
        if self.template_id.is_some() {
            self.fill(&file.id, research, title).await?;
        }
        crash_point!("research.completion.document_filled");
        let result = json!({"id": file.id, "url": file.url});
        effect::finish(db, &key, result, crate::time::now()).await?;
        Ok((file.id, file.url))
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the ledger's key and time belong to this one call"
    )]
    async fn create_file(
        &self,
        db: &DatabaseConnection,
        job: &job::Model,
        research: &Research,
        title: &str,
        folder: &str,
        key: &str,
        since: chrono::DateTime<Utc>,
    ) -> Result<google::DriveFile, Halt> {
        let job_id = job.id.to_string();
        crash_point!("research.completion.document_started");
        unless_grown_old(db, key, since).await?;
        let created = match &self.template_id {
            Some(template) => {
                self.client
                    .copy_template(template, title, folder, &job_id)
                    .await
            }
            None => {
                let markdown = markdown(research, title);
                self.client
                    .create_from_markdown(title, folder, &job_id, &markdown)
                    .await
            }
        };
        crash_point!("research.completion.document_made");
        let error = match created {
            Ok(file) => return Ok(file),
            Err(error) => error,
        };
        match error.kind() {
            // The file may be there: the next attempt looks for it.
            ErrorKind::Unknown => Err(Halt::from(retry_later(
                "google_outcome_unknown",
                error.to_string(),
            ))),
            ErrorKind::NotDone { .. }
            | ErrorKind::Unauthorized
            | ErrorKind::Permanent { .. }
            | ErrorKind::NotFound => {
                effect::forget(db, key, since).await?;
                Err(Halt::from(error))
            }
        }
    }

    async fn fill(&self, document_id: &str, research: &Research, title: &str) -> Result<(), Halt> {
        let sections: Vec<google::Section> = SECTIONS
            .iter()
            .map(|(key, _)| {
                let text = match *key {
                    "DOC_TITLE" => title,
                    key => research.section(key).unwrap_or(NOT_FOUND),
                };
                google::Section::from_markdown(format!("{{{{{key}}}}}"), text)
            })
            .collect();
        self.client.fill_template(document_id, &sections).await?;
        Ok(())
    }
}

const NOT_FOUND: &str = "*The research did not deliver this section.*";

/// The document as Markdown.
pub(crate) fn markdown(research: &Research, title: &str) -> String {
    let mut page = format!("# {}\n", harmless(title));
    for (key, heading) in SECTIONS.iter().skip(1) {
        let text = research.section(key).unwrap_or(NOT_FOUND);
        page.push_str(&format!("\n## {heading}\n\n{text}\n"));
    }
    page
}

fn title(job: &job::Model, research: &Research) -> String {
    research.section("DOC_TITLE").map_or_else(
        || {
            let company = job.company_name.as_deref().unwrap_or(&job.company_id);
            format!("Go-to-market strategy: {company}")
        },
        str::to_owned,
    )
}

/// `<companyId>-<domain>`, in characters that every file system takes.
fn folder_name(job: &job::Model) -> String {
    let domain = job.company_domain.as_deref().unwrap_or("unknown");
    let safe = |character: char| {
        if character.is_ascii_alphanumeric() || "-_.".contains(character) {
            character
        } else {
            '_'
        }
    };
    let name: String = format!("{}-{domain}", job.company_id)
        .chars()
        .map(safe)
        .take(120)
        .collect();
    name.trim_start_matches('.').to_owned()
}

/// Writes `<job>.md` and `<job>.json` into the company's folder and returns the first one's path.
/// Each file appears whole or not at all, and a second run writes the same.
async fn write_files(
    folder: &Path,
    job: &job::Model,
    research: &Research,
    raw: &str,
    title: &str,
) -> std::io::Result<PathBuf> {
    let folder = folder.join(folder_name(job));
    fs::create_dir_all(&folder).await?;
    let folder = fs::canonicalize(&folder).await?;
    let facts = json!({
        "job_id": job.id.to_string(),
        "company_id": job.company_id,
        "company_name": job.company_name,
        "company_domain": job.company_domain,
        "response_id": job.response_id.as_ref().map(ToString::to_string),
        "model": job.model,
        "cost_usd": job.cost_usd,
        "title": title,
        "sections": research.sections,
        "missing_sections": research.missing(),
        "raw_text": raw,
    });
    let path = folder.join(format!("{}.md", job.id));
    write_whole(
        &folder.join(format!("{}.json", job.id)),
        &format!("{facts:#}\n"),
    )
    .await?;
    write_whole(&path, &markdown(research, title)).await?;
    Ok(path)
}

async fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let unfinished = path.with_extension(format!("{}.tmp", uuid::Uuid::new_v4()));
    fs::write(&unfinished, text).await?;
    fs::File::open(&unfinished).await?.sync_all().await?;
    fs::rename(&unfinished, path).await
}

/// A job whose research holds nothing at all.
pub(crate) fn nothing_usable() -> Verdict {
    give_up("empty_research", "OpenAI's response holds no text")
}
