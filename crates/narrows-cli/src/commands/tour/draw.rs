//! Charts and pictures as the sections need them.

use narrows::compute::Matrix;
use narrows::data::ImageShape;
use narrows::report::Html;
use narrows::report::chart::{Axis, Chart, Guide, Kind, Series, Style};
use narrows::report::picture::{Grid, Tone, image};
use ndarray::ArrayView2;

/// Brightness from 0 to 1.
pub(super) const BRIGHTNESS: Tone = Tone::Between(0.0, 1.0);

/// A named line through points.
pub(super) fn line(
    name: &str,
    colour: usize,
    points: impl IntoIterator<Item = [f64; 2]>,
) -> Series {
    Series::new(name, Style::Line, colour, points.into_iter().collect())
}

/// A chart of lines.
pub(super) fn lines(x: Axis, y: Axis, series: Vec<Series>) -> Html {
    Chart { x, y, series, guides: Vec::new(), square: false }.render()
}

/// A chart with marks.
pub(super) fn marked(x: Axis, y: Axis, series: Vec<Series>, guides: Vec<Guide>) -> Html {
    Chart { x, y, series, guides, square: false }.render()
}

/// Rows by two numbers of their codes `(n, 2 or more)`, coloured by class.
pub(super) fn scatter(
    codes: ArrayView2<'_, f64>,
    classes: &[usize],
    names: &[String],
    axes: [&str; 2],
) -> Html {
    let cloud = |(class, name): (usize, &String)| {
        let own = codes.outer_iter().zip(classes).filter(|(_, of)| **of == class);
        let points = own.map(|(code, _)| [code[0], code[1]]).collect();
        Series::new(name.as_str(), Style::Points, class, points)
    };
    let series = names.iter().enumerate().map(cloud).filter(|series| !series.points.is_empty());
    let [x, y] = axes.map(Axis::linear);
    Chart { x, y, series: series.collect(), guides: Vec::new(), square: true }.render()
}

/// How many values lie in each of `bars` equal parts of a range.
pub(super) fn histogram(values: &[f64], [from, to]: [f64; 2], bars: usize) -> Vec<[f64; 2]> {
    let step = (to - from) / bars as f64;
    let mut counts = vec![0.0; bars];
    for value in values.iter().filter(|value| value.is_finite()) {
        let place = ((value - from) / step).floor().clamp(0.0, (bars - 1) as f64);
        counts[place as usize] += 1.0;
    }
    let middle = |(place, count): (usize, f64)| [from + (place as f64 + 0.5) * step, count];
    counts.into_iter().enumerate().map(middle).collect()
}

/// Bars of a histogram of shares, with a mark where one was asked for.
pub(super) fn shares(values: &[f64], most: f64, label: &str, wanted: Option<f64>) -> Html {
    let guides = wanted.map(|target| Guide::Vertical(target, "wanted".to_owned()));
    marked(
        Axis { covers: vec![0.0, most], ..Axis::share(label) },
        Axis { kind: Kind::Whole, covers: vec![0.0], ..Axis::linear("units") },
        vec![Series::new("units", Style::Bars, 0, histogram(values, [0.0, most], 25))],
        guides.into_iter().collect(),
    )
}

/// A row of pixels, between 0 and 1, as a picture.
pub(super) fn picture(pixels: &[f32], shape: ImageShape, description: &str) -> Html {
    image(pixels, shape, BRIGHTNESS, description)
}

/// A row that adds where it is positive and takes away where it is negative, as a picture.
pub(super) fn filter(values: &[f32], shape: ImageShape, description: &str) -> Html {
    let limit = values.iter().fold(0.0, |limit: f32, value| limit.max(value.abs()));
    image(values, shape, Tone::Diverging(limit), description)
}

/// Some rows of matrices under each other, a name before each line.
pub(super) fn strips(lines: &[(&str, &Matrix)], places: &[usize], shape: ImageShape) -> Html {
    let strip = |(name, rows): &(&str, &Matrix)| {
        let one = |&row: &usize| picture(rows.row(row), shape, &format!("{name} {}", row + 1));
        ((*name).to_owned(), places.iter().map(one).collect())
    };
    Grid { columns: Vec::new(), rows: lines.iter().map(strip).collect() }.render()
}

/// Numbers in f64 of a matrix in f32.
pub(super) fn wide(rows: &Matrix) -> ndarray::Array2<f64> {
    rows.view().mapv(f64::from)
}
