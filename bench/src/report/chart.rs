//! Bar charts as SVG: the median as a bar, the spread over the rounds as a line on it.

use std::fmt::Write as _;

use super::table::short;
use crate::measure::Spread;

const WIDTH: f64 = 760.0;
const LABELS: f64 = 250.0;
const VALUES: f64 = 110.0;
const LINE: f64 = 30.0;
const HEAD: f64 = 44.0;

/// One bar for each measurement. Readable on light and on dark ground.
pub(super) fn bars(title: &str, unit: &str, bars: &[(String, Spread)]) -> String {
    let largest = bars
        .iter()
        .map(|(_, spread)| spread.max)
        .fold(f64::MIN_POSITIVE, f64::max);
    let scale = (WIDTH - LABELS - VALUES) / largest;
    let height = HEAD + LINE * bars.len() as f64 + 10.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\" role=\"img\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"10\" y=\"24\" font-size=\"15\" font-weight=\"bold\">{} ({})</text>\n",
        escaped(title),
        escaped(unit)
    );
    for (number, (label, spread)) in bars.iter().enumerate() {
        let top = HEAD + LINE * number as f64;
        let colour = if label.starts_with("Millrace") {
            "#35a07c"
        } else {
            "#9aa5b1"
        };
        let [low, middle, high] =
            [spread.min, spread.median, spread.max].map(|value| LABELS + value * scale);
        // Writing to a String can't fail.
        let _ = write!(
            svg,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>\n\
             <rect x=\"{LABELS}\" y=\"{:.0}\" width=\"{:.1}\" height=\"18\" fill=\"{colour}\"/>\n\
             <path d=\"M{low:.1} {:.0}H{high:.1}\" stroke=\"#1f2933\" stroke-width=\"2\"/>\n\
             <text x=\"{:.1}\" y=\"{:.0}\">{}</text>\n",
            LABELS - 8.0,
            top + 14.0,
            escaped(label),
            top,
            middle - LABELS,
            top + 9.0,
            high + 8.0,
            top + 14.0,
            short(spread.median),
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::bars;
    use crate::measure::Spread;

    #[test]
    fn the_longest_bar_fills_its_place_and_half_of_it_is_half_as_long() {
        let spread = |value: f64| Spread {
            min: value,
            median: value,
            max: value,
        };
        let measured = [
            ("Millrace & its gateway".to_owned(), spread(200.0)),
            ("Fastify".to_owned(), spread(100.0)),
        ];
        let svg = bars("Webhooks", "requests/s", &measured);
        assert!(
            svg.contains("width=\"400.0\" height=\"18\" fill=\"#35a07c\""),
            "{svg}"
        );
        assert!(
            svg.contains("width=\"200.0\" height=\"18\" fill=\"#9aa5b1\""),
            "{svg}"
        );
        assert!(svg.contains("Millrace &amp; its gateway"), "{svg}");
    }
}
