//! What a run has found: one entry for each target, and the figures behind them.

mod chart;
mod document;
mod table;

use std::fs;
use std::path::Path;

use serde::Serialize;

pub(crate) use self::document::{between_markers, publish};
pub(crate) use self::table::{short, table};
use crate::measure::Spread;
use crate::rig::machine::Machine;

/// The unit of a value that compares us with others in the same run.
pub(crate) const RATIO: &str = "ratio";

/// A run's result, in the form of `bench/results/latest.json`.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where it was measured.
    pub machine: Machine,
    /// One for each target.
    pub rows: Vec<Row>,
    /// Everything that was measured.
    pub figures: Vec<Figure>,
}

/// A target and what was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Its row in the table of targets.
    pub row: u8,
    /// What was measured.
    pub what: String,
    /// The value; of several rounds the median.
    pub value: f64,
    /// Its unit; `ratio` where it has none.
    pub unit: &'static str,
    /// What it should be.
    pub target: String,
    /// Whether it is.
    pub holds: bool,
}

/// Something measured once a round.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// The row that it belongs to.
    pub row: u8,
    /// What was measured.
    pub what: String,
    /// The value of each round.
    pub rounds: Vec<f64>,
    /// Smallest, middle and largest.
    #[serde(flatten)]
    pub spread: Spread,
    /// Its unit.
    pub unit: &'static str,
}

impl Row {
    /// A value that should not be less than `limit`.
    pub(crate) fn at_least(
        row: u8,
        what: &str,
        value: f64,
        unit: &'static str,
        limit: f64,
    ) -> Self {
        Self {
            row,
            what: what.to_owned(),
            value,
            unit,
            target: format!("≥ {limit}"),
            holds: value >= limit,
        }
    }

    /// A value that should not be more than `limit`.
    pub(crate) fn at_most(row: u8, what: &str, value: f64, unit: &'static str, limit: f64) -> Self {
        Self {
            row,
            what: what.to_owned(),
            value,
            unit,
            target: format!("≤ {limit}"),
            holds: value <= limit,
        }
    }

    /// A value without a target.
    pub(crate) fn told(row: u8, what: &str, value: f64, unit: &'static str) -> Self {
        Self {
            row,
            what: what.to_owned(),
            value,
            unit,
            target: "report".to_owned(),
            holds: true,
        }
    }
}

impl Figure {
    /// What was measured once a round.
    ///
    /// # Panics
    /// Without any round.
    pub(crate) fn new(row: u8, what: &str, unit: &'static str, rounds: &[f64]) -> Self {
        Self {
            row,
            what: what.to_owned(),
            rounds: rounds.to_vec(),
            spread: Spread::of(rounds).expect("there is at least one round"),
            unit,
        }
    }
}

impl Report {
    /// Writes it as JSON.
    pub(crate) fn write(&self, file: &Path) -> anyhow::Result<()> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(fs::write(file, text)?)
    }

    /// The rows as a table of Markdown.
    pub(crate) fn targets(&self) -> String {
        let rows = self.rows.iter().map(|row| {
            let holds = if row.holds { "yes" } else { "**no**" };
            vec![
                row.row.to_string(),
                row.what.clone(),
                format!("{} {}", short(row.value), row.unit),
                row.target.clone(),
                holds.to_owned(),
            ]
        });
        table(&["#", "what", "value", "target", "holds"], rows)
    }

    /// The figures as a table of Markdown.
    pub(crate) fn figures(&self) -> String {
        let rows = self.figures.iter().map(|figure| {
            let [min, median, max] = [figure.spread.min, figure.spread.median, figure.spread.max];
            vec![
                figure.row.to_string(),
                figure.what.clone(),
                figure.unit.to_owned(),
                short(min),
                short(median),
                short(max),
            ]
        });
        table(&["#", "what", "unit", "min", "median", "max"], rows)
    }

    /// The spread of a figure, where it was measured.
    pub(crate) fn spread(&self, row: u8, what: &str) -> Option<Spread> {
        let found = |figure: &&Figure| figure.row == row && figure.what == what;
        self.figures.iter().find(found).map(|figure| figure.spread)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Figure, Report, Row};
    use crate::rig::machine::Machine;

    pub(super) fn report() -> Report {
        Report {
            machine: Machine {
                date: "2026-11-29T10:00:00Z".to_owned(),
                commit: "abc1234".to_owned(),
                processor: "a processor".to_owned(),
                cores: 2,
                memory_gib: 23.0,
                kernel: "6.1".to_owned(),
                load_before: 0.1,
                versions: BTreeMap::from([("RabbitMQ".to_owned(), "3.10.8".to_owned())]),
                settings: BTreeMap::from([("rounds".to_owned(), "3".to_owned())]),
            },
            rows: vec![Row::at_least(1, "to the ceiling", 0.93, "ratio", 0.9)],
            figures: vec![Figure::new(
                1,
                "gateway",
                "requests/s",
                &[18_000.0, 19_000.5, 17_500.0],
            )],
        }
    }

    #[test]
    fn a_row_says_whether_its_target_holds() {
        assert!(Row::at_least(1, "", 0.9, "ratio", 0.9).holds);
        assert!(!Row::at_least(1, "", 0.8, "ratio", 0.9).holds);
        assert!(Row::at_most(2, "", 1.5, "ratio", 1.5).holds);
        assert!(!Row::at_most(2, "", 2.0, "ratio", 1.5).holds);
        // What is not a number keeps no promise.
        assert!(!Row::at_least(1, "", f64::NAN, "ratio", 0.9).holds);
    }

    #[test]
    fn the_json_has_the_form_that_others_read() {
        let json = serde_json::to_value(report()).unwrap();
        let row = serde_json::json!({
            "row": 1, "what": "to the ceiling", "value": 0.93, "unit": "ratio",
            "target": "≥ 0.9", "holds": true,
        });
        assert_eq!(json["rows"][0], row);
        assert_eq!(json["machine"]["cores"], 2);
        let figure = &json["figures"][0];
        assert_eq!(figure["rounds"].as_array().unwrap().len(), 3);
        assert_eq!(
            (
                figure["min"].as_f64(),
                figure["median"].as_f64(),
                figure["max"].as_f64()
            ),
            (Some(17_500.0), Some(18_000.0), Some(19_000.5))
        );
    }
}
