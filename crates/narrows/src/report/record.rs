//! The records that several pages show, and how they are shown.

use serde::{Deserialize, Serialize};

use super::chart::{Axis, Chart, Guide, Series, Style};
use super::page::{Block, Section, Table};
use super::text::{Html, count, number, percent, plural};

/// A scatter of more points than this is thinned out: they would hide each other and weigh.
const MOST_POINTS: usize = 2400;

/// One figure of merit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Its name in `scores.json`, such as `squared_error_per_row`.
    pub name: String,
    /// The figure.
    pub value: f64,
    /// Its unit; empty for a pure number.
    pub unit: String,
    /// How it is computed.
    pub formula: String,
    /// What it tells, in one sentence.
    pub meaning: String,
}

/// The variance along every principal axis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spectrum {
    /// Variance along each axis, in descending order, in squared units of the data.
    pub explained_variance: Vec<f64>,
    /// The same as shares of the total variance.
    pub ratio: Vec<f64>,
    /// The variance of all columns together.
    pub total_variance: f64,
    /// How many axes were kept.
    pub chosen: usize,
    /// Why that many, in words.
    pub reason: String,
    /// What chance alone would give at each axis (parallel analysis), where it was computed.
    pub null_threshold: Option<Vec<f64>>,
}

/// Rows placed in two dimensions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Codes {
    /// The places.
    pub points: Vec<[f64; 2]>,
    /// The rows of which the points are an even sample.
    pub rows: usize,
    /// The class of each point, an index into `class_names`; empty where there are none.
    pub classes: Vec<usize>,
    /// The names of the classes.
    pub class_names: Vec<String>,
    /// What the two directions are.
    pub axis_names: [String; 2],
}

impl Spectrum {
    /// The share of the variance that the chosen axes keep.
    pub(super) fn share_kept(&self) -> f64 {
        self.ratio.iter().take(self.chosen).sum()
    }

    /// The spectrum of a PCA that keeps `chosen` axes.
    pub(super) fn section(&self) -> Section {
        let kept = format!(
            "{} kept of {}, with {} of the variance.",
            plural(self.chosen, "axis", "axes"),
            count(self.explained_variance.len()),
            percent(self.share_kept())
        );
        let guide = format!("{} kept", count(self.chosen));
        self.section_with("Spectrum", vec![kept, self.reason.clone()], &guide)
    }

    /// The spectrum beside a model that is not PCA.
    pub(super) fn section_beside(&self) -> Section {
        let would = format!(
            "PCA with as many numbers, {}, would keep {} of the variance.",
            count(self.chosen),
            percent(self.share_kept())
        );
        self.section_with("Spectrum of the data", vec![would], &count(self.chosen))
    }

    /// The spectrum beside a code that is as wide as the rows, or has as many numbers as they vary in.
    pub(super) fn section_complete(&self) -> Section {
        let text = format!(
            "The rows vary along {}, and the code has as many numbers or more: PCA would keep \
             everything.",
            plural(self.explained_variance.len(), "axis", "axes")
        );
        let alone = Self { chosen: 0, ..self.clone() };
        alone.section_with("Spectrum of the data", vec![text], "")
    }

    pub(super) fn section_with(&self, heading: &str, text: Vec<String>, guide: &str) -> Section {
        let guide = Guide::Vertical(self.chosen as f64, guide.to_owned());
        let guides = if self.chosen > 0 { vec![guide] } else { Vec::new() };
        Section {
            heading: heading.into(),
            text,
            blocks: vec![Block::Pair(vec![
                (
                    self.scree(guides.clone()),
                    format!(
                        "Variance along each principal axis. The total is {}, squares divided by \
                         the number of rows less one.",
                        number(self.total_variance)
                    ),
                ),
                (self.cumulative(guides), "Share of the variance that the first axes keep.".into()),
            ])],
        }
    }

    /// The head of the spectrum: far enough past the choice to see what was left.
    fn scree(&self, guides: Vec<Guide>) -> Html {
        let shown = (3 * self.chosen).max(24).min(self.explained_variance.len());
        let head = &self.explained_variance[..shown];
        let mut series = vec![Series::numbered("data", Style::Line, 0, head)];
        if let Some(null) = &self.null_threshold {
            let null = &null[..shown.min(null.len())];
            series.push(Series::numbered("chance alone", Style::Dashed, 1, null));
        }
        let y = Axis::logarithmic("variance");
        Chart { x: Axis::whole("component"), y, series, guides, square: false }.render()
    }

    fn cumulative(&self, guides: Vec<Guide>) -> Html {
        let sums = self.ratio.iter().scan(0.0, |sum, ratio| {
            *sum += ratio;
            Some(*sum)
        });
        let sums: Vec<f64> = sums.collect();
        let series = vec![Series::numbered("variance kept", Style::Line, 0, &sums)];
        let (x, y) = (Axis::whole("components"), Axis::share("variance kept"));
        Chart { x, y, series, guides, square: false }.render()
    }
}

impl Codes {
    /// The scatter and the sentence under it.
    pub(super) fn figure(&self) -> (Html, String) {
        let stride = self.points.len().div_ceil(MOST_POINTS).max(1);
        let drawn = self.points.len().div_ceil(stride);
        let mut ranked: Vec<usize> = (0..self.class_names.len()).collect();
        ranked.sort_by_cached_key(|&class| natural_key(&self.class_names[class]));
        let unnamed = ranked.len();
        let mut rank = vec![unnamed; unnamed + 1];
        ranked.iter().enumerate().for_each(|(place, &class)| rank[class] = place);
        let names = ranked.iter().map(|&class| self.class_names[class].as_str()).chain([""]);
        let mut series: Vec<Series> = names
            .enumerate()
            .map(|(rank, name)| Series::new(name, Style::Points, rank, Vec::new()))
            .collect();
        for (place, point) in self.points.iter().enumerate().step_by(stride) {
            let class = self.classes.get(place).map_or(unnamed, |&class| class.min(unnamed));
            series[rank[class]].points.push(*point);
        }
        series.retain(|series| !series.points.is_empty());
        let [x, y] = self.axis_names.each_ref().map(Axis::linear);
        let chart = Chart { x, y, series, guides: Vec::new(), square: true };
        let caption = if drawn < self.rows {
            format!("{} of {} rows, evenly taken.", count(drawn), count(self.rows))
        } else {
            plural(drawn, "row.", "rows.")
        };
        (chart.render(), caption)
    }
}

/// Names as a person sorts them: `s2` before `s10`.
fn natural_key(name: &str) -> String {
    const LONGEST: usize = 24;
    let mut key = String::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let taken = if digits > 0 { digits } else { first.len_utf8() };
        let padding = if digits > 0 { LONGEST.saturating_sub(digits) } else { 0 };
        key += &"0".repeat(padding);
        key += &rest[..taken];
        rest = &rest[taken..];
    }
    key
}

/// The parts that have a record, and the names of those that have none.
pub(super) fn shown_and_missing<const N: usize>(
    parts: [(Option<Section>, &str); N],
) -> (Vec<Section>, Vec<String>) {
    let (mut shown, mut missing) = (Vec::new(), Vec::new());
    for (section, name) in parts {
        match section {
            Some(section) => shown.push(section),
            None => missing.push(name.to_owned()),
        }
    }
    (shown, missing)
}

/// The table of scores, beside those of the baseline where there are any.
pub(super) fn scores(scores: &[Score], baseline: Option<&[Score]>) -> Section {
    let mut columns: Vec<String> = ["score", "#value"].map(String::from).into();
    if baseline.is_some() {
        columns.push("#PCA, same width".into());
    }
    columns.extend(["unit", "formula", "what it tells"].map(String::from));
    let rows = scores.iter().map(|score| {
        let mut cells = vec![score.name.replace('_', " "), number(score.value)];
        if let Some(baseline) = baseline {
            let same = baseline.iter().find(|other| other.name == score.name);
            cells.push(same.map_or_else(|| "—".into(), |other| number(other.value)));
        }
        cells.extend([score.unit.clone(), score.formula.clone(), score.meaning.clone()]);
        cells
    });
    Section {
        heading: "Scores".into(),
        text: vec!["Every figure with the formula that gives it.".into()],
        blocks: vec![Block::Table(Table { columns, rows: rows.collect() })],
    }
}

/// How the page was made: the command and the complete configuration.
pub(super) fn reproduce(command: &str, configuration: &serde_json::Value) -> Section {
    let mut blocks = Vec::new();
    if !command.is_empty() {
        blocks.push(Block::Code(command.to_owned()));
    }
    if !configuration.is_null() {
        let text = format!("{configuration:#}");
        blocks.push(Block::Details("The complete configuration".into(), text));
    }
    let (heading, text) = match command.is_empty() {
        true => ("Configuration", Vec::new()),
        false => {
            ("Make it again", vec!["The same command on the same data gives the same bits.".into()])
        }
    };
    Section { heading: heading.into(), text, blocks }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_as_a_person_does() {
        let mut names = ["s10", "b", "s2", "s1 part 11", "s1", "s1 part 9", "äther", "-1"];
        names.sort_by_cached_key(|name| natural_key(name));
        assert_eq!(names, ["-1", "b", "s1", "s1 part 9", "s1 part 11", "s2", "s10", "äther"]);
    }
}
