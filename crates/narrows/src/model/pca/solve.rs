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
//! Source: randomised: N. Halko, P. Martinsson and J. Tropp, SIAM Review 53 (2011), algorithm 4.4;
//! Gram: Turk and Pentland (1991).

use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::PcaOptions;
use super::select::{self, Components, Selection};
use crate::compute::{
    Moments, ProductPrecision, Real, add_cross_products, centred, column_means, multiply,
    not_finite, orthonormal_rows, symmetric_eigen, thin_svd,
};
use crate::data::{Precision, ReadRows, Source};
use crate::error::{Error, Result};
use crate::random::Random;

/// Which algorithm finds the components.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Solver {
    /// The cheapest exact one; the randomised one only where it saves a factor of five and more
    /// than 5,000 rows and columns are left to decompose.
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
    /// Rounds of expectation and maximisation, for rows with missing values.
    ExpectationMaximization,
}

/// What a solver found, before signs are fixed.
pub(super) struct Solution {
    pub(super) rows: usize,
    pub(super) mean: Array1<f64>,
    /// All variances that the solver knows, largest first; at least as many as axes.
    pub(super) variances: Array1<f64>,
    pub(super) axes: Array2<f64>,
    pub(super) total_variance: f64,
    pub(super) solver: Solver,
    pub(super) selection: Selection,
}

/// Columns of centred rows that are multiplied at a time by the Gram solver.
const GRAM_COLUMNS: usize = 1024;

/// Work below which f32 products would save nothing worth having.
const SMALL_WORK: f64 = 4e9;

/// Share of the largest variance that the smallest kept one must reach for f32 products to leave
/// it five exact digits.
const SINGLE_PRECISION_RANGE: f64 = 1e-2;

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

/// The solver that `Auto` stands for.
fn choose(rows: usize, dim: usize, options: &PcaOptions) -> Solver {
    if options.solver != Solver::Auto {
        return options.solver;
    }
    let (n, d) = (rows as f64, dim as f64);
    let small = n.min(d);
    if rows.max(dim) <= 500 {
        return Solver::ThinSvd;
    }
    if let Components::Count(k) = options.components {
        let exact = n * d * small + 36.0 * small.powi(3);
        let width = (k + options.oversampling) as f64;
        let randomized = 4.0 * n * d * width * (1 + power_iterations(k, rows, dim, options)) as f64;
        if small > 5000.0 && exact > 5.0 * randomized {
            return Solver::Randomized;
        }
    }
    if rows >= dim { Solver::Covariance } else { Solver::Gram }
}

/// Solves rows held in memory.
pub(super) fn in_memory<T: Real>(x: ArrayView2<'_, T>, options: &PcaOptions) -> Result<Solution> {
    match choose(x.nrows(), x.ncols(), options) {
        Solver::Gram => gram(x, options),
        Solver::ThinSvd => svd(x, options),
        Solver::Randomized => randomized(x, options),
        Solver::Streaming => covariance(x, options, ProductPrecision::F64, Solver::Streaming),
        Solver::ExpectationMaximization => Err(Error::mistake(
            "fit PCA",
            "a solver for complete rows",
            "expectation–maximisation",
            "use `--missing em`, or let the solver be chosen",
        )),
        Solver::Covariance | Solver::Auto => fast_covariance(x, options),
    }
}

/// f32 products where they save time and the variances that are kept do not need more digits.
fn fast_covariance<T: Real>(x: ArrayView2<'_, T>, options: &PcaOptions) -> Result<Solution> {
    let work = x.nrows() as f64 * (x.ncols() as f64).powi(2);
    if work > SMALL_WORK {
        let solution = covariance(x, options, ProductPrecision::OfRows, Solver::Covariance)?;
        let smallest = solution.variances[solution.axes.nrows() - 1];
        if T::EPSILON == f64::EPSILON || smallest > SINGLE_PRECISION_RANGE * solution.variances[0] {
            return Ok(solution);
        }
    }
    covariance(x, options, ProductPrecision::F64, Solver::Covariance)
}

fn covariance<T: Real>(
    x: ArrayView2<'_, T>,
    options: &PcaOptions,
    precision: ProductPrecision,
    solver: Solver,
) -> Result<Solution> {
    let mut moments = Moments::new(x.ncols());
    moments.add(x, 0, precision)?;
    from_moments(&moments, options, solver)
}

/// Eigenvectors of the covariance that the statistics hold.
pub(super) fn from_moments(
    moments: &Moments,
    options: &PcaOptions,
    solver: Solver,
) -> Result<Solution> {
    let rows = moments.rows() as usize;
    let mut covariance = moments.scatter();
    covariance /= rows as f64 - 1.0;
    let total_variance = covariance.diag().sum();
    let eigen = symmetric_eigen(covariance.view())?;
    drop(covariance);
    let known = rows.min(moments.dim());
    let mut variances = eigen.values.slice(s![..known]).mapv(|v| v.max(0.0));
    let rank = zero_below(&mut variances, rows.max(moments.dim()) as f64 * f64::EPSILON)?;
    let column_variances = || moments.column_variances();
    let selection =
        select::choose(&variances, total_variance, rank, rows, options, column_variances)?;
    Ok(Solution {
        rows,
        mean: moments.mean().clone(),
        axes: eigen.vectors.slice(s![..selection.components, ..]).to_owned(),
        variances,
        total_variance,
        solver,
        selection,
    })
}

/// One pass over a source where it is tall; else its rows in memory.
pub(super) fn from_source(source: &dyn Source, options: &PcaOptions) -> Result<Solution> {
    let one_pass = match choose(source.rows(), source.dim(), options) {
        Solver::Streaming => true,
        Solver::Covariance => options.solver == Solver::Auto,
        _ => false,
    };
    match (one_pass, source.precision()) {
        (true, Precision::F32) => stream::<f32>(source, options),
        (true, Precision::F64) => stream::<f64>(source, options),
        (false, Precision::F32) => in_memory(read_all::<f32>(source)?.view(), options),
        (false, Precision::F64) => in_memory(read_all::<f64>(source)?.view(), options),
    }
}

fn read_all<T: ReadRows>(source: &dyn Source) -> Result<Array2<T>> {
    let mut rows = Array2::from_elem((source.rows(), source.dim()), T::ZERO);
    T::read_rows(source, 0, rows.as_slice_mut().expect("owned and row-major"))?;
    Ok(rows)
}

/// Reads the next wave while the last one is multiplied.
fn stream<T: ReadRows>(source: &dyn Source, options: &PcaOptions) -> Result<Solution> {
    let (rows, dim) = (source.rows(), source.dim());
    let mut moments = Moments::new(dim);
    let wave = moments.wave_rows();
    let read = |start: usize, buffer: &mut Vec<T>| -> Result<()> {
        buffer.resize(wave.min(rows.saturating_sub(start)) * dim, T::ZERO);
        T::read_rows(source, start, buffer)
    };
    let (mut current, mut next) = (Vec::new(), Vec::new());
    read(0, &mut current)?;
    for start in (0..rows).step_by(wave) {
        let block =
            ArrayView2::from_shape((current.len() / dim, dim), &current).expect("whole rows");
        let (added, ahead) = rayon::join(
            || moments.add(block, start, ProductPrecision::F64),
            || if start + wave < rows { read(start + wave, &mut next) } else { Ok(()) },
        );
        added.and(ahead)?;
        std::mem::swap(&mut current, &mut next);
    }
    from_moments(&moments, options, Solver::Streaming)
}

/// Eigenvectors of the products between rows, for fewer rows than columns.
fn gram<T: Real>(x: ArrayView2<'_, T>, options: &PcaOptions) -> Result<Solution> {
    let (rows, dim) = x.dim();
    let mean = finite_means(x)?;
    let mut products = Array2::<f64>::zeros((rows, rows));
    for_column_blocks(x, &mean, |_, block| {
        add_cross_products([(block.t(), products.view_mut())], &mut Vec::new());
    });
    let scale = rows as f64 - 1.0;
    let total_variance = products.diag().sum() / scale;
    let eigen = symmetric_eigen(products.t())?;
    drop(products);
    let mut variances = eigen.values.slice(s![..rows.min(dim)]).mapv(|v| v.max(0.0) / scale);
    let rank = zero_below(&mut variances, rows.max(dim) as f64 * f64::EPSILON)?;
    let column_variances = || column_variances(x, &mean);
    let selection =
        select::choose(&variances, total_variance, rank, rows, options, column_variances)?;
    let k = selection.components;
    let mut weights = eigen.vectors.slice(s![..k, ..]).to_owned();
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
    Ok(Solution { rows, mean, variances, axes, total_variance, solver: Solver::Gram, selection })
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
    let mean = finite_means(x)?;
    let centred: Array2<f64> = centred(x, &mean);
    let svd = thin_svd(centred.view())?;
    let scale = rows as f64 - 1.0;
    let total_variance = centred.iter().map(|v| v * v).sum::<f64>() / scale;
    let mut variances = svd.values.mapv(|v| v * v / scale);
    let cutoff = rows.max(dim) as f64 * f64::EPSILON;
    let rank = zero_below(&mut variances, cutoff * cutoff)?;
    let column_variances = || column_variances(x, &mean);
    let selection =
        select::choose(&variances, total_variance, rank, rows, options, column_variances)?;
    let axes = svd.right.slice(s![..selection.components, ..]).to_owned();
    Ok(Solution { rows, mean, variances, axes, total_variance, solver: Solver::ThinSvd, selection })
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
    let mean = finite_means(x)?;
    let centred: Array2<T> = centred(x, &mean);
    let width = (k + options.oversampling).min(rows.min(dim));
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
    let mut variances = svd.values.mapv(|v| v * v / scale);
    let rank = zero_below(&mut variances, (rows.max(dim) as f64 * T::EPSILON).powi(2))?;
    variances = variances.slice(s![..k.min(rank)]).to_owned();
    let unused = || Array1::zeros(0);
    let selection = select::choose(&variances, total_variance, rank, rows, options, unused)?;
    let axes = svd.right.slice(s![..selection.components, ..]).to_owned();
    Ok(Solution {
        rows,
        mean,
        variances,
        axes,
        total_variance,
        solver: Solver::Randomized,
        selection,
    })
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

fn finite_means<T: Real>(x: ArrayView2<'_, T>) -> Result<Array1<f64>> {
    let mean = column_means(x);
    if mean.iter().all(|value| value.is_finite()) { Ok(mean) } else { Err(not_finite(x, 0)) }
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

/// Sets variances that are rounding noise to zero; gives the number that are not.
fn zero_below(variances: &mut Array1<f64>, share: f64) -> Result<usize> {
    let cutoff = variances[0] * share;
    variances.mapv_inplace(|v| if v > cutoff { v } else { 0.0 });
    let rank = variances.iter().take_while(|&&v| v > 0.0).count();
    if rank > 0 {
        return Ok(rank);
    }
    Err(Error::mistake(
        "fit PCA",
        "rows that differ",
        "rows that are all the same",
        "check that the right file and columns are read",
    ))
}
