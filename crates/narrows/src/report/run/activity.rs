//! How often the units of a code are on.

use crate::evaluate::{Activity, Rate};
use crate::report::chart::{Axis, Chart, Guide, Kind, Series, Style};
use crate::report::page::{Block, Section};
use crate::report::text::{count, number, percent, plural};

/// Bars of the histogram.
const BARS: usize = 25;

pub(super) fn activity(found: &Activity) -> Section {
    let units = found.rates.len();
    let on = match found.rate {
        Rate::Positive => "A unit is on where its activation is above zero",
        Rate::Kept => "A unit is on where it is kept",
        Rate::Mean => "The activation of a unit is a share; its mean over the rows is shown",
    };
    let dead = match found.rate {
        Rate::Positive | Rate::Kept => "dead (never on)",
        Rate::Mean => "dead (its activation moves by less than 0.01)",
    };
    let dense = match found.rate {
        Rate::Positive | Rate::Kept => "dense (on in more than half of the rows)",
        Rate::Mean => "dense (a mean above 0.5)",
    };
    let sum: f64 = found.rates.iter().sum();
    let each = match found.rate {
        Rate::Mean => format!("The mean of all units is {}.", number(sum / units.max(1) as f64)),
        _ => format!("A row turns {} of {} units on, on average.", number(sum), count(units)),
    };
    let mut text = vec![
        format!("{on}. Measured on {}.", plural(found.rows, "row", "rows")),
        format!(
            "{each} Of {} units: {dead} {}, {dense} {}.",
            count(units),
            count(found.dead),
            count(found.dense)
        ),
    ];
    let guides = found.target.map(|target| {
        text.push(format!("The KL penalty asks for a mean of {} each.", number(target)));
        Guide::Vertical(target, format!("wanted: {}", percent(target)))
    });
    let chart = Chart {
        x: Axis { covers: vec![0.0], ..Axis::share(name(found.rate)) },
        y: Axis { kind: Kind::Whole, covers: vec![0.0], ..Axis::linear("units") },
        series: vec![Series::new("units", Style::Bars, 0, bars(found))],
        guides: guides.into_iter().collect(),
        square: false,
    };
    Section {
        heading: "Units of the code".into(),
        text,
        blocks: vec![Block::Figure(chart.render(), String::new())],
    }
}

fn name(rate: Rate) -> &'static str {
    match rate {
        Rate::Positive | Rate::Kept => "rows in which a unit is on",
        Rate::Mean => "mean activation of a unit",
    }
}

/// How many units have a rate in each of so many equal parts from 0 to a round number above all.
fn bars(found: &Activity) -> Vec<[f64; 2]> {
    let finite = || found.rates.iter().filter(|rate| rate.is_finite());
    let most = finite().fold(found.target.unwrap_or(0.0), |most, &rate| most.max(rate));
    let step = ((20.0 * most).ceil() / 20.0).clamp(0.05, 1.0) / BARS as f64;
    let mut counts = [0_u32; BARS];
    finite().for_each(|rate| counts[((rate / step) as usize).min(BARS - 1)] += 1);
    let middle = |(place, &units): (usize, &u32)| [(place as f64 + 0.5) * step, f64::from(units)];
    if finite().next().is_none() {
        return Vec::new();
    }
    counts.iter().enumerate().map(middle).collect()
}
