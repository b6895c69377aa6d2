//! The plot: a bar for each contender's rate, with a whisker from the least round to the greatest.

use askama::Template;

use super::table::grouped;
use super::{Report, Standing};
use crate::figures::Spread;

const WIDTH: u32 = 840;
/// Above the bars.
const HEADING: u32 = 44;
/// Of a bar and what is around it.
const ROW: u32 = 40;
/// Where bars begin, and how long the longest is.
const LEFT: u32 = 270;
const LONGEST: f64 = 360.0;
/// Characters of a name that there is room for.
const NAME: usize = 34;

// The page behind may be light or dark: every colour is legible on both.
const TEXT: &str = "#7d8590";
const OURS: &str = "#1f88e5";
const OTHERS: &str = "#9a7ac8";
const FLOOR: &str = "#8b949e";
const WHISKER: &str = "#d97706";

#[derive(Template)]
#[template(path = "plot.svg")]
struct Plot {
    title: String,
    height: u32,
    bars: Vec<Bar>,
}

struct Bar {
    name: String,
    colour: &'static str,
    /// The rates, in pixels from the left end.
    median: u32,
    least: u32,
    greatest: u32,
    figure: String,
    /// In pixels from the top.
    middle: u32,
}

impl Report {
    /// The rates as an SVG image.
    #[must_use]
    pub fn plot(&self) -> String {
        let rates: Vec<(&Standing, Spread)> = self
            .contenders
            .iter()
            .filter_map(|standing| Some((standing, standing.requests_per_second?)))
            .collect();
        let greatest = rates.iter().map(|(_, rate)| rate.greatest).fold(1.0, f64::max);
        let middles = (HEADING + ROW / 2..).step_by(ROW as usize);
        let bars: Vec<Bar> = rates
            .into_iter()
            .zip(middles)
            .map(|((standing, rate), middle)| Bar::new(standing, rate, LONGEST / greatest, middle))
            .collect();
        let height = HEADING + ROW * u32::try_from(bars.len()).unwrap_or_default();
        // A template writes to a string and calls nothing that can fail.
        Plot { title: self.title(), height, bars }.render().unwrap_or_default()
    }

    fn title(&self) -> String {
        let what = if self.mode == "refresh" { "Refreshes" } else { "Requests" };
        let alg = self.alg.as_ref().map_or_else(String::new, |alg| format!(", {alg}"));
        let Self { rounds, connections, .. } = self;
        format!(
            "{what} a second{alg}: median of {rounds} rounds, least and greatest; {connections} connections"
        )
    }
}

impl Bar {
    fn new(standing: &Standing, rate: Spread, scale: f64, middle: u32) -> Self {
        let pixels = |rate: f64| (rate * scale).round() as u32;
        let share = standing.of_floor.map_or_else(String::new, |share| {
            format!(" ({:.0}% of the floor)", share.median * 100.0)
        });
        Self {
            name: name(standing),
            colour: match standing.name.as_str() {
                "counterfoil" => OURS,
                "floor" => FLOOR,
                _ => OTHERS,
            },
            median: pixels(rate.median),
            least: pixels(rate.least),
            greatest: pixels(rate.greatest),
            figure: format!("{}{share}", grouped(rate.median)),
            middle,
        }
    }
}

/// What it is called, as much as there is room for.
fn name(standing: &Standing) -> String {
    let name = standing.label();
    match name.char_indices().nth(NAME) {
        None => name,
        Some((end, _)) => format!("{}…", name[..end].trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;

    #[test]
    fn bars_and_names() {
        let svg = sample::report().plot();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
        for text in [
            "floor, 1,000,000 grants",
            "counterfoil, 1,000,000 grants",
            "15,000 (90% of the floor)",
            "&#60;peer&#62; &#38; more",
        ] {
            assert!(svg.contains(text), "no {text} in {svg}");
        }
        assert!(svg.contains("Refreshes a second, ES256: median of 3 rounds"), "{svg}");
        // A bar is as long as its rate, and a whisker goes from its least to its greatest round.
        for bar in ["width=\"240\"", "width=\"180\"", "width=\"24\"", "M120 0H360M120 -5v10M360"] {
            assert!(svg.contains(bar), "no {bar} in {svg}");
        }
        assert_eq!(svg.matches("<path").count(), 3, "{svg}");
    }
}
