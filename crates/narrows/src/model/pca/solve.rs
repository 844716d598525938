//! The algorithms that find the components.
//!
//! ```text
//! covariance   eigenvectors of Σ (d, d)                        n·d² + 9·d³ operations
//! Gram         eigenvectors U of XcXcᵀ (n, n), then V = UᵀXc/s  n²·d + 9·n³ + 2·n·d·k
//! thin SVD     Xc = U S V                                      most digits, most work
//! randomised   SVD of Xc on the range of (XcXcᵀ)ᑫXcΩ           4·n·d·(k + oversampling)·(q + 1)
//! streaming    the covariance from one pass over a source
//! ```
//!
//! Covariance, Gram and streaming square the rows; where that would cost digits that matter, small
//! variances are found again (`spectrum.rs`).
//!
//! Source: randomised: N. Halko, P. Martinsson and J. Tropp, SIAM Review 53 (2011), algorithm 4.4;
//! Gram: Turk and Pentland (1991).

use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::memory::check_memory;
use super::select::{self, Components, Selection};
use super::spectrum::{self, ScatterAlong, Spectrum, rounding, zero_below};
use super::{BLOCK, PcaOptions};
use crate::compute::{
    Moments, ProductPrecision, Real, add_cross_products, centred, column_means, multiply,
    not_finite, orthonormal_rows, symmetric_eigen, thin_svd,
};
use crate::data::{Precision, ReadRows, Source};
use crate::error::{Error, Result};
use crate::random::Random;

/// Which algorithm is to find the components.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Solver {
    /// The cheapest exact one; the randomised one only for rows in memory, where it saves a factor
    /// of five and more than 5,000 rows and columns are left to decompose.
    Auto,
    /// Eigenvectors of the covariance: many rows, up to some thousand columns.
    Covariance,
    /// Eigenvectors of the products between rows: few long rows, as pictures are.
    Gram,
    /// Singular vectors of the centred rows: the most digits.
    ThinSvd,
    /// Approximate: a few large components of a huge matrix.
    Randomized,
    /// The covariance in one pass over a source, f64 throughout.
    Streaming,
}

/// Which algorithm found the components.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// As [`Solver::Covariance`].
    Covariance,
    /// As [`Solver::Gram`].
    Gram,
    /// As [`Solver::ThinSvd`].
    ThinSvd,
    /// As [`Solver::Randomized`].
    Randomized,
    /// As [`Solver::Streaming`].
    Streaming,
    /// Rounds of expectation and maximisation, for rows with missing values.
    ExpectationMaximization,
}

/// What a solver found, before signs are fixed.
pub(super) struct Solution {
    pub(super) rows: usize,
    pub(super) mean: Array1<f64>,
    /// All min(n, d) variances, largest first; those of the axes alone where a sketch holds no more.
    pub(super) variances: Array1<f64>,
    pub(super) axes: Array2<f64>,
    pub(super) total_variance: f64,
    pub(super) solver: Algorithm,
    pub(super) selection: Selection,
}

/// Columns of centred rows that are multiplied at a time by the Gram solver.
const GRAM_COLUMNS: usize = 1024;

/// Work below which f32 products would save nothing worth having.
const SMALL_WORK: f64 = 4e9;

/// Share of the largest variance that the smallest kept one must reach for f32 products to leave
/// it five exact digits; share of the total variance for those that are left out.
const SINGLE_PRECISION_RANGE: f64 = 1e-2;

/// Variance below which f32 squares lose digits because they are too small.
const SINGLE_PRECISION_SMALLEST: f64 = (f32::MIN_POSITIVE / f32::EPSILON) as f64;

/// Matrices as large as the scatter that a fit holds at most, that one included.
const MATRICES: f64 = 6.0;

/// What a thin SVD holds at most: copies of the rows, and square matrices of their shorter side.
const SVD_COPIES: (f64, f64) = (4.0, 7.0);

pub(super) fn check_shape(rows: usize, dim: usize, options: &PcaOptions) -> Result<()> {
    let shape = format!("{rows} rows × {dim} columns");
    if rows < 2 || dim == 0 {
        return Err(Error::mistake(
            "fit PCA",
            "at least 2 rows and 1 column",
            shape,
            "give more data",
        ));
    }
    select::check(&options.components, rows, dim, options.solver)
}

/// The algorithm of a solver, and the one that `Auto` stands for.
fn choose(rows: usize, dim: usize, options: &PcaOptions) -> Algorithm {
    match options.solver {
        Solver::Auto => {}
        Solver::Covariance => return Algorithm::Covariance,
        Solver::Gram => return Algorithm::Gram,
        Solver::ThinSvd => return Algorithm::ThinSvd,
        Solver::Randomized => return Algorithm::Randomized,
        Solver::Streaming => return Algorithm::Streaming,
    }
    let (n, d) = (rows as f64, dim as f64);
    let small = n.min(d);
    if rows.max(dim) <= 500 {
        return Algorithm::ThinSvd;
    }
    if let Components::Count(k) = options.components {
        let exact = n * d * small + 36.0 * small.powi(3);
        let width = (k + options.oversampling) as f64;
        let randomized = 4.0 * n * d * width * (1 + power_iterations(k, rows, dim, options)) as f64;
        if small > 5000.0 && exact > 5.0 * randomized {
            return Algorithm::Randomized;
        }
    }
    if rows >= dim { Algorithm::Covariance } else { Algorithm::Gram }
}

/// Solves rows held in memory.
pub(super) fn in_memory<T: Real>(x: ArrayView2<'_, T>, options: &PcaOptions) -> Result<Solution> {
    match choose(x.nrows(), x.ncols(), options) {
        Algorithm::Gram => gram(x, options),
        Algorithm::ThinSvd => svd(x, options),
        Algorithm::Randomized => randomized(x, options),
        Algorithm::Covariance => fast_covariance(x, options),
        streaming => covariance(x, options, ProductPrecision::F64, streaming),
    }
}

/// f32 products where they save time and what is kept and left out does not need more digits.
fn fast_covariance<T: Real>(x: ArrayView2<'_, T>, options: &PcaOptions) -> Result<Solution> {
    let work = x.nrows() as f64 * (x.ncols() as f64).powi(2);
    if work > SMALL_WORK && T::EPSILON > f64::EPSILON {
        // Squares that overflow in f32 may well fit into f64.
        match covariance(x, options, ProductPrecision::OfRows, Algorithm::Covariance) {
            Ok(solution) if solution.is_exact_enough() => return Ok(solution),
            _ => {}
        }
    }
    covariance(x, options, ProductPrecision::F64, Algorithm::Covariance)
}

impl Solution {
    /// Whether f32 products have left five digits of the smallest kept variance and of the mean of
    /// those left out.
    fn is_exact_enough(&self) -> bool {
        let kept = self.axes.nrows();
        let left_out = self.variances.slice(s![kept..]);
        let squares_are_normal = self.variances[kept - 1] > SINGLE_PRECISION_SMALLEST;
        squares_are_normal
            && self.variances[kept - 1] > SINGLE_PRECISION_RANGE * self.variances[0]
            && (left_out.is_empty()
                || left_out.sum() > SINGLE_PRECISION_RANGE * self.total_variance)
    }
}

fn covariance<T: Real>(
    x: ArrayView2<'_, T>,
    options: &PcaOptions,
    precision: ProductPrecision,
    solver: Algorithm,
) -> Result<Solution> {
    check_matrices(x.ncols(), "columns")?;
    let mut moments = Moments::new(x.ncols());
    moments.add(x, 0, precision)?;
    let statistics = Statistics::of(&moments);
    drop(moments);
    let mean = statistics.mean.clone();
    let mut again = |axes: ArrayView2<'_, f64>| {
        let mut along = Moments::new(axes.nrows());
        for block in x.axis_chunks_iter(Axis(0), BLOCK) {
            along.add(codes(block, &mean, axes).view(), 0, ProductPrecision::F64)?;
        }
        Ok(along.scatter())
    };
    statistics.solve(options, solver, Some(&mut again))
}

/// Refuses matrices of so many rows and columns that they do not fit: the scatter, its
/// eigenvectors, and what finding them takes.
fn check_matrices(side: usize, of: &str) -> Result<()> {
    let bytes = MATRICES * 8.0 * (side as f64).powi(2);
    check_memory(bytes, || format!("the products of {side} {of}, and their eigenvectors,"))
}

/// Centred rows along axes.
fn codes<T: Real>(
    rows: ArrayView2<'_, T>,
    mean: &Array1<f64>,
    axes: ArrayView2<'_, f64>,
) -> Array2<f64> {
    let mut codes = Array2::zeros((rows.nrows(), axes.nrows()));
    multiply(centred::<T, f64>(rows, mean).view(), axes.t(), codes.view_mut());
    codes
}

/// Eigenvectors of the covariance that the statistics hold, as far as they tell.
pub(super) fn from_moments(moments: &Moments, options: &PcaOptions) -> Result<Solution> {
    Statistics::of(moments).solve(options, Algorithm::Streaming, None)
}

/// What is left of the moments once their lanes are summed.
struct Statistics {
    rows: usize,
    mean: Array1<f64>,
    column_variances: Array1<f64>,
    scatter: Array2<f64>,
}

impl Statistics {
    fn of(moments: &Moments) -> Self {
        Self {
            rows: moments.rows() as usize,
            mean: moments.mean().clone(),
            column_variances: moments.column_variances(),
            scatter: moments.scatter(),
        }
    }

    fn solve(
        self,
        options: &PcaOptions,
        solver: Algorithm,
        again: Option<&mut ScatterAlong<'_>>,
    ) -> Result<Solution> {
        let Self { rows, mean, column_variances, scatter } = self;
        let total_variance = column_variances.sum();
        let select = |variances: &Array1<f64>, rank| {
            let of_columns = || column_variances.clone();
            select::choose(variances, total_variance, rank, rows, options, of_columns)
        };
        let known = spectrum::Rows { count: rows, dim: mean.len(), mean: &mean };
        let Spectrum { variances, axes, selection } =
            spectrum::decompose(scatter, &known, options, &select, again)?;
        let axes = axes.slice(s![..selection.components, ..]).to_owned();
        Ok(Solution { rows, mean, variances, axes, total_variance, solver, selection })
    }
}

/// One pass over a source where it is tall or its covariance is wanted; else its rows in memory.
pub(super) fn from_source(source: &dyn Source, options: &PcaOptions) -> Result<Solution> {
    let tall = source.rows() >= source.dim();
    let solver = match (options.solver, choose(source.rows(), source.dim(), options)) {
        (_, Algorithm::Streaming) => Some(Algorithm::Streaming),
        (Solver::Covariance, _) => Some(Algorithm::Covariance),
        (Solver::Auto, Algorithm::Covariance) => Some(Algorithm::Streaming),
        (Solver::Auto, Algorithm::Randomized) if tall => Some(Algorithm::Streaming),
        _ => None,
    };
    match (solver, source.precision()) {
        (Some(solver), Precision::F32) => stream::<f32>(source, options, solver),
        (Some(solver), Precision::F64) => stream::<f64>(source, options, solver),
        (None, Precision::F32) => in_memory(read_all::<f32>(source)?.view(), options),
        (None, Precision::F64) => in_memory(read_all::<f64>(source)?.view(), options),
    }
}

fn read_all<T: ReadRows>(source: &dyn Source) -> Result<Array2<T>> {
    let shape = (source.rows(), source.dim());
    let bytes = (size_of::<T>() as f64) * shape.0 as f64 * shape.1 as f64;
    check_memory(bytes, || format!("{} rows of {} columns, held whole,", shape.0, shape.1))?;
    let mut rows = Array2::from_elem(shape, T::ZERO);
    T::read_rows(source, 0, rows.as_slice_mut().expect("owned and row-major"))?;
    Ok(rows)
}

/// The covariance in one pass, the next wave read while the last one is multiplied; small
/// variances in another.
fn stream<T: ReadRows>(
    source: &dyn Source,
    options: &PcaOptions,
    solver: Algorithm,
) -> Result<Solution> {
    check_matrices(source.dim(), "columns")?;
    let mut moments = Moments::new(source.dim());
    let wave = moments.wave_rows();
    waves::<T>(source, wave, &mut |block, start| moments.add(block, start, ProductPrecision::F64))?;
    let statistics = Statistics::of(&moments);
    drop(moments);
    let mean = statistics.mean.clone();
    let mut again = |axes: ArrayView2<'_, f64>| {
        let mut along = Moments::new(axes.nrows());
        waves::<T>(source, wave, &mut |block, start| {
            along.add(codes(block, &mean, axes).view(), start, ProductPrecision::F64)
        })?;
        Ok(along.scatter())
    };
    statistics.solve(options, solver, Some(&mut again))
}

/// Hands out all rows in order, so many at a time; reads the next ones meanwhile.
fn waves<T: ReadRows>(
    source: &dyn Source,
    wave: usize,
    with: &mut (dyn FnMut(ArrayView2<'_, T>, usize) -> Result<()> + Send),
) -> Result<()> {
    let (rows, dim) = (source.rows(), source.dim());
    let read = |start: usize, buffer: &mut Vec<T>| -> Result<()> {
        buffer.resize(wave.min(rows.saturating_sub(start)) * dim, T::ZERO);
        T::read_rows(source, start, buffer)
    };
    let (mut current, mut next) = (Vec::new(), Vec::new());
    read(0, &mut current)?;
    for start in (0..rows).step_by(wave) {
        let block =
            ArrayView2::from_shape((current.len() / dim, dim), &current).expect("whole rows");
        let (done, ahead) = rayon::join(
            || with(block, start),
            || if start + wave < rows { read(start + wave, &mut next) } else { Ok(()) },
        );
        done.and(ahead)?;
        std::mem::swap(&mut current, &mut next);
    }
    Ok(())
}

/// Eigenvectors of the products between rows, for fewer rows than columns.
fn gram<T: Real>(x: ArrayView2<'_, T>, options: &PcaOptions) -> Result<Solution> {
    let (rows, dim) = x.dim();
    check_matrices(rows, "rows")?;
    let mean = finite_means(x)?;
    let mut products = Array2::<f64>::zeros((rows, rows));
    for_column_blocks(x, &mean, |_, block| {
        add_cross_products([(block.t(), products.view_mut())], &mut Vec::new());
    });
    let scale = rows as f64 - 1.0;
    let total_variance = products.diag().sum() / scale;
    let mut again = |weights: ArrayView2<'_, f64>| {
        let mut along = Array2::<f64>::zeros((weights.nrows(), weights.nrows()));
        for_column_blocks(x, &mean, |_, block| {
            let mut axes = Array2::zeros((weights.nrows(), block.ncols()));
            multiply(weights, block.view(), axes.view_mut());
            add_cross_products([(axes.t(), along.view_mut())], &mut Vec::new());
        });
        Ok(along)
    };
    let select = |variances: &Array1<f64>, rank| {
        let of_columns = || column_variances(x, &mean);
        select::choose(variances, total_variance, rank, rows, options, of_columns)
    };
    let known = spectrum::Rows { count: rows, dim, mean: &mean };
    let Spectrum { variances, axes: turn, selection } =
        spectrum::decompose(products, &known, options, &select, Some(&mut again))?;
    let k = selection.components;
    let mut weights = turn.slice(s![..k, ..]).to_owned();
    drop(turn);
    for (mut weight, variance) in weights.rows_mut().into_iter().zip(&variances) {
        weight /= (variance * scale).sqrt();
    }
    let mut axes = Array2::<f64>::zeros((k, dim));
    for_column_blocks(x, &mean, |columns, block| {
        multiply(weights.view(), block.view(), axes.slice_mut(s![.., columns]));
    });
    if variances[k - 1] < 1e-6 * variances[0] {
        restore_orthogonality(&mut axes);
    }
    let solver = Algorithm::Gram;
    Ok(Solution { rows, mean, variances, axes, total_variance, solver, selection })
}

/// Squaring lost the digits of small components; QR makes the axes orthonormal again without
/// turning the large ones.
fn restore_orthogonality(axes: &mut Array2<f64>) {
    let basis = orthonormal_rows(axes);
    for (mut axis, unit) in axes.rows_mut().into_iter().zip(basis.rows()) {
        let sign = axis.dot(&unit).signum();
        axis.assign(&unit.mapv(|value| sign * value));
    }
}

/// Hands out the centred rows by blocks of columns, in f64.
fn for_column_blocks<T: Real>(
    x: ArrayView2<'_, T>,
    mean: &Array1<f64>,
    mut with: impl FnMut(std::ops::Range<usize>, Array2<f64>),
) {
    let dim = x.ncols();
    for start in (0..dim).step_by(GRAM_COLUMNS) {
        let columns = start..dim.min(start + GRAM_COLUMNS);
        let mean = mean.slice(s![columns.clone()]).to_owned();
        with(columns.clone(), centred(x.slice(s![.., columns]), &mean));
    }
}

/// Singular vectors of the centred rows.
fn svd<T: Real>(x: ArrayView2<'_, T>, options: &PcaOptions) -> Result<Solution> {
    let (rows, dim) = x.dim();
    let (n, d) = (rows as f64, dim as f64);
    let numbers = SVD_COPIES.0 * n * d + SVD_COPIES.1 * n.min(d).powi(2);
    check_memory(8.0 * numbers, || {
        format!("the singular vectors of {rows} rows of {dim} columns")
    })?;
    let mean = finite_means(x)?;
    let centred: Array2<f64> = centred(x, &mean);
    let scale = rows as f64 - 1.0;
    let total_variance = centred.iter().map(|v| v * v).sum::<f64>() / scale;
    spectrum::check_finite(total_variance)?;
    let svd = thin_svd(centred.view())?;
    drop(centred);
    let mut variances = svd.values.mapv(|v| v * v / scale);
    let rank = zero_below(&mut variances, rounding::<f64>().powi(2), &mean)?;
    let column_variances = || column_variances(x, &mean);
    let selection =
        select::choose(&variances, total_variance, rank, rows, options, column_variances)?;
    let axes = svd.right.slice(s![..selection.components, ..]).to_owned();
    let solver = Algorithm::ThinSvd;
    Ok(Solution { rows, mean, variances, axes, total_variance, solver, selection })
}

fn power_iterations(k: usize, rows: usize, dim: usize, options: &PcaOptions) -> usize {
    let few = (k as f64) < 0.1 * rows.min(dim) as f64;
    options.power_iterations.unwrap_or(if few { 7 } else { 4 })
}

/// Singular vectors on a random range that power iteration has turned towards the large ones.
fn randomized<T: Real>(x: ArrayView2<'_, T>, options: &PcaOptions) -> Result<Solution> {
    let (rows, dim) = x.dim();
    let Components::Count(k) = options.components else {
        return Err(Error::mistake(
            "fit PCA with the randomised solver",
            "a number of components",
            format!("{}", options.components),
            "give a number, or let the solver be chosen",
        ));
    };
    let width = (k + options.oversampling).min(rows.min(dim));
    let numbers = rows as f64 * dim as f64 + 3.0 * width as f64 * (rows + dim) as f64;
    check_memory(size_of::<T>() as f64 * numbers, || {
        format!("a centred copy of {rows} rows of {dim} columns")
    })?;
    let mean = finite_means(x)?;
    let centred: Array2<T> = centred(x, &mean);
    let mut random = Random::stream(options.seed, "randomised svd");
    let mut basis = Array2::from_shape_fn((width, dim), |_| T::from_f64(random.normal()));
    let mut range = through(&basis, centred.t());
    for _ in 0..power_iterations(k, rows, dim, options) {
        basis = through(&orthonormal(&range), centred.view());
        range = through(&orthonormal(&basis), centred.t());
    }
    let projected = through(&orthonormal(&range), centred.view()).mapv(Real::to_f64);
    let svd = thin_svd(projected.view())?;
    let scale = rows as f64 - 1.0;
    let total_variance = column_variances(x, &mean).sum();
    spectrum::check_finite(total_variance)?;
    let mut variances = svd.values.mapv(|v| v * v / scale);
    let rank = zero_below(&mut variances, rounding::<T>().powi(2), &mean)?;
    if width < rows.min(dim) {
        // Those beyond the ones asked for are estimates of nothing in particular.
        variances = variances.slice(s![..k.min(rank)]).to_owned();
    }
    let unused = || Array1::zeros(0);
    let selection = select::choose(&variances, total_variance, rank, rows, options, unused)?;
    let axes = svd.right.slice(s![..selection.components, ..]).to_owned();
    let solver = Algorithm::Randomized;
    Ok(Solution { rows, mean, variances, axes, total_variance, solver, selection })
}

fn through<T: Real>(left: &Array2<T>, right: ArrayView2<'_, T>) -> Array2<T> {
    let mut out = Array2::from_elem((left.nrows(), right.ncols()), T::ZERO);
    multiply(left.view(), right, out.view_mut());
    out
}

/// A basis of the space that the rows span. The squares of f32 rows fit into f64, so there their
/// Gram matrix loses no direction and replaces a QR that would walk long rows many times.
fn orthonormal<T: Real>(rows: &Array2<T>) -> Array2<T> {
    if T::EPSILON == f64::EPSILON {
        return orthonormal_rows(&rows.mapv(Real::to_f64)).mapv(T::from_f64);
    }
    match whitened(rows).and_then(|once| whitened(&once)) {
        Ok(basis) => basis,
        Err(_) => orthonormal_rows(&rows.mapv(Real::to_f64)).mapv(T::from_f64),
    }
}

/// `Λ^(−1/2) Uᵀ · rows` with `rows · rowsᵀ = U Λ Uᵀ`: orthonormal, but for rows that depend on each
/// other, which become short instead of long noise.
fn whitened<T: Real>(rows: &Array2<T>) -> Result<Array2<T>> {
    let (count, length) = rows.dim();
    let columns = length.div_ceil(64).max(4096);
    let partial: Vec<Array2<f64>> = rows
        .axis_chunks_iter(Axis(1), columns)
        .into_par_iter()
        .map(|block| {
            let block = block.mapv(Real::to_f64);
            let mut products = Array2::zeros((count, count));
            multiply(block.view(), block.t(), products.view_mut());
            products
        })
        .collect();
    let products =
        partial.iter().fold(Array2::<f64>::zeros((count, count)), |sum, part| sum + part);
    let eigen = symmetric_eigen(products.view())?;
    let smallest = (1e-15 * eigen.values[0]).max(f64::MIN_POSITIVE);
    let mut turn = eigen.vectors;
    for (mut row, value) in turn.rows_mut().into_iter().zip(&eigen.values) {
        row /= value.max(smallest).sqrt();
    }
    let mut out = Array2::from_elem((count, length), T::ZERO);
    out.axis_chunks_iter_mut(Axis(1), columns)
        .into_par_iter()
        .zip(rows.axis_chunks_iter(Axis(1), columns))
        .for_each(|(mut out, block)| {
            let block = block.mapv(Real::to_f64);
            let mut turned = Array2::zeros(block.dim());
            multiply(turn.view(), block.view(), turned.view_mut());
            out.zip_mut_with(&turned, |out, &value| *out = T::from_f64(value));
        });
    Ok(out)
}

/// Means of the columns. That of a constant column is its value: rounded, it would make a column of
/// large numbers vary.
fn finite_means<T: Real>(x: ArrayView2<'_, T>) -> Result<Array1<f64>> {
    let mut mean = column_means(x);
    if !mean.iter().all(|value| value.is_finite()) {
        return Err(not_finite(x, 0));
    }
    for (mean, column) in mean.iter_mut().zip(x.columns()) {
        let first = column[0].to_f64();
        let rounded = *mean != first && (*mean - first).abs() < 1e-12 * first.abs();
        if rounded && column.iter().all(|value| value.to_f64() == first) {
            *mean = first;
        }
    }
    Ok(mean)
}

/// Variance of each column, divided by n − 1.
fn column_variances<T: Real>(x: ArrayView2<'_, T>, mean: &Array1<f64>) -> Array1<f64> {
    let mut sum = Array1::<f64>::zeros(x.ncols());
    for row in x.rows() {
        for ((sum, value), mean) in sum.iter_mut().zip(row).zip(mean) {
            *sum += (value.to_f64() - mean).powi(2);
        }
    }
    sum / (x.nrows() as f64 - 1.0)
}
