//! Features changed on the way: what the model says then.
//!
//! ```text
//! x (d) a row at the tap    z = codes of x    z' = codes as changed    Dⱼ (d) the direction of feature j
//! x' = x + s·Σⱼ (z'ⱼ − zⱼ)·fⱼ·Dⱼ    what the features do not tell of x is kept; s and fⱼ as in [`crate::basis`]
//! x' = rebuilt from z'              with `replace`: it is not
//! KL(p ‖ q) = Σₜ pₜ·(log pₜ − log qₜ)    p, q the next-token distributions without and with the change
//! ```
//!
//! Source: Cunningham et al. 2023, "Sparse Autoencoders Find Highly Interpretable Features in Language
//! Models", section 4, for changes that keep what is not told.

use std::ops::Range;

use narrows::compute::{Entry, Matrix, SparseRows, log_softmax_rows};
use narrows::{Error, Result};

use crate::text::Windows;
use crate::{Basis, Hook, LanguageModel, Pass, Tap};

/// What is done to the code of a feature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// It becomes 0.
    Ablate,
    /// It becomes this value.
    Clamp(f32),
    /// This value is added to it.
    Add(f32),
}

impl Change {
    /// The code after the change.
    pub fn of(self, code: f32) -> f32 {
        match self {
            Self::Ablate => 0.0,
            Self::Clamp(value) => value,
            Self::Add(value) => code + value,
        }
    }
}

/// A feature and what is done to it, as `17=ablate`, `20=clamp:8` and `3=add:4` say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Edit {
    /// The feature, counted from 0.
    pub feature: u32,
    /// What is done to it.
    pub change: Change,
}

impl std::str::FromStr for Edit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::mistake(
                "change a feature",
                "17=ablate, 17=clamp:8 or 17=add:4",
                format!("'{text}'"),
                "give the number of a feature, '=' and what is done to it",
            )
        };
        let (feature, change) = text.split_once('=').ok_or_else(wrong)?;
        let feature = feature.trim().parse().map_err(|_| wrong())?;
        let value = |text: &str| {
            text.parse().ok().filter(|value: &f32| value.is_finite()).ok_or_else(wrong)
        };
        let change = match change.split_once(':') {
            None if change == "ablate" => Change::Ablate,
            Some(("clamp", to)) => Change::Clamp(value(to)?),
            Some(("add", more)) => Change::Add(value(more)?),
            _ => return Err(wrong()),
        };
        Ok(Self { feature, change })
    }
}

/// The rows of a sequence that are changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Places {
    /// Every one.
    All,
    /// The last one.
    Last,
    /// Those from a place up to, without it, another.
    Within(Range<usize>),
}

/// A hook that changes features at a tap, in a pass of one sequence.
#[derive(Debug)]
pub struct Steering<'a> {
    basis: &'a Basis,
    tap: Tap,
    edits: Vec<Edit>,
    /// Which rows are changed.
    pub places: Places,
    /// Whether the first row is that of the token that begins a text, and left as it is.
    pub begin: bool,
    /// Whether rows are put in as the features tell them.
    pub replace: bool,
}

impl<'a> Steering<'a> {
    /// Changes features of `basis` at `tap`, in every row.
    ///
    /// # Errors
    /// If the basis is for rows of another width, has no such feature, or a feature is named twice.
    pub fn new(
        model: &LanguageModel,
        basis: &'a Basis,
        tap: Tap,
        edits: Vec<Edit>,
    ) -> Result<Self> {
        basis.check(tap.width(&model.architecture))?;
        for (index, edit) in edits.iter().enumerate() {
            if edit.feature as usize >= basis.features() {
                return Err(Error::mistake(
                    "change a feature",
                    format!("a feature below {}, as '{}' has them", basis.features(), basis.name),
                    edit.feature.to_string(),
                    "give another feature",
                ));
            }
            if edits[..index].iter().any(|other| other.feature == edit.feature) {
                return Err(Error::mistake(
                    "change a feature",
                    "each feature once",
                    format!("feature {} twice", edit.feature),
                    "say once what is done to it",
                ));
            }
        }
        Ok(Self { basis, tap, edits, places: Places::All, begin: false, replace: false })
    }

    fn changes(&self, place: usize, length: usize) -> bool {
        let inside = match &self.places {
            Places::All => true,
            Places::Last => place + 1 == length,
            Places::Within(range) => range.contains(&place),
        };
        inside && !(self.begin && place == 0)
    }

    /// The codes of a row after the changes, and what was added to those that were changed.
    fn changed(&self, indices: &[u32], values: &[f32]) -> [Vec<Entry>; 2] {
        let mut codes: Vec<(u32, f32)> =
            indices.iter().copied().zip(values.iter().copied()).collect();
        let mut added = Vec::new();
        for edit in &self.edits {
            let at = codes.iter().position(|(feature, _)| *feature == edit.feature);
            let before = at.map_or(0.0, |at| codes[at].1);
            let after = edit.change.of(before);
            if after != before {
                added.push((edit.feature, after - before));
            }
            match at {
                Some(at) => codes[at].1 = after,
                None => codes.push((edit.feature, after)),
            }
        }
        codes.retain(|(_, code)| *code != 0.0);
        codes.sort_unstable_by_key(|(feature, _)| *feature);
        [codes, added]
    }
}

impl Hook for Steering<'_> {
    fn wants(&self, tap: Tap) -> bool {
        self.tap == tap && (self.replace || !self.edits.is_empty())
    }

    fn at(&mut self, _tap: Tap, rows: &mut Matrix) -> Result<()> {
        let (length, width) = (rows.rows(), rows.cols());
        let codes = self.basis.encode(rows)?;
        let mut after = SparseRows::new(codes.cols());
        let mut added = Vec::with_capacity(length);
        for place in 0..length {
            let (indices, values) = codes.row(place);
            let [changed, more] = self.changed(indices, values);
            after.push_row(changed);
            added.push(more);
        }
        let rebuilt = if self.replace { Some(self.basis.rebuild(&after, rows)?) } else { None };
        let stretches = self.basis.stretches(rows);
        let places = rows.as_mut_slice().chunks_mut(width).enumerate();
        for (place, row) in places.filter(|(place, _)| self.changes(*place, length)) {
            if let Some(rebuilt) = &rebuilt {
                row.copy_from_slice(rebuilt.row(place));
                continue;
            }
            for &(feature, more) in &added[place] {
                self.basis.add(row, feature as usize, more * stretches[place]);
            }
        }
        Ok(())
    }
}

/// The logarithms of the probabilities of the token after `tokens`, with `hook` on the way.
///
/// # Errors
/// If the tokens do not fit the model, and those of `hook`.
pub fn next_token(model: &LanguageModel, tokens: &[u32], hook: &mut dyn Hook) -> Result<Vec<f32>> {
    model.check_length(tokens.len())?;
    model.check_tokens(tokens)?;
    let mut pass = Pass::default();
    model.run(&Windows::new(tokens.to_vec(), tokens.len()), &mut pass, hook)?;
    let mut logits = model.next_logits(&pass, &[tokens.len() - 1]);
    log_softmax_rows(&mut logits);
    Ok(logits.row(0).to_vec())
}

/// KL(p ‖ q) of two distributions told by their logarithms, in nats.
pub fn divergence(log_p: &[f32], log_q: &[f32]) -> f64 {
    let terms = log_p.iter().zip(log_q).map(|(&p, &q)| (f64::from(p), f64::from(q)));
    terms.filter(|(p, _)| *p > f64::NEG_INFINITY).map(|(p, q)| p.exp() * (p - q)).sum()
}
