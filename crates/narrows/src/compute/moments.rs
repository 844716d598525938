//! Mean and scatter of rows in one pass: what every PCA of tall data is made of.
//!
//! ```text
//! mean     μ = 1/n · Σ xᵢ                     (d,)
//! scatter  S = Σ (xᵢ − μ)(xᵢ − μ)ᵀ            (d, d), upper triangle kept
//! merge    S = S_a + S_b + n_a·n_b/(n_a+n_b) · (μ_a − μ_b)(μ_a − μ_b)ᵀ
//! ```
//!
//! Source: T. F. Chan, G. H. Golub and R. J. LeVeque, Algorithms for computing the sample variance,
//! The American Statistician 37 (1983).
//!
//! Differs from: `XᵀX − n·μμᵀ`, which loses every digit when the mean is large beside the spread.
//! Here each wave of rows is centred by its own mean before it is multiplied, and waves are joined
//! by the merge above. Sums are f64; the products are f64 too unless the caller asks for f32.

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

use super::Real;
use super::centre::{centre_into, column_means, not_finite};
use super::cross_product::add_cross_products;
use crate::error::{Error, Result};

/// Blocks of rows that are multiplied side by side where the dimension is small.
const LANES: usize = 8;
/// Dimension up to which there are lanes, each with a scatter matrix of its own; above it the tiles
/// of one product are enough for many threads.
const LANES_UP_TO: usize = 256;
/// Rows of each product where there are lanes: more would leave the cache. An f32 product of so few
/// rows loses nothing that matters before it is added in f64.
const LANE_ROWS: usize = 1024;
/// Rows of each product where there are no lanes.
const ROWS: usize = 2048;

/// Number, mean and scatter of rows; partial ones can be [merged](Moments::merge) in any grouping.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    rows: u64,
    mean: Array1<f64>,
    /// One scatter per lane, each `(d, d)` with only the upper triangle filled.
    lanes: Vec<Array2<f64>>,
}

/// The kind of number that products are made in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProductPrecision {
    /// As the rows come: `f32` rows give `f32` products of at most 2,048 rows, summed in `f64`.
    OfRows,
    /// Always `f64`.
    F64,
}

impl Moments {
    /// Nothing seen yet, in `dim` dimensions. Holds `8·dim²` bytes, eight times that up to
    /// dimension 256.
    pub fn new(dim: usize) -> Self {
        let lanes = if dim <= LANES_UP_TO { LANES } else { 1 };
        Self { rows: 0, mean: Array1::zeros(dim), lanes: vec![Array2::zeros((dim, dim)); lanes] }
    }

    /// Rows that one call of [`Moments::add`] handles best.
    pub fn wave_rows(&self) -> usize {
        if self.lanes.len() > 1 { LANES * LANE_ROWS } else { ROWS }
    }

    /// Number of rows seen.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Number of columns.
    pub fn dim(&self) -> usize {
        self.mean.len()
    }

    /// The mean of the rows seen.
    pub fn mean(&self) -> &Array1<f64> {
        &self.mean
    }

    /// Adds rows of any number; `first_row` is their place in the whole set, for messages.
    ///
    /// # Errors
    /// If a value is missing or infinite; names its row and column.
    pub fn add<T: Real>(
        &mut self,
        rows: ArrayView2<'_, T>,
        first_row: usize,
        precision: ProductPrecision,
    ) -> Result<()> {
        match precision {
            ProductPrecision::F64 => self.add_in::<T, f64>(rows, first_row),
            ProductPrecision::OfRows => self.add_in::<T, T>(rows, first_row),
        }
    }

    /// [`Moments::add`] with products of `U`.
    fn add_in<T: Real, U: Real>(
        &mut self,
        rows: ArrayView2<'_, T>,
        first_row: usize,
    ) -> Result<()> {
        let wave_rows = self.wave_rows();
        let mut wave_buffer = vec![U::ZERO; wave_rows.min(rows.nrows()) * self.dim()];
        let mut products = Vec::new();
        for (wave, rows) in rows.axis_chunks_iter(Axis(0), wave_rows).enumerate() {
            let mean = column_means(rows);
            if mean.iter().any(|value| !value.is_finite()) {
                return Err(not_finite(rows, first_row + wave * wave_rows));
            }
            let buffer = &mut wave_buffer[..rows.len()];
            let mut centred = ArrayViewMut2::from_shape(rows.dim(), buffer).expect("sized above");
            centre_into(rows, &mean, centred.view_mut());
            let blocks = centred.axis_chunks_iter(Axis(0), wave_rows / self.lanes.len());
            let scatters = self.lanes.iter_mut().map(|scatter| scatter.view_mut());
            add_cross_products(blocks.zip(scatters), &mut products);
            self.join_mean(rows.nrows() as u64, &mean);
        }
        Ok(())
    }

    /// Joins two sets of rows seen apart.
    ///
    /// # Errors
    /// If the dimensions differ.
    pub fn merge(mut self, other: &Moments) -> Result<Self> {
        if self.dim() != other.dim() {
            return Err(Error::mistake(
                "merge partial statistics",
                format!("{} columns", self.dim()),
                other.dim().to_string(),
                "merge statistics of the same columns only",
            ));
        }
        for (mine, theirs) in self.lanes.iter_mut().zip(&other.lanes) {
            *mine += theirs;
        }
        self.join_mean(other.rows, &other.mean);
        Ok(self)
    }

    /// The scatter matrix `Σ (x − μ)(x − μ)ᵀ`, both triangles filled.
    pub fn scatter(&self) -> Array2<f64> {
        let mut sum = self.lanes[0].clone();
        for lane in &self.lanes[1..] {
            sum += lane;
        }
        for i in 0..sum.nrows() {
            for j in 0..i {
                sum[[i, j]] = sum[[j, i]];
            }
        }
        sum
    }

    /// Variance of each column, divided by n − 1.
    pub fn column_variances(&self) -> Array1<f64> {
        let divisor = self.rows as f64 - 1.0;
        self.lanes.iter().fold(Array1::zeros(self.dim()), |sum, lane| sum + lane.diag()) / divisor
    }

    /// As bytes in the safetensors format: `rows` (1) u64, `mean` (d) f64, `scatter` (d, d) f64.
    ///
    /// # Errors
    /// If the format refuses.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        use safetensors::{Dtype, tensor::TensorView};
        let scatter = self.scatter();
        let dim = self.dim();
        let view = |kind, shape: Vec<usize>, bytes| TensorView::new(kind, shape, bytes);
        let rows = self.rows.to_le_bytes();
        let mean = self.mean.as_slice().expect("owned and contiguous");
        let tensors = [
            ("rows", view(Dtype::U64, vec![1], &rows)),
            ("mean", view(Dtype::F64, vec![dim], bytemuck::cast_slice(mean))),
            (
                "scatter",
                view(
                    Dtype::F64,
                    vec![dim, dim],
                    bytemuck::cast_slice(scatter.as_slice().expect("owned and contiguous")),
                ),
            ),
        ];
        let tensors: std::result::Result<Vec<_>, _> =
            tensors.into_iter().map(|(name, tensor)| tensor.map(|tensor| (name, tensor))).collect();
        tensors.and_then(|tensors| safetensors::serialize(tensors, None)).map_err(|error| {
            Error::failure("write partial statistics", error.to_string(), "report this")
        })
    }

    /// The inverse of [`Moments::to_bytes`].
    ///
    /// # Errors
    /// If the bytes are not such a file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let bad = |got: String| {
            Error::mistake(
                "read partial statistics",
                "a safetensors file with rows, mean (d) and scatter (d, d)",
                got,
                "give the bytes that `Moments::to_bytes` made",
            )
        };
        let file = safetensors::SafeTensors::deserialize(bytes).map_err(|e| bad(e.to_string()))?;
        let tensor = |name: &str| file.tensor(name).map_err(|e| bad(e.to_string()));
        let numbers = |name: &str| -> Result<Vec<f64>> {
            let tensor = tensor(name)?;
            if tensor.dtype() != safetensors::Dtype::F64 {
                return Err(bad(format!("{name} as {:?}", tensor.dtype())));
            }
            Ok(tensor
                .data()
                .chunks_exact(8)
                .map(|b| f64::from_le_bytes(b.try_into().expect("8 bytes")))
                .collect())
        };
        let rows =
            tensor("rows")?.data().try_into().map_err(|_| bad("rows of another length".into()))?;
        let mean = Array1::from(numbers("mean")?);
        let dim = mean.len();
        let scatter = Array2::from_shape_vec((dim, dim), numbers("scatter")?)
            .map_err(|_| bad(format!("a scatter that is not {dim} × {dim}")))?;
        let mut moments = Self::new(dim);
        moments.rows = u64::from_le_bytes(rows);
        moments.mean = mean;
        moments.lanes[0] = scatter;
        Ok(moments)
    }

    /// Moves the mean to that of both sets and adds the scatter between the two means.
    fn join_mean(&mut self, rows: u64, mean: &Array1<f64>) {
        if rows == 0 {
            return;
        }
        let total = (self.rows + rows) as f64;
        let weight = self.rows as f64 * (rows as f64 / total);
        let difference = mean - &self.mean;
        if weight > 0.0 {
            let scatter = &mut self.lanes[0];
            scatter.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(i, mut row)| {
                let factor = weight * difference[i];
                for (value, &d) in row.iter_mut().zip(&difference).skip(i) {
                    *value += factor * d;
                }
            });
        }
        self.mean.scaled_add(rows as f64 / total, &difference);
        self.rows += rows;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use ndarray::s;

    fn rows(count: usize, dim: usize, offset: f64) -> Array2<f64> {
        let mut random = Random::stream(1, "rows");
        Array2::from_shape_fn((count, dim), |(_, j)| offset + (1.0 + j as f64) * random.normal())
    }

    fn slow_scatter(rows: &Array2<f64>) -> Array2<f64> {
        let mean = rows.mean_axis(ndarray::Axis(0)).expect("rows");
        let centred = rows - &mean;
        centred.t().dot(&centred)
    }

    fn close(a: &Array2<f64>, b: &Array2<f64>, tolerance: f64) {
        let scale = b.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        let worst = a.iter().zip(b).fold(0.0_f64, |m, (a, b)| m.max((a - b).abs()));
        assert!(worst <= tolerance * scale, "{worst:e} of {scale:e}");
    }

    #[test]
    fn the_scatter_is_that_of_the_centred_rows() {
        for (count, dim) in [(1, 3), (7, 1), (5000, 7), (1200, 300), (90, 1100)] {
            let rows = rows(count, dim, 50.0);
            let mut moments = Moments::new(dim);
            moments.add(rows.view(), 0, ProductPrecision::F64).expect("finite");
            close(&moments.scatter(), &slow_scatter(&rows), 1e-12);
        }
    }

    #[test]
    fn a_large_mean_costs_no_digits() {
        let rows = rows(20_000, 5, 1e6);
        let mut moments = Moments::new(5);
        moments.add(rows.view(), 0, ProductPrecision::F64).expect("finite");
        close(&moments.scatter(), &slow_scatter(&rows), 1e-12);
    }

    #[test]
    fn seven_uneven_partitions_merge_to_one_pass() {
        let rows = rows(9_001, 40, 3.0);
        let mut whole = Moments::new(40);
        whole.add(rows.view(), 0, ProductPrecision::F64).expect("finite");
        let bounds = [0, 1, 17, 600, 4_000, 4_001, 8_123, 9_001];
        let mut merged = Moments::new(40);
        for pair in bounds.windows(2) {
            let mut part = Moments::new(40);
            part.add(rows.slice(s![pair[0]..pair[1], ..]), pair[0], ProductPrecision::F64)
                .expect("finite");
            let part = Moments::from_bytes(&part.to_bytes().expect("bytes")).expect("read back");
            merged = merged.merge(&part).expect("same columns");
        }
        assert_eq!(merged.rows(), whole.rows());
        close(&merged.scatter(), &whole.scatter(), 1e-12);
        let gap = (merged.mean() - whole.mean()).mapv(f64::abs).sum();
        assert!(gap < 1e-12, "{gap:e}");
    }

    #[test]
    fn f32_products_stay_within_single_precision() {
        let rows = rows(5_000, 30, 100.0).mapv(|value| value as f32);
        let exact = slow_scatter(&rows.mapv(f64::from));
        let mut moments = Moments::new(30);
        moments.add(rows.view(), 0, ProductPrecision::OfRows).expect("finite");
        close(&moments.scatter(), &exact, 1e-6);
    }

    #[test]
    fn the_place_of_a_missing_value_is_named() {
        let mut rows = rows(5_000, 4, 0.0);
        rows[[4_321, 2]] = f64::NAN;
        let error = Moments::new(4).add(rows.view(), 100, ProductPrecision::F64).expect_err("NaN");
        assert!(error.to_string().contains("NaN in row 4422, column 3"), "{error}");
    }

    #[test]
    fn other_columns_do_not_merge() {
        assert!(Moments::new(3).merge(&Moments::new(4)).is_err());
    }
}
