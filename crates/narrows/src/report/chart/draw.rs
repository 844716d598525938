//! The pieces of a chart as markup.

use std::fmt::Write;

use super::{Chart, Frame, Guide, Series, Style};
use crate::report::text::{Html, escape, number};

/// The height of a plot that is not square, in pixels.
const HEIGHT: f64 = 280.0;
/// A line of more points than this is drawn without a marker at each.
const MARKED: usize = 40;
/// About as wide as a digit of the labels, in pixels.
const DIGIT: usize = 7;

/// The marker shapes, once for the whole page.
pub(in crate::report) const MARKERS: &str = concat!(
    "<svg class=\"markers\" width=\"0\" height=\"0\" aria-hidden=\"true\"><defs>",
    "<circle id=\"m0\" r=\"3.8\"/>",
    "<path id=\"m1\" d=\"M0-4.8 4.4 3.4H-4.4Z\"/>",
    "<path id=\"m2\" d=\"M-3.4-3.4H3.4V3.4H-3.4Z\"/>",
    "<path id=\"m3\" d=\"M0-4.9 4.9 0 0 4.9-4.9 0Z\"/>",
    "<path id=\"m4\" d=\"M0 4.8 4.4-3.4H-4.4Z\"/>",
    "<path id=\"m5\" d=\"M-1.4-4.6H1.4V-1.4H4.6V1.4H1.4V4.6H-1.4V1.4H-4.6V-1.4H-1.4Z\"/>",
    "<path id=\"m6\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"2\" ",
    "d=\"M-3.3-3.3 3.3 3.3M-3.3 3.3 3.3-3.3\"/>",
    "<circle id=\"m7\" r=\"3.4\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.8\"/>",
    "</defs></svg>"
);

/// Pairs of a colour and a marker: what is named must be told from the rest.
const LOOKS: usize = 64;

/// Colours of the style sheet.
pub(in crate::report) const COLOURS: usize = 10;

/// The colour of class or series number `index`, as a class of the style sheet.
pub(in crate::report) fn colour_class(index: usize) -> String {
    format!("c{}", index % COLOURS)
}

/// The marker shape of class or series number `index`: another one for the same colour.
pub(in crate::report) fn marker(index: usize) -> String {
    format!("m{}", (index + index / COLOURS) % 8)
}

pub(super) fn chart(chart: &Chart, frame: &Frame, note: &str) -> Html {
    let direct = labelled_directly(chart);
    let right = direct.iter().map(|s| s.name.chars().count() * DIGIT + 22).max().unwrap_or(14);
    let left = frame.y.labels().map(|(_, text)| text.chars().count() * DIGIT + 14).max();
    let shape = if chart.square { "plot square" } else { "plot" };
    let (x, y) = (escape(&chart.x.label), escape(&chart.y.label));
    let mut svg = legend(&chart.series, !direct.is_empty());
    let _ = write!(
        svg,
        "<svg class=\"{shape}\" role=\"img\" aria-label=\"{y} by {x}\" \
         style=\"--left:{}px;--right:{right}px\">",
        left.unwrap_or(0),
    );
    svg += &axes(chart, frame);
    svg += "<svg viewBox=\"0 0 1000 1000\" preserveAspectRatio=\"none\" class=\"stretched\">";
    chart.series.iter().for_each(|series| svg += &stretched(chart, series, frame));
    svg += "</svg>";
    chart.series.iter().for_each(|series| svg += &placed(chart, series, frame));
    svg += &mixed(chart, frame);
    chart.guides.iter().for_each(|each| svg += &guide(each, frame));
    svg += &names_at_ends(&direct, chart, frame);
    svg += &names_at_centroids(chart, frame);
    svg += "</svg>";
    if !note.is_empty() {
        let _ = write!(svg, "<p class=\"note\">{note}</p>");
    }
    Html(svg)
}

/// Grid, labels of the ticks and names of the axes.
fn axes(chart: &Chart, frame: &Frame) -> String {
    let mut svg = String::from("<g class=\"axes\">");
    for (value, label) in frame.y.labels() {
        let _ = write!(
            svg,
            "<line x1=\"0\" x2=\"100%\" y1=\"{0}\" y2=\"{0}\"/>\
             <text x=\"-8\" y=\"{0}\" dy=\".34em\" text-anchor=\"end\">{label}</text>",
            frame.up(value)
        );
    }
    let crowded = frame.x.labels().count() > 6;
    for (place, (value, label)) in frame.x.labels().enumerate() {
        let class = if crowded && place % 2 == 1 { " class=\"second\"" } else { "" };
        let _ = write!(
            svg,
            "<text{class} x=\"{0}\" y=\"100%\" dy=\"19\" text-anchor=\"middle\">{label}</text>",
            frame.across(value)
        );
    }
    let _ = write!(
        svg,
        "<text class=\"name\" x=\"100%\" y=\"100%\" dy=\"38\" text-anchor=\"end\">{} →</text>\
         <text class=\"name y\" x=\"0\" y=\"-23\">↑ {}</text></g>",
        escape(&chart.x.label),
        escape(&chart.y.label)
    );
    svg
}

/// Lines and bands: drawn in a square of 1000 that is stretched over the plot.
fn stretched(chart: &Chart, series: &Series, frame: &Frame) -> String {
    let mut svg = String::new();
    let colour = colour_class(series.colour);
    if !series.spread.is_empty() {
        let _ = write!(svg, "<path class=\"band {colour}\" d=\"{}\"/>", band(series, frame, chart));
    }
    if matches!(series.style, Style::Line | Style::Dashed) {
        let dashed = if series.style == Style::Dashed { " dashed" } else { "" };
        let _ = write!(
            svg,
            "<path class=\"line {colour}{dashed}\" d=\"{}\"><title>{}</title></path>",
            path(chart, &series.points, frame),
            escape(&series.name)
        );
    }
    svg
}

fn path(chart: &Chart, points: &[[f64; 2]], frame: &Frame) -> String {
    let mut path = String::new();
    let mut drawn: Option<[f64; 2]> = None;
    for (place, point) in points.iter().enumerate() {
        if !chart.can_show(point) {
            drawn = None;
            continue;
        }
        let [x, y] = frame.thousandths(*point);
        // A step that nobody can see only weighs; the last point is always reached.
        let unseen = |[left, up]: [f64; 2]| (x - left).abs() < 0.5 && (y - up).abs() < 0.5;
        if drawn.is_some_and(unseen) && place + 1 < points.len() {
            continue;
        }
        let _ = write!(path, "{}{x:.1} {y:.1}", if drawn.is_some() { 'L' } else { 'M' });
        drawn = Some([x, y]);
    }
    path
}

fn band(series: &Series, frame: &Frame, chart: &Chart) -> String {
    let edge = |sign: f64| {
        let points = series.points.iter().zip(&series.spread);
        let moved = points.map(move |(&[x, y], spread)| [x, y + sign * spread]);
        // On a logarithmic axis the lower edge may fall off the foot of the plot.
        moved.map(|[x, y]| [x, y.max(frame.y.low())]).filter(|point| chart.can_show(point))
    };
    let outline: Vec<_> = edge(1.0).collect();
    let lower: Vec<_> = edge(-1.0).collect();
    let around: Vec<_> = outline.into_iter().chain(lower.into_iter().rev()).collect();
    path(chart, &around, frame) + "Z"
}

/// Bars and the markers of lines: placed by percentages, never stretched.
fn placed(chart: &Chart, series: &Series, frame: &Frame) -> String {
    let marked = match series.style {
        Style::Line => series.points.len() <= MARKED,
        Style::Dashed | Style::Points => false,
        Style::Bars => true,
    };
    if !marked {
        return String::new();
    }
    let spacing = series.spacing();
    let name = escape(&series.name);
    let mut svg = format!("<g class=\"{}\"><title>{name}</title>", colour_class(series.colour));
    for &[x, y] in series.points.iter().filter(|point| chart.can_show(point)) {
        let tip = || format!("<title>{name} {}: {}</title>", number(x), number(y));
        let _ = match series.style {
            Style::Bars => {
                write!(svg, "<rect {}>{}</rect>", bar(x, y, 0.36 * spacing, frame), tip())
            }
            _ => write!(svg, "<use {}>{}</use>", at(series.colour, x, y, frame), tip()),
        };
    }
    svg + "</g>"
}

/// The points of all clouds in turns, each cloud as evenly over the order as its points go: drawn one
/// after the other, the last would hide the rest.
fn mixed(chart: &Chart, frame: &Frame) -> String {
    let clouds = chart.series.iter().filter(|series| series.style == Style::Points);
    let turn = |series: &Series, place: usize| (place as f64 + 0.5) / series.points.len() as f64;
    let mut points: Vec<(f64, &Series, [f64; 2])> = clouds
        .flat_map(|s| s.points.iter().enumerate().map(move |(place, p)| (turn(s, place), s, *p)))
        .filter(|(_, _, point)| chart.can_show(point))
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut svg = String::from("<g class=\"points\">");
    for (_, series, [x, y]) in points {
        let (colour, place) = (colour_class(series.colour), at(series.colour, x, y, frame));
        let _ = match series.name.as_str() {
            "" => write!(svg, "<use class=\"{colour}\" {place}/>"),
            name => {
                let name = escape(name);
                write!(svg, "<use class=\"{colour}\" {place}><title>{name}</title></use>")
            }
        };
    }
    svg + "</g>"
}

fn at(colour: usize, x: f64, y: f64, frame: &Frame) -> String {
    format!("href=\"#{}\" x=\"{}\" y=\"{}\"", marker(colour), frame.across(x), frame.up(y))
}

/// `reach` is half its width.
fn bar(x: f64, y: f64, reach: f64, frame: &Frame) -> String {
    let (left, right) = (frame.x.place(x - reach), frame.x.place(x + reach));
    let foot = frame.y.place(0.0f64.max(frame.y.low()));
    let (low, high) = (foot.min(frame.y.place(y)), foot.max(frame.y.place(y)));
    format!(
        "x=\"{:.2}%\" y=\"{:.2}%\" width=\"{:.2}%\" height=\"{:.2}%\"",
        100.0 * left,
        100.0 * (1.0 - high),
        100.0 * (right - left),
        100.0 * (high - low)
    )
}

fn guide(guide: &Guide, frame: &Frame) -> String {
    match guide {
        Guide::Vertical(at, label) if frame.x.can_place(*at) => {
            let anchor = match frame.x.place(*at) {
                left if left < 0.15 => "start",
                right if right > 0.85 => "end",
                _ => "middle",
            };
            format!(
                "<g class=\"guide\"><line x1=\"{0}\" x2=\"{0}\" y1=\"0\" y2=\"100%\"/>\
                 <text x=\"{0}\" y=\"-5\" text-anchor=\"{anchor}\">{1}</text></g>",
                frame.across(*at),
                escape(label)
            )
        }
        Guide::Horizontal(at, label) if frame.y.can_place(*at) => format!(
            "<g class=\"guide\"><line x1=\"0\" x2=\"100%\" y1=\"{0}\" y2=\"{0}\"/>\
             <text x=\"100%\" y=\"{0}\" dy=\"-6\" text-anchor=\"end\">{1}</text></g>",
            frame.up(*at),
            escape(label)
        ),
        _ => String::new(),
    }
}

/// The lines whose names stand at their right ends where there is room.
fn labelled_directly(chart: &Chart) -> Vec<&Series> {
    let line = |series: &&Series| matches!(series.style, Style::Line | Style::Dashed);
    let lines = || chart.series.iter().filter(line).filter(|series| !series.name.is_empty());
    let fits = lines().all(|s| s.name.chars().count() <= 22) && (2..=8).contains(&lines().count());
    if fits && !chart.square { lines().collect() } else { Vec::new() }
}

fn names_at_ends(series: &[&Series], chart: &Chart, frame: &Frame) -> String {
    let end = |series: &Series| series.points.iter().copied().rfind(|p| chart.can_show(p));
    let mut ends: Vec<_> = series
        .iter()
        .filter_map(|series| end(series).map(|point| (frame.thousandths(point), *series)))
        .collect();
    ends.sort_by(|a, b| a.0[1].total_cmp(&b.0[1]));
    let heights = apart(ends.iter().map(|([_, y], _)| y / 1000.0 * HEIGHT).collect());
    let mut svg = String::from("<g class=\"direct\">");
    for (([x, _], series), y) in ends.into_iter().zip(heights) {
        let _ = write!(
            svg,
            "<text class=\"{}\" x=\"{:.2}%\" y=\"{y:.1}\" dx=\"9\" dy=\".34em\">{}</text>",
            colour_class(series.colour),
            x / 10.0,
            escape(&series.name)
        );
    }
    svg + "</g>"
}

/// Heights in rising order, moved so that names do not overlap: down, and from the foot of the plot up again, below
/// which stand the labels of the axis.
fn apart(mut heights: Vec<f64>) -> Vec<f64> {
    const LINE: f64 = 15.0;
    let mut free = f64::NEG_INFINITY;
    for height in &mut heights {
        *height = height.max(free);
        free = *height + LINE;
    }
    let mut free = HEIGHT - LINE / 2.0;
    for height in heights.iter_mut().rev() {
        *height = height.min(free);
        free = *height - LINE;
    }
    heights
}

fn names_at_centroids(chart: &Chart, frame: &Frame) -> String {
    let named = |s: &&Series| s.style == Style::Points && !s.name.is_empty();
    let clouds: Vec<&Series> = chart.series.iter().filter(named).collect();
    if clouds.len() > LOOKS {
        return String::new();
    }
    let mut taken = Vec::new();
    let mut svg = String::from("<g class=\"centroids\">");
    for series in clouds {
        let shown = series.points.iter().filter(|point| chart.can_show(point));
        let places: Vec<_> = shown.map(|point| frame.thousandths(*point)).collect();
        if places.is_empty() {
            continue;
        }
        let middle = [0, 1].map(|axis| median(places.iter().map(|place| place[axis]).collect()));
        let [x, y] = beside_others(middle, series.name.chars().count(), &mut taken);
        let _ = write!(
            svg,
            "<text{} x=\"{:.2}%\" y=\"{:.2}%\" dy=\".34em\">{}</text>",
            if is_long(series) { " class=\"long\"" } else { "" },
            x / 10.0,
            y / 10.0,
            escape(&series.name)
        );
    }
    svg + "</g>"
}

/// The one in the middle: a few points far out do not move a name from its cloud.
fn median(mut values: Vec<f64>) -> f64 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}

/// Whether a name is too long to stand in the plot on a narrow screen.
fn is_long(series: &Series) -> bool {
    series.name.chars().count() > 8
}

/// The nearest place where a name of so many letters covers none of those `taken`, all in
/// thousandths of the plot; where there is none within reach, the place itself.
fn beside_others(at: [f64; 2], letters: usize, taken: &mut Vec<[f64; 3]>) -> [f64; 2] {
    // As large as a line and a letter are in the smallest plot, that of a telephone.
    const LINE: f64 = 38.0;
    const LETTER: f64 = 22.0;
    const REACH: i32 = 12;
    let width = LETTER * (letters as f64 + 0.5);
    let free = |&[x, y]: &[f64; 2]| {
        let apart = |[left, height, other]: &[f64; 3]| {
            (x - left).abs() >= (width + other) / 2.0 || (y - height).abs() >= LINE
        };
        (0.0..=1000.0).contains(&x) && (0.0..=1000.0).contains(&y) && taken.iter().all(apart)
    };
    let step = |[across, up]: [i32; 2]| {
        [at[0] + f64::from(across) * LETTER / 2.0, at[1] + f64::from(up) * LINE / 2.0]
    };
    let far = |place: &[f64; 2]| (place[0] - at[0]).hypot(place[1] - at[1]);
    let around = (-REACH..=REACH).flat_map(|up| (-REACH..=REACH).map(move |x| step([x, up])));
    let nearest = around.filter(free).min_by(|a, b| far(a).total_cmp(&far(b)));
    let [x, y] = nearest.unwrap_or(at);
    taken.push([x, y, width]);
    [x, y]
}

/// The names of the series with their colours and markers; `only_narrow` where they stand at the ends
/// of their lines if there is room.
fn legend(series: &[Series], only_narrow: bool) -> String {
    let named: Vec<_> = series.iter().filter(|series| !series.name.is_empty()).collect();
    if !(2..=LOOKS).contains(&named.len()) {
        return String::new();
    }
    let class = if only_narrow { "legend narrow" } else { "legend" };
    let mut html = format!("<ul class=\"{class}\">");
    for series in named {
        let marker = marker(series.colour);
        let swatch = match series.style {
            Style::Line => {
                format!("<path d=\"M0 6H22\"/><use href=\"#{marker}\" x=\"11\" y=\"6\"/>")
            }
            Style::Dashed => "<path d=\"M0 6H22\" stroke-dasharray=\"5 4\"/>".to_owned(),
            Style::Bars => "<rect x=\"6\" width=\"11\" height=\"11\"/>".to_owned(),
            Style::Points => format!("<use href=\"#{marker}\" x=\"11\" y=\"6\"/>"),
        };
        let _ = write!(
            html,
            "<li><svg class=\"{}\" width=\"22\" height=\"12\">{swatch}</svg>{}</li>",
            colour_class(series.colour),
            escape(&series.name)
        );
    }
    html + "</ul>"
}

impl Frame {
    fn across(&self, x: f64) -> String {
        format!("{:.2}%", 100.0 * self.x.place(x))
    }

    fn up(&self, y: f64) -> String {
        format!("{:.2}%", 100.0 * (1.0 - self.y.place(y)))
    }

    fn thousandths(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        [1000.0 * self.x.place(x), 1000.0 * (1.0 - self.y.place(y))]
    }
}
