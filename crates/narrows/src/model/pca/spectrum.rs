//! Variances and axes from a scatter matrix, down to the rounding of the rows themselves.
//!
//! ```text
//! S = Σ (x − μ)(x − μ)ᵀ = Vᵀ diag(s) V       its rounding: ε·s₁, so s ≪ s₁ loses its digits
//! W = the rows of V with s < 10⁻⁶·s₁         (m, d)
//! S' = Σ y yᵀ,  y = W (x − μ)                (m, m), whose rounding is only ε·s'₁
//! ```
//!
//! Squaring costs half of the digits. Where that matters (a kept variance is small beside the
//! largest, or fewer components came out than were asked for) the rows are projected on the axes of
//! the small variances and the scatter of what is left is decomposed in its turn, as often as
//! needed. Each time costs one more pass over the rows, and the result is as exact as singular
//! values of the rows would be, without holding them.

use ndarray::{Array1, Array2, ArrayView2, s};

use super::PcaOptions;
use super::select::{Components, Selection};
use crate::compute::{Eigen, Real, multiply, symmetric_eigen};
use crate::error::{Error, Result};

/// Share of the largest variance down to which one decomposition leaves nine digits.
const RANGE: f64 = 1e-6;

/// A standard deviation below this share of the largest is the rounding of the rows; a mean is exact
/// to this share of itself.
const ROUNDING: f64 = 1e-12;

/// A variance below this has lost digits at the end of the range of numbers.
const SMALLEST: f64 = f64::MIN_POSITIVE / f64::EPSILON;

/// The scatter `(m, m)` of the centred rows along given axes `(m, side)`.
pub(super) type ScatterAlong<'a> = dyn FnMut(ArrayView2<'_, f64>) -> Result<Array2<f64>> + 'a;

/// Chooses among variances of which so many are above rounding.
pub(super) type Select<'a> = dyn Fn(&Array1<f64>, usize) -> Result<Selection> + 'a;

/// What is known of the rows beside their scatter.
pub(super) struct Rows<'a> {
    pub(super) count: usize,
    pub(super) dim: usize,
    pub(super) mean: &'a Array1<f64>,
}

/// Variances `(min(n, d),)`, largest first, axes `(side, side)` as rows, and what to keep.
pub(super) struct Spectrum {
    pub(super) variances: Array1<f64>,
    pub(super) axes: Array2<f64>,
    pub(super) selection: Selection,
}

/// Decomposes a scatter matrix; small variances are found again where the rows are still at hand.
pub(super) fn decompose(
    scatter: Array2<f64>,
    rows: &Rows<'_>,
    options: &PcaOptions,
    select: &Select<'_>,
    again: Option<&mut ScatterAlong<'_>>,
) -> Result<Spectrum> {
    let side = scatter.nrows();
    check_finite(scatter.diag().sum())?;
    // Sums of products fill the upper triangle, and the lower one is read.
    let mut eigen = symmetric_eigen(scatter.t())?;
    drop(scatter);
    let squared = (side + 8) as f64 * f64::EPSILON;
    let (variances, rank) = rows.variances(&eigen, squared)?;
    let selection = select(&variances, rank)?;
    let (variances, selection) = match again {
        Some(again) if !rows.is_resolved(&variances, &selection, options) => {
            let limit = rows.limit(variances[0]) * (rows.count as f64 - 1.0);
            resolve(&mut eigen, limit, again)?;
            let (variances, rank) = rows.variances(&eigen, ROUNDING * ROUNDING)?;
            let selection = select(&variances, rank)?;
            (variances, selection)
        }
        _ => (variances, selection),
    };
    Ok(Spectrum { variances, axes: eigen.vectors, selection })
}

/// Decomposes the space of the eigenvalues below `limit` again, until none is small beside the
/// largest of its own space or all that is left is rounding.
fn resolve(eigen: &mut Eigen, mut limit: f64, again: &mut ScatterAlong<'_>) -> Result<()> {
    let mut first = 0;
    loop {
        let Some(skipped) = eigen.values.iter().skip(first).position(|&value| value < limit) else {
            return Ok(());
        };
        first += skipped;
        let axes = eigen.vectors.slice(s![first.., ..]).to_owned();
        let small = symmetric_eigen(again(axes.view())?.t())?;
        multiply(small.vectors.view(), axes.view(), eigen.vectors.slice_mut(s![first.., ..]));
        eigen.values.slice_mut(s![first..]).assign(&small.values);
        if small.values[0] <= ROUNDING * ROUNDING * eigen.values[0] {
            return Ok(());
        }
        limit = RANGE * small.values[0];
    }
}

impl Rows<'_> {
    /// The variances that can differ from zero, and how many of them are above rounding.
    fn variances(&self, eigen: &Eigen, share: f64) -> Result<(Array1<f64>, usize)> {
        let divisor = self.count as f64 - 1.0;
        let known = self.count.min(self.dim);
        let mut variances = eigen.values.slice(s![..known]).mapv(|value| value.max(0.0) / divisor);
        let rank = zero_below(&mut variances, share, self.mean)?;
        Ok((variances, rank))
    }

    /// The variance below which another look at the rows gives more digits: small beside the
    /// largest, or beside what the rounding of the mean can make of a constant column.
    fn limit(&self, largest: f64) -> f64 {
        (RANGE * largest).max((ROUNDING * self.largest_mean()).powi(2))
    }

    fn largest_mean(&self) -> f64 {
        self.mean.iter().fold(0.0, |most, value| most.max(value.abs()))
    }

    /// Whether what is kept, and the mean of what is not, has its digits. What is left out and is
    /// rounding beside the rest is not looked at again.
    fn is_resolved(
        &self,
        variances: &Array1<f64>,
        selection: &Selection,
        options: &PcaOptions,
    ) -> bool {
        let most = self.dim.min(self.count - 1);
        let kept = selection.components;
        let needed = match options.components {
            Components::Count(count) => count.min(most),
            Components::All | Components::Mle => most,
            _ => kept,
        };
        let limit = self.limit(variances[0]);
        let left_out = variances.slice(s![kept..]).sum();
        variances[needed - 1] >= limit && (left_out == 0.0 || left_out >= limit)
    }
}

/// Share of the largest standard deviation that is rounding of rows of the kind `T`.
pub(super) fn rounding<T: Real>() -> f64 {
    ROUNDING.max(8.0 * T::EPSILON)
}

/// Sets variances that are rounding to zero, those below `share` of the largest or below the
/// rounding of the mean; gives the number that are not.
pub(super) fn zero_below(
    variances: &mut Array1<f64>,
    share: f64,
    mean: &Array1<f64>,
) -> Result<usize> {
    let largest = variances[0];
    check_finite(largest)?;
    let of_mean = mean.iter().fold(0.0_f64, |most, value| most.max(value.abs())) * f64::EPSILON;
    let cutoff = (share * largest).max(4.0 * of_mean * of_mean);
    variances.mapv_inplace(|v| if v > cutoff { v } else { 0.0 });
    let rank = variances.iter().take_while(|&&v| v > 0.0).count();
    let got = match (rank > 0, largest > SMALLEST) {
        (true, true) => return Ok(rank),
        (_, false) if largest > 0.0 => "rows that differ by less than 1e-145",
        (_, false) => "rows that are all the same, or differ by less than 1e-145",
        (false, true) => "rows that are all the same",
    };
    let remedy = "check that the right file and columns are read";
    Err(Error::mistake("fit PCA", "rows that differ", got, remedy))
}

/// Refuses a sum of squares that is too large for a number.
pub(super) fn check_finite(squares: f64) -> Result<()> {
    if squares.is_finite() {
        return Ok(());
    }
    Err(Error::mistake(
        "fit PCA",
        "numbers whose squares can be summed, up to about 1e150",
        "larger ones",
        "divide the columns by a large number first",
    ))
}
