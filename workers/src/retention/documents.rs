//! Documents in files of ours. Google Docs belong to the customer's Drive: they stay.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use entities::document;
use tokio::fs;
use tracing::warn;

use super::{PruneError, Pruner};

/// How many rows are read at once.
const AT_ONCE: u64 = 200;

impl Pruner {
    /// Removes the files of old documents from `DOCUMENTS_DIR`. Where that folder is not on this
    /// machine nothing is done: whoever has it will.
    pub(super) async fn prune_documents(
        &self,
        before: DateTime<Utc>,
        dry_run: bool,
    ) -> Result<u64, PruneError> {
        let Ok(folder) = fs::canonicalize(&self.documents_dir).await else {
            return Ok(0);
        };
        let (mut count, mut after) = (0, None);
        loop {
            let old = document::old_files(&self.db, before, after, AT_ONCE).await?;
            let Some(last) = old.last() else {
                return Ok(count);
            };
            after = Some(last.job_id);
            for document in old {
                let path = PathBuf::from(&document.provider_id);
                if !is_inside(&path, &folder) {
                    warn!(job.id = %document.job_id, "An old document lies outside of DOCUMENTS_DIR; it is left alone.");
                    continue;
                }
                if !dry_run {
                    if let Err(error) = remove_files(&path, &folder).await {
                        warn!(job.id = %document.job_id, %error, "An old document could not be removed; see DOCUMENTS_DIR.");
                        continue;
                    }
                    document::mark_removed(&self.db, document.job_id, Utc::now()).await?;
                }
                count += 1;
            }
        }
    }
}

/// The row says where its file is; we remove nothing elsewhere.
fn is_inside(path: &Path, folder: &Path) -> bool {
    let plain = |component| matches!(component, std::path::Component::Normal(_));
    path.strip_prefix(folder)
        .is_ok_and(|rest| rest.components().all(plain))
}

/// Removes `<job>.md` and `<job>.json`, and the company's folder with the last of them.
async fn remove_files(path: &Path, folder: &Path) -> std::io::Result<()> {
    for file in [path.with_extension("json"), path.to_owned()] {
        match fs::remove_file(&file).await {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    if let Some(company) = path.parent().filter(|company| *company != folder) {
        // Fails while other documents are in it.
        let _ = fs::remove_dir(company).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{is_inside, remove_files};

    #[test]
    fn only_files_in_the_folder_of_documents_are_ours() {
        let folder = Path::new("/data/documents");
        assert!(is_inside(Path::new("/data/documents/c1/a.md"), folder));
        for other in [
            "/data/other/a.md",
            "/data/documents/../other/a.md",
            "/etc/passwd",
            "a.md",
            "",
        ] {
            assert!(!is_inside(Path::new(other), folder), "{other}");
        }
    }

    #[tokio::test]
    async fn a_companys_folder_goes_with_its_last_document() {
        let folder = tempfile::tempdir().unwrap();
        let company = folder.path().join("c1-example.com");
        std::fs::create_dir(&company).unwrap();
        for file in ["a.md", "a.json", "b.md", "b.json"] {
            std::fs::write(company.join(file), "").unwrap();
        }
        remove_files(&company.join("a.md"), folder.path())
            .await
            .unwrap();
        assert!(!company.join("a.md").exists() && !company.join("a.json").exists());
        assert!(company.join("b.md").exists());
        remove_files(&company.join("b.md"), folder.path())
            .await
            .unwrap();
        assert!(!company.exists() && folder.path().exists());
        // Somebody else was faster.
        remove_files(&company.join("b.md"), folder.path())
            .await
            .unwrap();
    }
}
