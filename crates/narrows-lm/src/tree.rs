//! Which features at one tap make a feature at a later one.
//!
//! ```text
//! of a feature k at the later tap, contexts: the windows in which it is most active, and where: position p
//! of a feature j at the earlier tap, with what zⱼ adds to x taken away at every position of the window:
//! effect(j → k) = mean over the contexts of  zₖ(p) − zₖ(p) without j
//! ```
//!
//! The token that begins a text is no place of a feature, and nothing is taken away there.
//!
//! Candidates j are the features that are most active at p and the positions before it in these contexts. Asked
//! again of the features that were found, at a tap before theirs, this makes a tree.
//!
//! Source: H. Cunningham et al., Sparse autoencoders find highly interpretable features in language models (2023),
//! section 5, "causal trees".

use std::collections::BTreeMap;

use narrows::compute::{Matrix, SparseRows};
use narrows::{Error, Result};
use serde::Serialize;

use crate::basis::Basis;
use crate::lexical::Mean;
use crate::model::{Hook, LanguageModel, Pass, Tap};
use crate::text::Windows;

/// Windows in which a feature is looked at.
const CONTEXTS: usize = 16;
/// Features of which each is taken away.
const CANDIDATES: usize = 48;
/// Positions before that of the feature whose features are candidates, that one included.
const BEFORE: usize = 8;
/// Features at one place.
pub struct Floor<'a> {
    /// Where.
    pub tap: Tap,
    /// What rows are told in there.
    pub basis: &'a Basis,
}

/// A feature and what makes it.
#[derive(Debug, Clone, Serialize)]
pub struct Node {
    /// The place.
    pub tap: String,
    /// The feature.
    pub feature: usize,
    /// Its mean code in its contexts.
    pub code: f64,
    /// How much of the code of the feature above it makes, with the standard error; `None` at the top.
    pub effect: Option<[f64; 2]>,
    /// The features before it that make most of it.
    pub causes: Vec<Node>,
}

/// A window in which a feature is active.
struct Context {
    tokens: Vec<u32>,
    position: usize,
    code: f32,
}

/// The codes of the rows of a context at the earlier tap, and how far each row is stretched.
struct EarlyCodes {
    codes: SparseRows,
    stretches: Vec<f32>,
}

/// The tree below a feature of the first floor; the floors follow each other from late to early, and of each
/// feature the `most` strongest causes are gone into.
///
/// # Errors
/// If a floor is not before the one above it, the feature is not there, or it is never active in the text.
pub fn causes(
    model: &LanguageModel,
    windows: &Windows,
    floors: &[Floor<'_>],
    feature: usize,
    most: usize,
) -> Result<Node> {
    let [top, below @ ..] = floors else {
        return Err(Error::mistake(
            "find causes",
            "at least one place",
            "none",
            "give runs and taps",
        ));
    };
    for pair in floors.windows(2) {
        if pair[1].tap >= pair[0].tap {
            return Err(Error::mistake(
                "find causes",
                "places from late to early",
                format!("{} after {}", pair[1].tap, pair[0].tap),
                "give the latest first",
            ));
        }
    }
    if feature >= top.basis.features() {
        let count = top.basis.features();
        let expected = format!("a feature from 0 to {}", count - 1);
        let remedy = "give another --feature";
        return Err(Error::mistake("find causes", expected, feature.to_string(), remedy));
    }
    let contexts = contexts(model, windows, top, feature)?;
    if contexts.is_empty() {
        return Err(Error::mistake(
            "find causes",
            "a feature that is active somewhere in the text",
            format!("feature {feature} at {}, which is not", top.tap),
            "give more text or another feature",
        ));
    }
    let code = Mean::of(contexts.iter().map(|own| f64::from(own.code))).mean;
    let mut node =
        Node { tap: top.tap.to_string(), feature, code, effect: None, causes: Vec::new() };
    if let Some(next) = below.first() {
        for (cause, effect) in effects(model, &contexts, top, feature, next)?.into_iter().take(most)
        {
            let mut child = match causes(model, windows, below, cause, most) {
                Ok(child) => child,
                Err(Error::Mistake { .. }) => continue,
                Err(error) => return Err(error),
            };
            child.effect = Some(effect);
            node.causes.push(child);
        }
    }
    Ok(node)
}

/// The code of a feature in a row, 0 where it has none.
fn code_of(codes: &SparseRows, row: usize, feature: usize) -> f32 {
    let (features, values) = codes.row(row);
    features.binary_search(&(feature as u32)).map_or(0.0, |place| values[place])
}

/// The windows in which a feature is most active, one place in each.
fn contexts(
    model: &LanguageModel,
    windows: &Windows,
    floor: &Floor<'_>,
    feature: usize,
) -> Result<Vec<Context>> {
    let (mut found, mut pass): (Vec<Context>, Pass) = (Vec::new(), Pass::default());
    for part in windows.parts() {
        let rows = rows_at(model, &part, floor.tap, &mut pass)?;
        let codes = floor.basis.encode(&rows)?;
        for sequence in 0..part.sequences() {
            let of = |position: usize| code_of(&codes, sequence * part.length + position, feature);
            let tokens = part.sequence(sequence);
            let inside = (0..part.length).filter(|&place| Some(tokens[place]) != model.begin());
            let places = inside.map(|position| (position, of(position)));
            let best = places.fold((0, 0.0_f32), |a, b| if b.1 > a.1 { b } else { a });
            if best.1 > 0.0 {
                let tokens = tokens[..=best.0].to_vec();
                found.push(Context { tokens, position: best.0, code: best.1 });
            }
        }
        found.sort_by(|a, b| b.code.total_cmp(&a.code));
        found.truncate(CONTEXTS);
    }
    Ok(found)
}

fn rows_at(model: &LanguageModel, windows: &Windows, tap: Tap, pass: &mut Pass) -> Result<Matrix> {
    let mut found = Matrix::default();
    let mut keep = (tap, |rows: &mut Matrix| -> Result<()> {
        found.clone_from(rows);
        Ok(())
    });
    model.run_to(windows, Some(tap), pass, &mut keep)?;
    Ok(found)
}

/// The effects of earlier features, in falling order.
fn effects(
    model: &LanguageModel,
    contexts: &[Context],
    late: &Floor<'_>,
    feature: usize,
    early: &Floor<'_>,
) -> Result<Vec<(usize, [f64; 2])>> {
    let mut pass = Pass::default();
    let mut early_codes = Vec::new();
    let mut sums: BTreeMap<u32, f32> = BTreeMap::new();
    for context in contexts {
        let windows = Windows::new(context.tokens.clone(), context.tokens.len());
        let rows = rows_at(model, &windows, early.tap, &mut pass)?;
        let codes = early.basis.encode(&rows)?;
        let near = (context.position + 1).saturating_sub(BEFORE)..=context.position;
        for row in near.filter(|&row| Some(context.tokens[row]) != model.begin()) {
            let (features, values) = codes.row(row);
            features.iter().zip(values).for_each(|(&f, v)| *sums.entry(f).or_default() += v.abs());
        }
        early_codes.push(EarlyCodes { stretches: early.basis.stretches(&rows), codes });
    }
    let mut candidates: Vec<(u32, f32)> = sums.into_iter().collect();
    candidates.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    candidates.truncate(CANDIDATES);
    let mut found = Vec::new();
    for (candidate, _) in candidates {
        let mut changes = Vec::new();
        for (context, codes) in contexts.iter().zip(&early_codes) {
            let without = code_without(model, context, late, feature, early, (candidate, codes))?;
            changes.push(f64::from(context.code - without));
        }
        found.push((candidate as usize, Mean::of(changes.into_iter()).with_error()));
    }
    found.sort_by(|a, b| b.1[0].total_cmp(&a.1[0]).then(a.0.cmp(&b.0)));
    Ok(found)
}

/// The code of the later feature in its place, with an earlier one taken away everywhere before.
fn code_without(
    model: &LanguageModel,
    context: &Context,
    late: &Floor<'_>,
    feature: usize,
    early: &Floor<'_>,
    (candidate, known): (u32, &EarlyCodes),
) -> Result<f32> {
    let mut late_rows = Matrix::default();
    let mut hook = Both {
        early: early.tap,
        late: late.tap,
        change: |rows: &mut Matrix| {
            let d = rows.cols();
            for (row, values) in rows.as_mut_slice().chunks_exact_mut(d).enumerate() {
                let code = code_of(&known.codes, row, candidate as usize);
                if code != 0.0 && Some(context.tokens[row]) != model.begin() {
                    early.basis.add(values, candidate as usize, -code * known.stretches[row]);
                }
            }
        },
        kept: &mut late_rows,
    };
    let windows = Windows::new(context.tokens.clone(), context.tokens.len());
    model.run_to(&windows, Some(late.tap), &mut Pass::default(), &mut hook)?;
    let last = late_rows.row(context.position).to_vec();
    let last = Matrix::from_rows(1, last.len(), last)?;
    Ok(code_of(&late.basis.encode(&last)?, 0, feature))
}

/// Changes rows at one place and keeps those at another.
struct Both<'a, F> {
    early: Tap,
    late: Tap,
    change: F,
    kept: &'a mut Matrix,
}

impl<F: FnMut(&mut Matrix) + Send> Hook for Both<'_, F> {
    fn wants(&self, tap: Tap) -> bool {
        tap == self.early || tap == self.late
    }

    fn at(&mut self, tap: Tap, rows: &mut Matrix) -> Result<()> {
        if tap == self.early {
            (self.change)(rows);
        } else {
            self.kept.clone_from(rows);
        }
        Ok(())
    }
}
