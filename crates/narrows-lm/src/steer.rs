//! Features turned off, held at a value, or added to, while a model runs.
//!
//! ```text
//! x (d) a row at the tap    z (n) its codes    z' (n) the codes as they are wanted
//! x' = x + Σⱼ (z'ⱼ − zⱼ)·Dⱼ      what the features do not tell of x stays: where nothing is wanted, x' is x
//! x' = c + Σⱼ z'ⱼ·Dⱼ             where rows are replaced by what the features tell of them
//!
//! ablate z'ⱼ = 0      clamp to v z'ⱼ = v      add v z'ⱼ = zⱼ + v
//! ```
//!
//! Rows of the token that begins a text stay as they are.
//!
//! Source: A. Templeton et al., Scaling monosemanticity (2024), for clamped features, with the error kept.

use std::ops::Range;

use narrows::compute::{Matrix, SparseRows, add_scaled};
use narrows::{Error, Result};

use crate::basis::Basis;
use crate::model::{Hook, Tap};
use crate::text::Windows;

/// What becomes of a code.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action {
    /// It is 0.
    Ablate,
    /// It is this.
    Clamp(f32),
    /// It is so much more.
    Add(f32),
}

impl Action {
    fn wanted(self, code: f32) -> f32 {
        match self {
            Self::Ablate => 0.0,
            Self::Clamp(value) => value,
            Self::Add(value) => code + value,
        }
    }
}

/// Which positions of a sequence are steered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Positions {
    /// All of them.
    All,
    /// The last.
    Last,
    /// Some that follow each other, counted from 0.
    Some(Range<usize>),
}

impl Positions {
    fn holds(&self, position: usize, length: usize) -> bool {
        match self {
            Self::All => true,
            Self::Last => position + 1 == length,
            Self::Some(range) => range.contains(&position),
        }
    }
}

/// Features that are steered at a tap. A hook of sequences whose tokens it was told.
pub struct Steering<'a> {
    /// What rows are told in.
    pub basis: &'a Basis,
    /// Where.
    pub tap: Tap,
    /// Each feature and what becomes of its code.
    pub actions: Vec<(usize, Action)>,
    /// At which positions.
    pub positions: Positions,
    /// Whether rows are replaced by what the features tell of them.
    pub replace: bool,
    /// The token that begins a text.
    pub begin: Option<u32>,
    /// The length of a sequence, and whether its first token begins a text.
    length: usize,
    begins: bool,
}

impl<'a> Steering<'a> {
    /// Steers nothing yet.
    ///
    /// # Errors
    /// If a feature is not in the basis.
    pub fn new(
        basis: &'a Basis,
        tap: Tap,
        actions: Vec<(usize, Action)>,
        begin: Option<u32>,
    ) -> Result<Self> {
        let count = basis.features();
        if let Some((feature, _)) = actions.iter().find(|(feature, _)| *feature >= count) {
            return Err(Error::mistake(
                "steer",
                format!("features 0 to {}, as '{}' has them", count - 1, basis.name),
                feature.to_string(),
                "give another feature",
            ));
        }
        let positions = Positions::All;
        Ok(Self { basis, tap, actions, positions, replace: false, begin, length: 0, begins: false })
    }

    /// Tells which sequences are run next: all of one length, each begun as the first is.
    pub fn of(&mut self, windows: &Windows) {
        self.length = windows.length;
        self.begins = windows.tokens.first().copied() == self.begin && self.begin.is_some();
    }

    fn steered(&self, row: usize, length: usize) -> bool {
        let position = row % length;
        !(self.begins && position == 0) && self.positions.holds(position, length)
    }
}

impl Hook for Steering<'_> {
    fn wants(&self, tap: Tap) -> bool {
        self.tap == tap
    }

    fn at(&mut self, _tap: Tap, rows: &mut Matrix) -> Result<()> {
        // In generation a sequence is alone, and grows.
        let length = if self.length == 0 { rows.rows() } else { self.length };
        let codes = self.basis.encode(rows)?;
        let rebuilt = self.replace.then(|| self.basis.rebuild(&codes, rows)).transpose()?;
        let columns = rows.cols();
        for (row, values) in rows.as_mut_slice().chunks_exact_mut(columns).enumerate() {
            if !self.steered(row, length) {
                continue;
            }
            if let Some(rebuilt) = &rebuilt {
                values.copy_from_slice(rebuilt.row(row));
            }
            for &(feature, action) in &self.actions {
                let code = code_of(&codes, row, feature);
                let change = action.wanted(code) - code;
                if change != 0.0 {
                    add_scaled(values, change, self.basis.directions().row(feature));
                }
            }
        }
        Ok(())
    }
}

/// The code of a feature in a row, 0 where it has none.
pub fn code_of(codes: &SparseRows, row: usize, feature: usize) -> f32 {
    let (features, values) = codes.row(row);
    features.binary_search(&(feature as u32)).map_or(0.0, |place| values[place])
}
