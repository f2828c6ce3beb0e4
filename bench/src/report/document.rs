//! docs/performance.md: the part that a full run rewrites, and its charts.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

use super::Report;
use super::chart::bars;
use super::table::table;

/// A chart: its file, title, unit, row, and the figures of that row that it shows.
struct Chart {
    file: &'static str,
    title: &'static str,
    unit: &'static str,
    row: u8,
    figures: &'static [&'static str],
}

const CHARTS: [Chart; 2] = [
    Chart {
        file: "performance-ingress.svg",
        title: "Signed webhooks of 110 B, confirmed into a quorum queue",
        unit: "requests a second",
        row: 1,
        figures: &[
            "bare server (ceiling), 110 B",
            "Millrace gateway, 110 B",
            "Fastify, 110 B",
            "FastAPI, 110 B",
        ],
    },
    Chart {
        file: "performance-workers.svg",
        title: "Chat messages worked off, and Celery's empty tasks",
        unit: "messages a second",
        row: 3,
        figures: &[
            "Millrace on PostgreSQL",
            "Millrace on SQLite",
            "Celery, empty tasks",
        ],
    },
];

/// Rewrites the results in docs/performance.md and draws its charts.
pub(crate) fn publish(report: &Report, docs: &Path) -> anyhow::Result<()> {
    let mut text = String::new();
    let machine = &report.machine;
    write!(text, "{}\n\n{}\n", machine.told(), report.targets())?;
    for chart in CHARTS {
        let figures = chart.figures.iter();
        let measured: Vec<_> = figures
            .filter_map(|what| Some(((*what).to_owned(), report.spread(chart.row, what)?)))
            .collect();
        fs::write(
            docs.join(chart.file),
            bars(chart.title, chart.unit, &measured),
        )?;
        write!(text, "![{}]({})\n\n", chart.title, chart.file)?;
    }
    write!(
        text,
        "### Figures\n\n{}\n### Versions and settings\n\n",
        report.figures()
    )?;
    let facts = machine.versions.iter().chain(&machine.settings);
    let facts = facts.map(|(name, value)| vec![name.clone(), value.clone()]);
    text.push_str(&table(&["what", "version or setting"], facts));
    between_markers(&docs.join("performance.md"), "results", &text)
}

/// Replaces what stands in a file between `<!-- NAME -->` and `<!-- /NAME -->`.
pub(crate) fn between_markers(file: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let page = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let page = replaced(&page, name, text)
        .with_context(|| format!("{} has no marker {name}", file.display()))?;
    Ok(fs::write(file, page)?)
}

fn replaced(page: &str, name: &str, text: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!(
        "{before}{begin}\n\n{}\n\n{end}{after}",
        text.trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;
    use super::{publish, replaced};

    #[test]
    fn only_what_stands_between_the_markers_changes() {
        let page = "Before.\n<!-- results -->\nold\n<!-- /results -->\nAfter.\n";
        let new = replaced(page, "results", "new\n").unwrap();
        assert_eq!(
            new,
            "Before.\n<!-- results -->\n\nnew\n\n<!-- /results -->\nAfter.\n"
        );
        assert_eq!(replaced(&new, "results", "new\n").unwrap(), new);
        assert_eq!(replaced("no markers", "results", "new"), None);
    }

    #[test]
    fn the_page_tells_targets_figures_machine_and_versions() {
        let docs = tempfile::tempdir().unwrap();
        let page = docs.path().join("performance.md");
        std::fs::write(
            &page,
            "# Performance\n<!-- results -->\n<!-- /results -->\n",
        )
        .unwrap();
        publish(&report(), docs.path()).unwrap();
        let text = std::fs::read_to_string(&page).unwrap();
        for told in [
            "to the ceiling",
            "0.93 ratio",
            "18000",
            "a processor",
            "3.10.8",
            "rounds",
        ] {
            assert!(text.contains(told), "{told} is missing in\n{text}");
        }
        assert!(docs.path().join("performance-ingress.svg").exists());
    }
}
