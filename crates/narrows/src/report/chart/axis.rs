//! Where a value lies between the ends of an axis, and the round numbers marked on it.

use crate::report::text::{decimal, superscript};

/// How values are spread along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Equal steps for equal differences.
    Linear,
    /// Equal steps for equal ratios; only positive values can be drawn.
    Logarithmic,
}

impl Scale {
    fn can_show(self, value: f64) -> bool {
        match self {
            Self::Linear => value.abs() < 1e300,
            Self::Logarithmic => (1e-300..1e300).contains(&value),
        }
    }
}

/// What the numbers on an axis are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any number.
    Number,
    /// Counts: never a mark between two whole numbers.
    Whole,
    /// Shares of one, shown as percentages.
    Share,
}

/// One direction of a chart.
#[derive(Debug, Clone)]
pub struct Axis {
    /// What is measured, with its unit.
    pub label: String,
    /// How values are spread.
    pub scale: Scale,
    /// What the numbers are.
    pub kind: Kind,
    /// Values that are on the axis whatever the data is.
    pub covers: Vec<f64>,
}

impl Axis {
    /// A linear axis of any numbers.
    pub fn linear(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Linear, kind: Kind::Number, covers: Vec::new() }
    }

    /// A logarithmic axis of positive numbers.
    pub fn logarithmic(label: impl Into<String>) -> Self {
        Self { scale: Scale::Logarithmic, ..Self::linear(label) }
    }

    /// A linear axis of counts.
    pub fn whole(label: impl Into<String>) -> Self {
        Self { kind: Kind::Whole, ..Self::linear(label) }
    }

    /// A linear axis of shares from 0 to 100 %.
    pub fn share(label: impl Into<String>) -> Self {
        Self { kind: Kind::Share, covers: vec![0.0, 1.0], ..Self::linear(label) }
    }

    /// Whether a value can be drawn at all.
    pub(super) fn can_show(&self, value: f64) -> bool {
        self.scale.can_show(value)
    }

    /// The axis laid over `values`; `None` where none of them can be drawn.
    pub(super) fn over(&self, values: impl Iterator<Item = f64>) -> Option<Ruler> {
        let shown = |value: &f64| self.can_show(*value);
        let mut values = values.filter(shown).peekable();
        values.peek()?;
        let (low, high) = values
            .chain(self.covers.iter().copied().filter(shown))
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        let ticks = match self.scale {
            Scale::Linear => linear_ticks(low, high, 8.0, self.kind),
            Scale::Logarithmic => {
                // Over less than a factor of five there are hardly any powers of ten to mark.
                let even = linear_ticks(low, high, 4.0, self.kind);
                let few_powers = high < 5.0 * low && even[0] > 0.0;
                if few_powers { even } else { logarithmic_ticks(low, high) }
            }
        };
        Some(Ruler { scale: self.scale, kind: self.kind, ticks })
    }
}

/// An axis with its ends: the first and the last tick.
#[derive(Debug)]
pub(super) struct Ruler {
    scale: Scale,
    kind: Kind,
    ticks: Vec<f64>,
}

impl Ruler {
    /// The place of a value from 0 (low end) to 1 (high end).
    pub(super) fn place(&self, value: f64) -> f64 {
        let along = |value: f64| match self.scale {
            Scale::Linear => value,
            Scale::Logarithmic => value.log10(),
        };
        let (low, high) = (along(self.low()), along(self.ticks[self.ticks.len() - 1]));
        ((along(value) - low) / (high - low)).clamp(0.0, 1.0)
    }

    /// Whether a value can be drawn on this axis.
    pub(super) fn can_place(&self, value: f64) -> bool {
        self.scale.can_show(value)
    }

    pub(super) fn low(&self) -> f64 {
        self.ticks[0]
    }

    /// The marks: value and label.
    pub(super) fn labels(&self) -> impl Iterator<Item = (f64, String)> {
        let factor = if self.kind == Kind::Share { 100.0 } else { 1.0 };
        let unit = if self.kind == Kind::Share { "%" } else { "" };
        let step = (self.ticks[1] - self.ticks[0]) * factor;
        let last = self.ticks.len() - 1;
        let even = (self.ticks[last] - self.ticks[last - 1]) * factor < 1.5 * step;
        self.ticks.iter().map(move |&tick| {
            let shown = tick * factor;
            let label = if even { linear_label(shown, step) } else { logarithmic_label(shown) };
            (tick, label + unit)
        })
    }
}

/// Multiples of 1, 2 or 5 times a power of ten, about `steps` of them or fewer, from
/// just below `low` to just above `high`.
fn linear_ticks(low: f64, high: f64, steps: f64, kind: Kind) -> Vec<f64> {
    // Closer than any label could tell apart.
    let narrow = high - low <= 1e-9 * low.abs().max(high.abs());
    let widen = if narrow { if low == 0.0 { 0.5 } else { low.abs() / 10.0 } } else { 0.0 };
    let (low, high) = (low - widen, high + widen);
    let rough = (high - low) / steps;
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= rough * 0.999);
    let step = factor.unwrap_or(10.0) * power;
    let step = if kind == Kind::Whole { step.max(1.0) } else { step };
    // A quotient within rounding of a whole number is that number: no empty step at the ends.
    let whole = |value: f64, round: fn(f64) -> f64| {
        let quotient = value / step;
        let nearest = quotient.round();
        if (quotient - nearest).abs() < 1e-9 { nearest } else { round(quotient) }
    };
    let (first, last) = (whole(low, f64::floor), whole(high, f64::ceil));
    let last = last.max(first + 1.0);
    (0..=(last - first) as usize).map(|index| (first + index as f64) * step).collect()
}

/// Powers of ten, or 1, 2 and 5 times them over few decades, from just below `low` to just above
/// `high`. Both are positive.
fn logarithmic_ticks(low: f64, high: f64) -> Vec<f64> {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let last = last.max(first + 1);
    let mantissas: &[f64] = if last - first <= 3 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let stride = (last - first + 5) / 6;
    let decades = (first..last + stride).step_by(stride as usize);
    let ticks: Vec<f64> =
        decades.flat_map(|d| mantissas.iter().map(move |m| m * 10f64.powi(d))).collect();
    let begin = ticks.iter().rposition(|&tick| tick <= low).unwrap_or(0);
    let end = ticks.iter().position(|&tick| tick >= high).unwrap_or(ticks.len() - 1);
    let end = end.max(begin + 1).min(ticks.len() - 1);
    ticks[begin.min(end - 1)..=end].to_vec()
}

fn linear_label(value: f64, step: f64) -> String {
    if !(1e-5..1e6).contains(&step) {
        return logarithmic_label(value);
    }
    decimal(value, (-step.log10() - 1e-9).ceil().max(0.0) as usize)
}

fn logarithmic_label(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        return "0".to_owned();
    }
    if (1e-3 * 0.999..1e5).contains(&size) {
        return decimal(value, (-size.log10() - 1e-9).ceil().max(0.0) as usize);
    }
    let digits = format!("{size:.2e}");
    let (mantissa, exponent) = digits.split_once('e').unwrap_or((&digits, "0"));
    let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
    let times = if mantissa == "1" { String::new() } else { format!("{mantissa}×") };
    let sign = if value < 0.0 { "−" } else { "" };
    format!("{sign}{times}10{}", superscript(exponent))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn labels(axis: Axis, values: &[f64]) -> Vec<String> {
        axis.over(values.iter().copied()).unwrap().labels().map(|(_, label)| label).collect()
    }

    /// The value divided by its power of ten, rounded away from the noise of the division.
    fn mantissa(value: f64) -> f64 {
        let mantissa = value / 10f64.powf((value.log10() + 1e-9).floor());
        (mantissa * 1e6).round() / 1e6
    }

    #[test]
    fn labels_are_the_ones_a_person_would_write() {
        assert_eq!(
            labels(Axis::linear(""), &[0.0, 1.0]),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(labels(Axis::whole(""), &[1.0, 3.0]), ["1", "2", "3"]);
        assert_eq!(labels(Axis::share(""), &[0.3]), ["0%", "20%", "40%", "60%", "80%", "100%"]);
        assert_eq!(labels(Axis::linear(""), &[-2e4, 0.0]).first().unwrap(), "−20,000");
        assert_eq!(
            labels(Axis::logarithmic(""), &[2e-7, 3.0]),
            ["10⁻⁷", "10⁻⁵", "0.001", "0.1", "10"]
        );
        assert_eq!(labels(Axis::logarithmic(""), &[3.0, 40.0]), ["2", "5", "10", "20", "50"]);
        assert_eq!(labels(Axis::logarithmic(""), &[1.31, 1.38]).first().unwrap(), "1.30");
    }

    #[test]
    fn what_cannot_be_drawn_has_no_axis() {
        assert!(Axis::linear("").over([f64::NAN, f64::INFINITY].into_iter()).is_none());
        assert!(Axis::logarithmic("").over([0.0, -1.0].into_iter()).is_none());
        assert!(Axis::share("").over(std::iter::empty()).is_none());
    }

    proptest! {
        #[test]
        fn linear_ticks_are_nice_and_cover(
            low in -1e9..1e9f64, exponent in -9..9i32, span in 0.0..10.0f64, whole: bool,
        ) {
            let high = low + span * 10f64.powi(exponent);
            let kind = if whole { Kind::Whole } else { Kind::Number };
            let ticks = linear_ticks(low, high, 8.0, kind);
            let difference = ticks[1] - ticks[0];
            let power = 10f64.powf((difference.log10() + 1e-3).floor());
            let nice = [1.0, 2.0, 5.0].map(|factor| factor * power).into_iter();
            let step = nice.min_by(|a, b| {
                (a - difference).abs().total_cmp(&(b - difference).abs())
            }).unwrap();
            prop_assert!((step - difference).abs() < 1e-3 * step, "{ticks:?}");
            prop_assert!(ticks.iter().all(|t| (t / step - (t / step).round()).abs() < 1e-3));
            let slack = 1e-8 * step + 1e-15 * low.abs();
            prop_assert!(ticks[0] <= low + slack && ticks[ticks.len() - 1] >= high - slack);
            prop_assert!((2..=11).contains(&ticks.len()), "{ticks:?}");
            prop_assert!(!whole || step > 0.999);
        }

        #[test]
        fn every_positive_value_has_a_place_on_a_logarithmic_axis(
            low in -3.0..3.0f64, span in 0.0..2.0f64, share in 0.0..1.0f64, whole: bool,
        ) {
            let kind = if whole { Kind::Whole } else { Kind::Number };
            let axis = Axis { kind, ..Axis::logarithmic("") };
            let value = |share: f64| 10f64.powf(low + share * span);
            let ruler = axis.over([value(0.0), value(1.0)].into_iter()).unwrap();
            let [first, between, last] = [0.0, share, 1.0].map(|share| ruler.place(value(share)));
            prop_assert!(0.0 <= first && first <= between && between <= last && last <= 1.0);
            prop_assert!(span < 1e-3 || first < last);
        }

        #[test]
        fn logarithmic_ticks_are_nice_and_cover(low in -250.0..250.0f64, span in 0.0..40.0f64) {
            let (low, high) = (10f64.powf(low), 10f64.powf(low + span));
            let ticks = logarithmic_ticks(low, high);
            prop_assert!(ticks[0] <= low * (1.0 + 1e-12), "{ticks:?}");
            prop_assert!(ticks[ticks.len() - 1] >= high * (1.0 - 1e-12), "{ticks:?}");
            prop_assert!((2..=11).contains(&ticks.len()), "{ticks:?}");
            prop_assert!(ticks.is_sorted());
            prop_assert!(ticks.iter().all(|&t| [1.0, 2.0, 5.0].contains(&mantissa(t))));
        }
    }
}
