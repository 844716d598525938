//! What rows at a tap are taken apart into: the latents of a dictionary, or directions in its place.
//!
//! ```text
//! x (d) a row    z (n) codes, most of them 0    Dⱼ (d) the direction of feature j    x̂ = c + s·Σⱼ zⱼ·fⱼ·Dⱼ
//! s = 1 but where a dictionary brings rows to one scale: what brings x back; fⱼ = 1 but where it tells codes in
//! lengths of ‖Dⱼ‖: 1/‖Dⱼ‖
//! ```

use narrows::compute::{Matrix, SparseRows, add_scaled};
use narrows::evaluate::Frame;
use narrows::model::{Autoencoder, Dictionary};
use narrows::{Error, Result};

/// Features that rows at a tap are told in.
#[derive(Debug, Clone)]
pub struct Basis {
    /// What it is called on screens and pages: `dictionary`, `PCA`, `ICA`, `random`, `neurons`.
    pub name: String,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Dictionary {
        dictionary: Box<Dictionary>,
        /// fⱼ, where not all are 1.
        shares: Option<Vec<f32>>,
    },
    Frame {
        frame: Frame,
        /// Codes of a row that are kept.
        most: usize,
    },
}

impl Basis {
    /// The latents of a dictionary that rebuilds the rows that it reads.
    ///
    /// # Errors
    /// If it is a transcoder.
    pub fn dictionary(name: impl Into<String>, dictionary: Dictionary) -> Result<Self> {
        if dictionary.input_dim() != dictionary.output_dim() || dictionary.skip.is_some() {
            return Err(Error::mistake(
                "use a dictionary at a tap",
                "one that rebuilds the rows that it reads",
                "a transcoder",
                "give another dictionary",
            ));
        }
        let shares = dictionary.shares();
        let kind = Kind::Dictionary { dictionary: Box::new(dictionary), shares };
        Ok(Self { name: name.into(), kind })
    }

    /// Directions, of whose codes at most `most` are kept in each row.
    pub fn frame(name: impl Into<String>, frame: Frame, most: usize) -> Self {
        Self { name: name.into(), kind: Kind::Frame { frame, most } }
    }

    /// The dictionary, if it is one.
    pub fn as_dictionary(&self) -> Option<&Dictionary> {
        match &self.kind {
            Kind::Dictionary { dictionary, .. } => Some(dictionary),
            Kind::Frame { .. } => None,
        }
    }

    /// The directions and how many codes of a row are kept, if it is directions.
    pub fn as_frame(&self) -> Option<(&Frame, usize)> {
        match &self.kind {
            Kind::Dictionary { .. } => None,
            Kind::Frame { frame, most } => Some((frame, *most)),
        }
    }

    /// Columns d of a row.
    pub fn dim(&self) -> usize {
        self.directions().cols()
    }

    /// Number of features n.
    pub fn features(&self) -> usize {
        self.directions().rows()
    }

    /// D `(n, d)`.
    pub fn directions(&self) -> &Matrix {
        match &self.kind {
            Kind::Dictionary { dictionary, .. } => &dictionary.decoder,
            Kind::Frame { frame, .. } => &frame.decoder,
        }
    }

    /// Codes `(rows, n)` of rows `(rows, d)`.
    ///
    /// # Errors
    /// If the rows have other columns.
    pub fn encode(&self, rows: &Matrix) -> Result<SparseRows> {
        self.check(rows.cols())?;
        match &self.kind {
            Kind::Dictionary { dictionary, .. } => dictionary.encode_sparse(rows),
            Kind::Frame { frame, most } => Ok(frame.encode(rows, *most)),
        }
    }

    /// x̂ `(rows, d)` of codes `(rows, n)` that came, changed or not, of rows `(rows, d)`.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn rebuild(&self, codes: &SparseRows, rows: &Matrix) -> Result<Matrix> {
        self.check(rows.cols())?;
        match &self.kind {
            Kind::Dictionary { dictionary, .. } => dictionary.rebuild(codes, rows),
            Kind::Frame { frame, .. } => Ok(frame.rebuild(codes)),
        }
    }

    /// s of each row.
    pub fn stretches(&self, rows: &Matrix) -> Vec<f32> {
        match &self.kind {
            Kind::Dictionary { dictionary, .. } => dictionary.stretches(rows),
            Kind::Frame { .. } => vec![1.0; rows.rows()],
        }
    }

    /// Adds to a row what more of a code adds to it: `row += stretched·fⱼ·Dⱼ`, `stretched` the change of the code times s
    /// of the row that the code is of.
    pub fn add(&self, row: &mut [f32], feature: usize, stretched: f32) {
        let share = match &self.kind {
            Kind::Dictionary { shares: Some(shares), .. } => shares[feature],
            _ => 1.0,
        };
        add_scaled(row, stretched * share, self.directions().row(feature));
    }

    /// Refuses rows of other columns than those that it tells.
    ///
    /// # Errors
    /// If they have others.
    pub fn check(&self, columns: usize) -> Result<()> {
        if self.dim() == columns {
            return Ok(());
        }
        Err(Error::mistake(
            "use features at a tap",
            format!("rows of {} columns, as '{}' takes them", self.dim(), self.name),
            columns.to_string(),
            "give the tap and the model that it was trained on",
        ))
    }
}
