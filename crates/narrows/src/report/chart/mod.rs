//! Charts as SVG that fit any width: places are percentages of the plot, sizes of text and
//! markers are pixels, so that a chart is as readable on a phone as on a desk or on paper.

mod axis;
mod draw;

pub use axis::{Axis, Kind, Scale};
pub(super) use draw::{MARKERS, colour_class};

use super::text::{Html, escape, plural};
use axis::Ruler;

/// Two axes and what is drawn between them.
#[derive(Debug, Clone)]
pub struct Chart {
    /// From left to right.
    pub x: Axis,
    /// From bottom to top.
    pub y: Axis,
    /// The data, the first lowest.
    pub series: Vec<Series>,
    /// Lines that mark a value.
    pub guides: Vec<Guide>,
    /// As high as it is wide.
    pub square: bool,
}

/// How the points of a series are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Joined by a line.
    Line,
    /// Joined by a dashed line without markers.
    Dashed,
    /// A bar from the foot of the plot to each point.
    Bars,
    /// Each by itself, those of all such series in turns, the name of the series in their middle.
    Points,
}

/// Points that belong together.
#[derive(Debug, Clone)]
pub struct Series {
    /// Its name in the legend; a series without a name is not in it.
    pub name: String,
    /// How it is drawn.
    pub style: Style,
    /// Which of the colours and marker shapes; every number has its own pair up to 64.
    pub colour: usize,
    /// The points. A point that is not a number breaks a line.
    pub points: Vec<[f64; 2]>,
    /// Half the height of the shaded band at every point; empty for no band.
    pub spread: Vec<f64>,
}

impl Series {
    /// A series without a band.
    pub fn new(
        name: impl Into<String>,
        style: Style,
        colour: usize,
        points: Vec<[f64; 2]>,
    ) -> Self {
        Self { name: name.into(), style, colour, points, spread: Vec::new() }
    }

    /// The values at 1, 2, 3, …
    pub(super) fn numbered(name: &str, style: Style, colour: usize, values: &[f64]) -> Self {
        let points = values.iter().enumerate().map(|(place, &y)| [(place + 1) as f64, y]);
        Self::new(name, style, colour, points.collect())
    }

    /// How far apart bars stand: the least step from one to the next, 1 for a single one.
    fn spacing(&self) -> f64 {
        let steps = self.points.windows(2).map(|pair| pair[1][0] - pair[0][0]);
        let least = steps.filter(|step| *step > 0.0).fold(f64::INFINITY, f64::min);
        if least.is_finite() { least } else { 1.0 }
    }
}

/// A line across the plot that marks a value.
#[derive(Debug, Clone)]
pub enum Guide {
    /// From foot to top, at a value of x.
    Vertical(f64, String),
    /// From left to right, at a value of y.
    Horizontal(f64, String),
}

/// The axes laid over the data.
struct Frame {
    x: Ruler,
    y: Ruler,
}

impl Chart {
    /// The chart as markup; where there is nothing to draw, a sentence that says so.
    pub fn render(&self) -> Html {
        let count = |shown: bool| {
            let points = self.series.iter().flat_map(|series| &series.points);
            points.filter(|point| self.can_show(point) == shown).count()
        };
        let (shown, left_out) = (count(true), count(false));
        match self.frame() {
            Some(frame) if shown > 0 => draw::chart(self, &frame, &self.note(left_out)),
            _ => Html(format!("<p class=\"missing\">Nothing to draw. {}</p>", self.note(left_out))),
        }
    }

    fn can_show(&self, &[x, y]: &[f64; 2]) -> bool {
        self.x.can_show(x) && self.y.can_show(y)
    }

    fn frame(&self) -> Option<Frame> {
        let (mut across, mut up) = (Vec::new(), Vec::new());
        for series in &self.series {
            let margin = if series.style == Style::Bars { 0.5 * series.spacing() } else { 0.0 };
            for (place, point) in series.points.iter().enumerate().filter(|(_, p)| self.can_show(p))
            {
                let spread = series.spread.get(place).copied().unwrap_or(0.0);
                // A share near 100 % with its deviation asks for no axis beyond 100 %.
                let spread = if self.y.kind == Kind::Share { 0.0 } else { spread };
                across.extend([point[0] - margin, point[0] + margin]);
                up.extend([point[1], point[1] - spread, point[1] + spread]);
            }
            if series.style == Style::Bars && self.y.scale == Scale::Linear {
                up.push(0.0);
            }
        }
        for guide in &self.guides {
            match guide {
                Guide::Vertical(at, _) => across.push(*at),
                Guide::Horizontal(at, _) => up.push(*at),
            }
        }
        Some(Frame { x: self.x.over(across.into_iter())?, y: self.y.over(up.into_iter())? })
    }

    /// What is not drawn, and why.
    fn note(&self, left_out: usize) -> String {
        let logarithmic = [&self.x, &self.y].map(|axis| axis.scale).contains(&Scale::Logarithmic);
        let why = if logarithmic {
            "not a positive finite number, and the axis is logarithmic"
        } else {
            "not a finite number"
        };
        match left_out {
            0 if self.series.iter().all(|series| series.points.is_empty()) => {
                format!("There are no values of {}.", escape(&self.y.label))
            }
            0 => String::new(),
            _ => {
                format!("{}: {why}.", plural(left_out, "value is left out", "values are left out"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::draw::{COLOURS, marker};
    use super::*;
    use crate::report::page::tests::assert_balanced;
    use proptest::prelude::*;

    /// Where the names at the ends of lines stand, from the top down.
    fn heights_of_names(svg: &str) -> Vec<f64> {
        let names = svg.split("<g class=\"direct\">").nth(1).unwrap().split("</g>").next().unwrap();
        let parts = names.split(" y=\"").skip(1);
        parts.map(|part| part.split('"').next().unwrap().parse().unwrap()).collect()
    }

    #[test]
    fn names_at_ends_stand_apart_and_above_the_axis() {
        let end =
            |name: &str, y: f64| Series::new(name, Style::Line, 0, vec![[0.0, 0.5], [1.0, y]]);
        let chart = Chart {
            x: Axis::linear("x"),
            y: Axis::share("share"),
            series: vec![end("a", 0.0), end("b", 0.0), end("c", 0.01), end("d", 0.9)],
            guides: Vec::new(),
            square: false,
        };
        let svg = chart.render().to_string();
        let heights = heights_of_names(&svg);
        assert_eq!(heights.len(), 4);
        // Of 280 pixels, with half of a line below the middle of a name.
        assert!(heights.iter().all(|height| (0.0..=272.6).contains(height)), "{heights:?}");
        assert!(heights.windows(2).all(|two| two[1] - two[0] > 14.9), "{heights:?}");
        // The name that has room stands at its line.
        assert!((heights[0] - 28.0).abs() < 0.1, "{heights:?}");
    }

    fn chart(style: Style, y: Axis, points: Vec<[f64; 2]>) -> Chart {
        let spread = vec![0.1; points.len()];
        let series = Series { spread, ..Series::new("<one>", style, 3, points) };
        let guides =
            vec![Guide::Vertical(1.0, "<k>".into()), Guide::Horizontal(1.0, "<null>".into())];
        let second = Series::new("two", Style::Line, 1, vec![[0.0, 1.0], [1.0, 2.0]]);
        let x = Axis::linear("<x>");
        Chart { x, y, series: vec![series, second], guides, square: false }
    }

    #[test]
    fn text_is_escaped_wherever_it_stands() {
        for style in [Style::Line, Style::Dashed, Style::Bars, Style::Points] {
            let html = chart(style, Axis::linear("<y>"), vec![[0.0, 1.0], [2.0, 3.0]]).render().0;
            for name in ["one", "k", "null", "x", "y"] {
                assert!(html.contains(&format!("&lt;{name}&gt;")), "{name} in {style:?}");
                assert!(!html.contains(&format!("<{name}>")), "{name} in {style:?}");
            }
        }
    }

    #[test]
    fn a_logarithmic_axis_leaves_out_what_it_cannot_show_and_says_so() {
        let points = vec![[0.0, 0.1], [1.0, 0.0], [2.0, -3.0], [3.0, 1.0]];
        let html = chart(Style::Line, Axis::logarithmic("loss"), points).render().0;
        assert!(html.contains("2 values are left out: not a positive finite number"), "{html}");
    }

    #[test]
    fn a_chart_of_nothing_is_a_sentence() {
        let empty = Chart {
            x: Axis::linear("x"),
            y: Axis::linear("loss"),
            series: vec![],
            guides: vec![Guide::Vertical(3.0, "chosen".into())],
            square: true,
        };
        assert_eq!(
            empty.render().0,
            "<p class=\"missing\">Nothing to draw. There are no values of loss.</p>"
        );
        let html = chart(Style::Bars, Axis::linear("y"), vec![[f64::NAN, 1.0]]);
        assert!(
            Chart { series: html.series[..1].to_vec(), ..html }
                .render()
                .0
                .contains("1 value is left out")
        );
    }

    #[test]
    fn a_band_around_a_share_stays_within_the_axis() {
        let mut chart = chart(Style::Line, Axis::share("rate"), vec![[1.0, 0.98], [2.0, 0.99]]);
        chart.series.truncate(1);
        chart.guides.clear();
        let html = chart.render().0;
        assert!(html.contains(">100%<") && !html.contains(">120%<"), "{html}");
        // Both upper corners of the band lie on the top edge.
        assert!(html.contains("class=\"band c3\" d=\"M0.0 0.0L1000.0 0.0L"), "{html}");
    }

    #[test]
    fn every_class_up_to_64_has_its_own_colour_and_shape() {
        let mut pairs: Vec<_> = (0..64).map(|c| (colour_class(c), marker(c))).collect();
        pairs.sort_unstable();
        pairs.dedup();
        assert_eq!(pairs.len(), 64);
        let styles = include_str!("../style.css");
        for mode in styles.split("color-scheme").filter(|part| part.contains("--c0:")) {
            let colours: Vec<[f64; 3]> = (0..COLOURS).map(|c| lab(mode, c)).collect();
            for (place, a) in colours.iter().enumerate() {
                for b in &colours[..place] {
                    let apart = (0..3).map(|k| (a[k] - b[k]).powi(2)).sum::<f64>().sqrt();
                    assert!(apart > 30.0, "colours {a:?} and {b:?}");
                }
            }
        }
        assert!((0..64).all(|class| MARKERS.contains(&format!("id=\"{}\"", marker(class)))));
    }

    /// A colour of the style sheet in CIE L*a*b*, where distances are what an eye sees.
    fn lab(styles: &str, index: usize) -> [f64; 3] {
        let (_, after) = styles.split_once(&format!("--c{index}: #")).expect("a colour");
        let linear = [0, 2, 4].map(|at| {
            let byte = u8::from_str_radix(&after[at..at + 2], 16).expect("two hex digits");
            let share = f64::from(byte) / 255.0;
            if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
        });
        let mix = |w: [f64; 3], white: f64| {
            let t = w.iter().zip(linear).map(|(w, c)| w * c).sum::<f64>() / white;
            if t > 0.008_856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 }
        };
        let x = mix([0.4124, 0.3576, 0.1805], 0.950_47);
        let y = mix([0.2126, 0.7152, 0.0722], 1.0);
        let z = mix([0.0193, 0.1192, 0.9505], 1.088_83);
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    fn clouds<const N: usize>(clouds: [(&str, Vec<[f64; 2]>); N]) -> String {
        let cloud = |(colour, (name, points))| Series::new(name, Style::Points, colour, points);
        let series = clouds.into_iter().enumerate().map(cloud).collect();
        let (x, y) = (Axis::linear("x"), Axis::linear("y"));
        Chart { x, y, series, guides: vec![], square: true }.render().0
    }

    #[test]
    fn no_cloud_is_drawn_over_another() {
        let points = |count: u32| (0..count).map(|k| [f64::from(k), 0.0]).collect();
        let html = clouds([("a", points(40)), ("b", points(20)), ("c", points(20))]);
        let (_, drawn) = html.split_once("<g class=\"points\">").unwrap();
        let (drawn, _) = drawn.split_once("</g>").unwrap();
        let order: Vec<&str> =
            drawn.split("class=\"").skip(1).map(|point| point.split_once('"').unwrap().0).collect();
        assert_eq!(order.len(), 80);
        // Every eight in a row are of each class what its share of all is.
        for eight in order.chunks(8) {
            let of = |class| eight.iter().filter(|&&other| other == class).count();
            assert_eq!(["c0", "c1", "c2"].map(of), [4, 2, 2], "{eight:?}");
        }
        assert!(drawn.contains("><title>b</title></use>"));
    }

    /// Such as the numbers that a regressor learned from.
    #[test]
    fn more_clouds_than_can_be_told_apart_are_not_named() {
        let html = clouds([(); 65].map(|()| ("name", vec![[0.0, 1.0]])));
        assert_eq!(html.matches("<use ").count(), 65);
        assert!(!html.contains("<ul") && !html.contains(">name</text>"));
        assert!(clouds([(); 64].map(|()| ("name", vec![[0.0, 1.0]]))).contains("<ul"));
    }

    #[test]
    fn names_of_clouds_at_one_place_stand_apart_and_in_the_legend() {
        let points = || (0..9).map(|k| [f64::from(k), f64::from(k)]).collect();
        let html = clouds([("zero", points()), ("one", points()), ("two", points())]);
        let (legend, plot) = html.split_once("</ul>").unwrap();
        assert!(legend.starts_with("<ul class=\"legend\">") && legend.contains("</svg>zero</li>"));
        let (_, names) = plot.split_once("class=\"centroids\"").unwrap();
        let number = |text: &str, key: &str| -> f64 {
            let (_, after) = text.split_once(key).unwrap();
            after.split_once('%').unwrap().0.parse().unwrap()
        };
        let places: Vec<[f64; 2]> = names
            .split("<text")
            .skip(1)
            .map(|name| [number(name, "x=\""), number(name, "y=\"")])
            .collect();
        assert_eq!(places.len(), 3);
        for (place, a) in places.iter().enumerate() {
            for b in &places[..place] {
                // Three letters of 11 pixels across or a line of as many, in a plot of 320 pixels.
                let apart = (a[0] - b[0]).abs() >= 6.0 || (a[1] - b[1]).abs() >= 3.4;
                assert!(apart, "{places:?}");
            }
            assert!((a[0] - 50.0).abs() < 15.0 && (a[1] - 50.0).abs() < 15.0, "{places:?}");
        }
    }

    proptest! {
        #[test]
        fn any_numbers_give_whole_markup_with_finite_places(
            numbers in prop::collection::vec([any::<f64>(), any::<f64>()], 0..12),
            log: bool,
            style in prop::sample::select(vec![Style::Line, Style::Bars, Style::Points]),
        ) {
            let y = if log { Axis::logarithmic("y") } else { Axis::linear("y") };
            let html = chart(style, y, numbers).render().0;
            assert_balanced(&html);
            prop_assert!(!html.contains("NaN") && !html.contains("inf"), "{}", html);
        }
    }
}
