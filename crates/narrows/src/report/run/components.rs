//! What a model is made of.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::RunReport;
use crate::report::chart::colour_class;
use crate::report::page::{Block, Section};
use crate::report::picture::{Tone, album, image};
use crate::report::text::{Html, count, escape, number, percent};

/// How many components are shown.
const MOST_COMPONENTS: usize = 24;
/// How many columns stand for a component of a table.
const TOP_LOADINGS: usize = 8;

/// What a model is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Components {
    /// What the rows are.
    pub kind: ComponentKind,
    /// The first of them.
    pub rows: Vec<Vec<f32>>,
    /// How many there are.
    pub count: usize,
}

/// What the components of a model are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComponentKind {
    /// Principal axes.
    Axes,
    /// Columns of a linear decoder: a reconstruction is their sum too, but in no order.
    Decoder,
    /// Rows of the first layer's weights: what its units respond to.
    Filters,
}

impl ComponentKind {
    fn name(self) -> &'static str {
        match self {
            Self::Axes => "component",
            Self::Decoder => "column of the decoder",
            Self::Filters => "filter",
        }
    }

    fn heading(self) -> &'static str {
        match self {
            Self::Axes | Self::Decoder => "Components",
            Self::Filters => "Filters of the first layer",
        }
    }

    /// How to read them as pictures.
    fn of_pictures(self) -> &'static str {
        match self {
            Self::Axes => {
                "A reconstruction is the mean plus these, each times one number of the code. Red \
                 adds, blue takes away; white leaves as it is."
            }
            Self::Decoder => {
                "The columns of the decoder: a reconstruction is the mean plus these, each times \
                 one number of the code. Red adds, blue takes away. They span a space together; \
                 each alone has no place in an order and no share of the variance."
            }
            Self::Filters => {
                "What each unit of the first layer responds to: the weights that the pixels of a \
                 row are multiplied by before they are summed. Bright pixels under red raise the \
                 sum, under blue they lower it."
            }
        }
    }

    /// How to read them as the strongest columns of each.
    fn of_columns(self) -> &'static str {
        match self {
            Self::Axes => {
                "The columns with the largest loadings in each component: to the right they grow \
                 with the code, to the left they shrink."
            }
            Self::Decoder => {
                "The columns that each number of the code moves most: to the right they grow with \
                 it, to the left they shrink. The numbers are in no order and have no share of \
                 the variance."
            }
            Self::Filters => {
                "The columns with the largest weights into each unit of the first layer: to the \
                 right they raise its sum, to the left they lower it."
            }
        }
    }
}

pub(super) fn components(components: &Components, report: &RunReport) -> Section {
    let Components { kind, ref rows, count: all } = *components;
    let spectrum = report.spectrum.as_ref().filter(|_| kind == ComponentKind::Axes);
    let caption = |place: usize| match spectrum.and_then(|spectrum| spectrum.ratio.get(place)) {
        Some(ratio) => format!("{} · {}", place + 1, percent(*ratio)),
        None => (place + 1).to_string(),
    };
    let most = if report.image.is_some() { MOST_COMPONENTS } else { MOST_COMPONENTS / 2 };
    let shown = rows.iter().take(most).enumerate();
    let (text, mut drawn) = match report.image {
        Some(shape) => {
            let picture = |(place, row): (usize, &Vec<f32>)| {
                let name = format!("{} {}", kind.name(), place + 1);
                (image(row, shape, Tone::around_zero([row]), &name), caption(place))
            };
            (kind.of_pictures(), shown.map(picture).collect::<Vec<_>>())
        }
        None => {
            let table = |(place, row): (usize, &Vec<f32>)| {
                (loadings(row, &report.column_names), caption(place))
            };
            (kind.of_columns(), shown.map(table).collect())
        }
    };
    let note = match all > drawn.len() {
        true => format!("The first {} of {}.", drawn.len(), count(all)),
        false => String::new(),
    };
    if let (Some(shape), Some(mean), true) =
        (report.image, &report.mean, kind != ComponentKind::Filters)
    {
        drawn.insert(0, (image(mean, shape, Tone::of([mean]), "mean"), "mean".into()));
    }
    Section {
        heading: kind.heading().into(),
        text: vec![text.into()],
        blocks: vec![Block::Figure(album(&drawn), note)],
    }
}

/// The strongest loadings of one component as bars to both sides of a middle line.
fn loadings(component: &[f32], names: &[String]) -> Html {
    let strongest = strongest(component, TOP_LOADINGS);
    let limit =
        strongest.first().map_or(0.0, |&column| component[column].abs()).max(f32::MIN_POSITIVE);
    let mut html = String::from("<div class=\"loadings\">");
    for column in strongest {
        let (value, name) = (component[column], escape(&column_name(names, column)));
        let width = 50.0 * value.abs() / limit;
        let (left, colour) = if value < 0.0 { (50.0 - width, 0) } else { (50.0, 1) };
        let _ = write!(
            html,
            "<span>{name}</span><svg class=\"{}\" role=\"img\"><title>{name}: {}</title>\
             <rect x=\"{left:.1}%\" width=\"{width:.1}%\" y=\"3\" height=\"10\"/>\
             <line x1=\"50%\" x2=\"50%\" y1=\"0\" y2=\"16\"/></svg>",
            colour_class(colour),
            number(f64::from(value)),
        );
    }
    Html(html + "</div>")
}

/// The places of the values furthest from zero, the furthest first.
pub(super) fn strongest(values: &[f32], most: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..values.len()).filter(|&p| values[p].is_finite()).collect();
    places.sort_by(|&a, &b| values[b].abs().total_cmp(&values[a].abs()));
    places.truncate(most);
    places
}

pub(super) fn column_name(names: &[String], column: usize) -> String {
    names.get(column).cloned().unwrap_or_else(|| format!("column {}", column + 1))
}
