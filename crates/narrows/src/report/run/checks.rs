//! What is checked against what must hold, and how well classes are told.

use crate::evaluate::{Certificate, Classification, Pythagoras};
use crate::report::chart::{Axis, Chart, Guide, Series, Style};
use crate::report::page::{Block, Cell, Matrix, Section};
use crate::report::text::{Html, count, number, percent};

/// Angles below this, in radians, count as none: the learned space is that of PCA.
const NO_ANGLE: f64 = 1e-3;

pub(super) fn certificate(certificate: &Certificate) -> Section {
    let largest = certificate.principal_angles.iter().copied().fold(f64::NAN, f64::max);
    let verdict = if largest < NO_ANGLE {
        "Every angle is below 10⁻³ rad: training found the space of PCA."
    } else {
        "At least one angle is above 10⁻³ rad: training has not (yet) found the space of PCA."
    };
    let angles = Series::numbered("angle", Style::Bars, 0, &certificate.principal_angles);
    let chart = Chart {
        x: Axis::whole("principal angle"),
        y: Axis::logarithmic("radians"),
        series: vec![angles],
        guides: vec![Guide::Horizontal(NO_ANGLE, "10⁻³ rad".into())],
        square: false,
    };
    Section {
        heading: "Certificate".into(),
        text: vec![
            "The least squared error of any linear model of this width is known: it is PCA's. \
             The bars are the angles between the learned space and PCA's."
                .into(),
            verdict.into(),
        ],
        blocks: vec![
            Block::Figure(chart.render(), String::new()),
            Block::Formula(format!(
                "(loss − optimum) / optimum = {}   (optimum {}, loss {})",
                number(certificate.relative_excess_loss),
                number(certificate.optimum),
                number(certificate.loss)
            )),
        ],
    }
}

/// The colours of what is told right and of what is not.
const RIGHT: usize = 0;
const WRONG: usize = 1;

/// The confusion matrix, with the error of each class at its end.
pub(super) fn confusion(found: &Classification) -> Section {
    let names = found.classes.iter().map(|class| class.name.clone());
    let columns = std::iter::once("is \\ told".to_owned()).chain(names).chain(["error".to_owned()]);
    let rows =
        found.classes.iter().zip(&found.confusion).enumerate().map(|(own, (class, told))| {
            let cells = told.iter().enumerate().map(|(other, &rows)| Cell {
                text: count(rows),
                colour: if other == own { RIGHT } else { WRONG },
                shade: shade(rows as f64 / class.rows.max(1) as f64),
            });
            let error = Cell {
                text: class.error.map_or_else(|| "—".to_owned(), percent),
                colour: WRONG,
                shade: class.error.map_or(0.0, shade),
            };
            (class.name.clone(), cells.chain([error]).collect())
        });
    let matrix = Matrix { columns: columns.collect(), rows: rows.collect() };
    Section {
        heading: "Confusion".into(),
        text: vec![
            "Rows of each class by the class they are taken for: on the diagonal, blue, they are told \
             right; orange are mistakes. The stronger the colour, the larger the share of the class. \
             At the end the share of the class that is told wrong."
                .into(),
        ],
        blocks: vec![Block::Matrix(matrix)],
    }
}

/// The square root: one row in a hundred is to be seen beside the rest.
fn shade(share: f64) -> f64 {
    share.sqrt()
}

pub(super) fn pythagoras(parts: &Pythagoras) -> Section {
    let Pythagoras { projected, residual, total, relative_error } = *parts;
    let drawing = if projected >= 0.0 && residual >= 0.0 && (projected + residual).is_normal() {
        let share = projected / (projected + residual);
        let part = |name, x: f64, width: f64, value, class| {
            format!(
                "<g class=\"{class}\"><title>{name}: {value}</title>\
                 <rect x=\"{:.2}%\" width=\"{:.2}%\" height=\"36\"/></g>",
                100.0 * x,
                100.0 * width
            )
        };
        Html(format!(
            "<svg class=\"stack\" role=\"img\" aria-label=\"projected and residual\">{}{}</svg>\
             <div class=\"stack\"><p class=\"c0\">projected {} <small>{}</small></p>\
             <p class=\"c1\">residual {} <small>{}</small></p></div>",
            part("projected", 0.0, share, number(projected), "c0"),
            part("residual", share, 1.0 - share, number(residual), "c1"),
            number(projected),
            percent(share),
            number(residual),
            percent(1.0 - share)
        ))
    } else {
        Html("<p class=\"missing\">The squared lengths are no positive finite numbers.</p>".into())
    };
    Section {
        heading: "Pythagoras".into(),
        text: vec![
            "What is kept and what is lost are at right angles, so their squared lengths add up \
             to that of the centred data. All three are means over the rows: the spectrum divides \
             by one row less."
                .into(),
        ],
        blocks: vec![
            Block::Figure(drawing, String::new()),
            Block::Formula(format!(
                "{} + {} = {}   (relative error {})",
                number(projected),
                number(residual),
                number(total),
                number(relative_error)
            )),
        ],
    }
}
