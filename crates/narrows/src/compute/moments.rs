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

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, s};
use rayon::prelude::*;

use super::Real;
use super::product::kernel;
use crate::error::{Error, Result};

/// Rows of one product: short enough that an f32 product loses nothing that matters before it is
/// added in f64.
const BLOCK: usize = 512;
/// Blocks of a wave that are accumulated side by side where the dimension is small.
const LANES: usize = 8;
/// Widest panel of columns that one task multiplies.
const PANEL: usize = 256;
/// Dimension up to which every lane has a scatter matrix of its own.
const LANES_UP_TO: usize = 1024;

/// Number, mean and scatter of rows; partial ones can be [merged](Moments::merge) in any grouping.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    rows: u64,
    mean: Array1<f64>,
    /// One scatter per lane, each `(d, d)` with only the upper triangle of panels filled.
    lanes: Vec<Array2<f64>>,
}

/// The kind of number that products are made in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProductPrecision {
    /// As the rows come: `f32` rows give `f32` products of 512 rows, summed in `f64`.
    OfRows,
    /// Always `f64`.
    F64,
}

impl Moments {
    /// Nothing seen yet, in `dim` dimensions. Holds `8·dim²` bytes, eight times that up to
    /// dimension 1,024.
    pub fn new(dim: usize) -> Self {
        let lanes = if dim <= LANES_UP_TO { LANES } else { 1 };
        Self { rows: 0, mean: Array1::zeros(dim), lanes: vec![Array2::zeros((dim, dim)); lanes] }
    }

    /// Rows that one call of [`Moments::add`] handles best.
    pub fn wave_rows(&self) -> usize {
        BLOCK * LANES
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
        let wave_rows = self.wave_rows();
        for (wave, rows) in rows.axis_chunks_iter(ndarray::Axis(0), wave_rows).enumerate() {
            let mean = column_means(rows);
            if mean.iter().any(|value| !value.is_finite()) {
                return Err(not_finite(rows, first_row + wave * wave_rows));
            }
            match precision {
                ProductPrecision::F64 => self.add_products(centred::<T, f64>(rows, &mean).view()),
                ProductPrecision::OfRows => self.add_products(centred::<T, T>(rows, &mean).view()),
            }
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

    /// Adds `centredᵀ · centred` to the lanes, each block and pair of panels by one thread.
    fn add_products<T: Real>(&mut self, centred: ArrayView2<'_, T>) {
        let dim = self.dim();
        let lanes = self.lanes.len();
        let panels = panel_bounds(dim);
        let blocks: Vec<ArrayView2<'_, T>> =
            centred.axis_chunks_iter(ndarray::Axis(0), BLOCK).collect();
        self.lanes.par_iter_mut().enumerate().for_each(|(lane, scatter)| {
            let mut rest = scatter.view_mut();
            let mut bands = Vec::with_capacity(panels.len());
            for &(start, end) in &panels {
                let (band, below) = rest.split_at(ndarray::Axis(0), end - start);
                bands.push((start, end, band));
                rest = below;
            }
            bands.into_par_iter().for_each(|(start, end, mut band)| {
                for block in blocks.iter().skip(lane).step_by(lanes) {
                    let left = block.slice(s![.., start..end]);
                    for &(from, to) in panels.iter().filter(|panel| panel.0 >= start) {
                        let right = block.slice(s![.., from..to]);
                        add_product(left, right, band.slice_mut(s![.., from..to]));
                    }
                }
            });
        });
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
            scatter.axis_iter_mut(ndarray::Axis(0)).into_par_iter().enumerate().for_each(
                |(i, mut row)| {
                    let factor = weight * difference[i];
                    for (value, &d) in row.iter_mut().zip(&difference).skip(i) {
                        *value += factor * d;
                    }
                },
            );
        }
        self.mean.scaled_add(rows as f64 / total, &difference);
        self.rows += rows;
    }
}

/// Splits `0..dim` into panels of equal width, at most [`PANEL`].
fn panel_bounds(dim: usize) -> Vec<(usize, usize)> {
    let count = dim.div_ceil(PANEL).max(1);
    (0..count).map(|i| (i * dim / count, (i + 1) * dim / count)).collect()
}

/// `out += leftᵀ · right`, with an f32 product finished before it is added in f64.
fn add_product<T: Real>(
    left: ArrayView2<'_, T>,
    right: ArrayView2<'_, T>,
    out: ArrayViewMut2<'_, f64>,
) {
    if let Some((left, right)) = as_f64(left).zip(as_f64(right)) {
        kernel(1.0, 1.0, left.reversed_axes(), right, out);
        return;
    }
    let mut product = Array2::from_elem((left.ncols(), right.ncols()), T::ZERO);
    kernel(T::ZERO, T::ONE, left.reversed_axes(), right, product.view_mut());
    ndarray::Zip::from(out).and(&product).for_each(|out, &value| *out += value.to_f64());
}

/// The same view where `T` is `f64`.
fn as_f64<T: Real>(view: ArrayView2<'_, T>) -> Option<ArrayView2<'_, f64>> {
    use std::any::TypeId;
    if TypeId::of::<T>() != TypeId::of::<f64>() {
        return None;
    }
    Some(super::real::same_type(view))
}

/// Column means in f64, summed in fixed chunks of rows that are joined in order.
pub fn column_means<T: Real>(rows: ArrayView2<'_, T>) -> Array1<f64> {
    let partial: Vec<Array1<f64>> = rows
        .axis_chunks_iter(ndarray::Axis(0), BLOCK)
        .into_par_iter()
        .map(|chunk| {
            let mut sum = Array1::<f64>::zeros(chunk.ncols());
            for row in chunk.rows() {
                sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value.to_f64());
            }
            sum
        })
        .collect();
    let mut sum = Array1::zeros(rows.ncols());
    partial.iter().for_each(|part| sum += part);
    sum / rows.nrows().max(1) as f64
}

/// `rows − mean`, subtracted in f64 and rounded to the kind of number wanted.
pub fn centred<T: Real, U: Real>(rows: ArrayView2<'_, T>, mean: &Array1<f64>) -> Array2<U> {
    let mut out = Array2::from_elem(rows.dim(), U::ZERO);
    out.axis_chunks_iter_mut(ndarray::Axis(0), BLOCK)
        .into_par_iter()
        .zip(rows.axis_chunks_iter(ndarray::Axis(0), BLOCK))
        .for_each(|(mut out, rows)| {
            for (mut out, row) in out.rows_mut().into_iter().zip(rows.rows()) {
                for ((out, value), mean) in out.iter_mut().zip(row).zip(mean) {
                    *out = U::from_f64(value.to_f64() - mean);
                }
            }
        });
    out
}

/// Names the first value that is missing or infinite.
pub(crate) fn not_finite<T: Real>(rows: ArrayView2<'_, T>, first_row: usize) -> Error {
    let place = rows.indexed_iter().find(|(_, value)| !value.to_f64().is_finite());
    let got = match place {
        Some(((row, column), value)) => {
            format!("{:?} in row {}, column {}", value, first_row + row + 1, column + 1)
        }
        None => "values so large that their sum overflows".to_owned(),
    };
    Error::mistake(
        "fit",
        "finite numbers",
        got,
        "remove such rows, or fill missing values with `--missing mean` or `--missing em`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

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
