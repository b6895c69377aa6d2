//! The plot: a bar for each contender's rate, with a whisker from the least round to the greatest.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::table::grouped;
use super::{Report, Standing};
use crate::measured::Spread;

const WIDTH: u32 = 840;
/// Above the bars.
const TITLE: u32 = 44;
/// Of a bar and what is around it.
const ROW: u32 = 40;
/// Where bars begin and end.
const BARS: std::ops::Range<i32> = 270..630;
/// Half a bar's height, and half that of a whisker's ends.
const HALVES: (i32, i32) = (11, 5);
/// Characters of a name that there is room for.
const NAME: usize = 34;

// On nothing, since the page around it may be light or dark: every colour is to be seen on both.
const TEXT: RGBColor = RGBColor(125, 133, 144);
const OURS: RGBColor = RGBColor(31, 136, 229);
const OTHERS: RGBColor = RGBColor(154, 122, 200);
const FLOOR: RGBColor = RGBColor(139, 148, 158);
const WHISKER: RGBColor = RGBColor(217, 119, 6);

impl Report {
    /// The rates as an SVG image.
    ///
    /// # Errors
    /// It can't be drawn.
    pub fn plot(&self) -> Result<String, String> {
        let mut svg = String::new();
        let rated: Vec<(&Standing, Spread)> = self
            .contenders
            .iter()
            .filter_map(|standing| Some((standing, standing.requests_per_second?)))
            .collect();
        let height = TITLE + ROW * u32::try_from(rated.len()).unwrap_or_default();
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        draw(&area, &self.title(), &rated).map_err(|error| error.to_string())?;
        drop(area);
        Ok(svg)
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

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw(
    area: &Area<'_>,
    title: &str,
    rated: &[(&Standing, Spread)],
) -> Result<(), Box<dyn std::error::Error>> {
    // In the unit of the drawing library, of which a pixel has 1.24.
    let text = |size: u32, at: HPos| {
        ("sans-serif", size).into_font().color(&TEXT).pos(Pos::new(at, VPos::Center))
    };
    area.draw(&Text::new(title.to_owned(), (12, 20), text(19, HPos::Left)))?;
    let greatest = rated.iter().map(|(_, rate)| rate.greatest).fold(1.0, f64::max);
    let x = |rate: f64| {
        BARS.start + (f64::from(BARS.end - BARS.start) * rate / greatest).round() as i32
    };
    let (bar, end) = HALVES;
    for (y, (standing, rate)) in (TITLE as i32 + ROW as i32 / 2..).step_by(ROW as usize).zip(rated)
    {
        let colour = match standing.name.as_str() {
            "counterfoil" => OURS,
            "floor" => FLOOR,
            _ => OTHERS,
        };
        area.draw(&Text::new(name(standing), (BARS.start - 10, y), text(17, HPos::Right)))?;
        area.draw(&Rectangle::new(
            [(BARS.start, y - bar), (x(rate.median), y + bar)],
            colour.filled(),
        ))?;
        for line in [
            [(x(rate.least), y), (x(rate.greatest), y)],
            [(x(rate.least), y - end), (x(rate.least), y + end)],
            [(x(rate.greatest), y - end), (x(rate.greatest), y + end)],
        ] {
            area.draw(&PathElement::new(line, WHISKER.stroke_width(2)))?;
        }
        let share = standing.of_floor.map_or_else(String::new, |share| {
            format!(" ({:.0}% of the floor)", share.median * 100.0)
        });
        let figure = format!("{}{share}", grouped(rate.median));
        area.draw(&Text::new(figure, (x(rate.greatest) + 10, y), text(17, HPos::Left)))?;
    }
    area.present()?;
    Ok(())
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
        let svg = sample::report().plot().unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
        for text in [
            "floor, 1,000,000 grants",
            "counterfoil, 1,000,000 grants",
            "15,000 (90% of the floor)",
            "&lt;peer&gt; &amp; more",
        ] {
            assert!(svg.contains(text), "no {text} in {svg}");
        }
        assert!(svg.contains("Refreshes a second, ES256: median of 3 rounds"), "{svg}");
        // A bar is as long as its rate, and a whisker goes from its least to its greatest round.
        let widths: Vec<f64> = svg
            .lines()
            .filter(|line| line.starts_with("<rect"))
            .map(|line| attribute(line, "width"))
            .collect();
        let share: Vec<f64> =
            widths.iter().map(|width| (width / widths[0] * 100.0).round()).collect();
        assert_eq!(share, [100.0, 75.0, 10.0], "{svg}");
        assert_eq!(svg.matches("<polyline").count(), 9, "{svg}");
    }

    fn attribute(line: &str, name: &str) -> f64 {
        let (_, value) = line.split_once(&format!(" {name}=\"")).unwrap();
        value.split('"').next().unwrap().parse().unwrap()
    }
}
