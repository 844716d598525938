//! Places in a model where rows can be read, replaced or added to.
//!
//! ```text
//! blocks.N.residual_pre    x before block N (of block 0: the embedding, also called `embedding`)
//! blocks.N.attention_out   what attention adds
//! blocks.N.residual_mid    x after that; not where attention and MLP read the same rows
//! blocks.N.mlp_in          the normed rows that the MLP reads
//! blocks.N.mlp_hidden      its neurons: after the function, and the gate where there is one
//! blocks.N.mlp_out         what the MLP adds
//! blocks.N.residual_post   x after block N
//! ```

use std::fmt;

use narrows::compute::Matrix;
use narrows::data::did_you_mean;
use narrows::{Error, Result};

use super::Architecture;

/// The other name of the first place.
const EMBEDDING: &str = "embedding";

/// A place within a block, in the order in which rows come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Site {
    /// The residual stream before the block.
    ResidualPre,
    /// What attention adds to it.
    AttentionOut,
    /// The residual stream between attention and MLP.
    ResidualMid,
    /// What the MLP reads.
    MlpIn,
    /// The neurons of the MLP.
    MlpHidden,
    /// What the MLP adds to the residual stream.
    MlpOut,
    /// The residual stream after the block.
    ResidualPost,
}

impl Site {
    /// Every one of them, in their order.
    pub const ALL: [Self; 7] = [
        Self::ResidualPre,
        Self::AttentionOut,
        Self::ResidualMid,
        Self::MlpIn,
        Self::MlpHidden,
        Self::MlpOut,
        Self::ResidualPost,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::ResidualPre => "residual_pre",
            Self::AttentionOut => "attention_out",
            Self::ResidualMid => "residual_mid",
            Self::MlpIn => "mlp_in",
            Self::MlpHidden => "mlp_hidden",
            Self::MlpOut => "mlp_out",
            Self::ResidualPost => "residual_post",
        }
    }
}

/// A place in a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tap {
    /// The block, counted from 0.
    pub block: usize,
    /// Where in it.
    pub site: Site,
}

impl fmt::Display for Tap {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "blocks.{}.{}", self.block, self.site.name())
    }
}

impl Tap {
    /// The residual stream after a block.
    pub fn after(block: usize) -> Self {
        Self { block, site: Site::ResidualPost }
    }

    /// The place of this name in a model.
    ///
    /// # Errors
    /// If it has none; the nearest name is given.
    pub fn parse(name: &str, model: &Architecture) -> Result<Self> {
        if name == EMBEDDING {
            return Ok(Self { block: 0, site: Site::ResidualPre });
        }
        let all = Self::all(model);
        if let Some(found) = all.iter().find(|tap| tap.to_string() == name) {
            return Ok(*found);
        }
        let parallel = model.parallel && name.ends_with(Site::ResidualMid.name());
        let names: Vec<String> = all.iter().map(Self::to_string).collect();
        let known = names.iter().map(String::as_str).chain([EMBEDDING]);
        let remedy = match did_you_mean(name, known) {
            _ if parallel => {
                "attention and MLP of this model read the same rows, so there is nothing between \
                              them: take residual_pre or residual_post"
                    .to_owned()
            }
            nearest => nearest,
        };
        Err(Error::mistake(
            "find a tap",
            format!(
                "{EMBEDDING}, or blocks.0 to blocks.{}, each with {}",
                model.layers - 1,
                Self::sites(model).map(Site::name).collect::<Vec<_>>().join(", ")
            ),
            format!("'{name}'"),
            remedy,
        ))
    }

    /// All places of a model, in the order in which rows come by.
    pub fn all(model: &Architecture) -> Vec<Self> {
        let of_block = |block| Self::sites(model).map(move |site| Self { block, site });
        (0..model.layers).flat_map(of_block).collect()
    }

    fn sites(model: &Architecture) -> impl Iterator<Item = Site> + use<> {
        let parallel = model.parallel;
        Site::ALL.into_iter().filter(move |site| !(parallel && *site == Site::ResidualMid))
    }

    /// Columns of the rows there.
    pub fn width(self, model: &Architecture) -> usize {
        if self.site == Site::MlpHidden { model.hidden } else { model.width }
    }

    /// Whether the rows are those of the residual stream.
    pub fn is_residual(self) -> bool {
        matches!(self.site, Site::ResidualPre | Site::ResidualMid | Site::ResidualPost)
    }
}

/// What looks at rows on their way, and may change them.
pub trait Hook: Send {
    /// Whether the rows at this place are to be handed over.
    fn wants(&self, tap: Tap) -> bool;

    /// Is given the rows `(n·l, columns)` there; the model goes on with what it leaves.
    ///
    /// # Errors
    /// Its own; the pass ends with it.
    fn at(&mut self, tap: Tap, rows: &mut Matrix) -> Result<()>;
}

/// Looks at nothing.
pub struct NoHook;

impl Hook for NoHook {
    fn wants(&self, _tap: Tap) -> bool {
        false
    }
    fn at(&mut self, _tap: Tap, _rows: &mut Matrix) -> Result<()> {
        Ok(())
    }
}

/// A hook of one place.
impl<F: FnMut(&mut Matrix) -> Result<()> + Send> Hook for (Tap, F) {
    fn wants(&self, tap: Tap) -> bool {
        self.0 == tap
    }
    fn at(&mut self, _tap: Tap, rows: &mut Matrix) -> Result<()> {
        (self.1)(rows)
    }
}
