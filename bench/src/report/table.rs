//! Tables that can be read on a screen and in Markdown.

/// A table of Markdown with its columns aligned.
pub(crate) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut lines = vec![head.iter().map(ToString::to_string).collect::<Vec<_>>()];
    lines.extend(rows);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let rule = widths.iter().map(|width| "-".repeat(*width)).collect();
    lines.insert(1, rule);
    lines
        .iter()
        .map(|line| {
            let cells = line.iter().zip(&widths);
            let cells: Vec<String> = cells
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            format!("| {} |\n", cells.join(" | "))
        })
        .collect()
}

/// A number with the digits that matter.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{short, table};

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["1".to_owned(), "≥ 0.9".to_owned()]];
        let expected = "| #   | target |\n| --- | ------ |\n| 1   | ≥ 0.9  |\n";
        assert_eq!(table(&["#  ", "target"], rows), expected);
    }

    #[test]
    fn numbers_have_the_digits_that_matter() {
        assert_eq!(
            [short(0.934), short(25.06), short(18_234.6)],
            ["0.93", "25.1", "18235"]
        );
    }
}
