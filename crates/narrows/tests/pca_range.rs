//! PCA at the limits of its numbers: variances far apart, directions without variance, large sets,
//! huge and tiny values.

#![allow(clippy::unwrap_used)]

use narrows::compute::principal_angles;
use narrows::data::Source;
use narrows::model::pca::{Algorithm, Components, Pca, PcaOptions, Solver};
use narrows::random::Random;
use ndarray::{Array1, Array2, s};

const EXACT: [Solver; 5] =
    [Solver::Auto, Solver::Covariance, Solver::Gram, Solver::ThinSvd, Solver::Streaming];

fn normal(rows: usize, dim: usize) -> Array2<f64> {
    let mut random = Random::stream(0, "range");
    Array2::from_shape_simple_fn((rows, dim), || random.normal())
}

fn fit(x: &Array2<f64>, components: Components, solver: Solver) -> narrows::Result<Pca> {
    let options = PcaOptions { components, solver, ..Default::default() };
    match solver {
        Solver::Streaming => Pca::fit_source(&x.view(), &options),
        _ => Pca::fit(x.view(), &options),
    }
}

/// Independent columns: sample variances, which those of a graded matrix are to first order in the
/// ratio of neighbouring variances. The correlation with the larger columns is taken out here by
/// Gram and Schmidt, in which nothing small is ever added to anything large.
fn graded_variances(x: &Array2<f64>) -> Vec<f64> {
    let mut rest: Vec<Array1<f64>> =
        x.columns().into_iter().map(|column| &column - column.mean().unwrap()).collect();
    (0..rest.len())
        .map(|j| {
            for i in 0..j {
                let share = rest[i].dot(&rest[j]) / rest[i].dot(&rest[i]);
                let larger = rest[i].clone();
                rest[j].scaled_add(-share, &larger);
            }
            rest[j].dot(&rest[j]) / (x.nrows() as f64 - 1.0)
        })
        .collect()
}

/// Columns of standard deviation 1, 1e-5 and 1e-10: squares would keep nothing of the last one.
/// Tall for the covariance, wide rows for the Gram matrix, 500 and 501 rows for what `Auto` takes.
#[test]
fn variances_far_apart_are_all_found_by_every_solver() {
    for (rows, dim) in [(300, 3), (500, 3), (501, 3), (20_000, 3)] {
        let mut x = normal(rows, dim);
        for (j, mut column) in x.columns_mut().into_iter().enumerate() {
            column *= 1e-5_f64.powi(j as i32);
        }
        let expected = graded_variances(&x);
        for solver in EXACT.into_iter().filter(|solver| rows < 1000 || *solver != Solver::Gram) {
            let pca = fit(&x, Components::All, solver).unwrap();
            assert_eq!(pca.components.nrows(), dim, "{solver:?}, {rows} rows");
            for (j, expected) in expected.iter().enumerate() {
                // Rows are exact to a relative 1e-16 of the largest, which is 1e-6 of the smallest;
                // neighbours change each other by the square of their ratio.
                let error = (pca.explained_variance[j] / expected - 1.0).abs();
                assert!(error < 1e-9, "{solver:?}, {rows} rows: variance {j} off by {error:e}");
            }
        }
    }
}

/// The mean of what is left out keeps its digits beside what is kept.
#[test]
fn noise_far_below_the_largest_variance_is_exact() {
    for rows in [500, 501, 5000] {
        let mut x = normal(rows, 3);
        x.column_mut(0).mapv_inplace(|value| value * 1e6);
        x.column_mut(2).mapv_inplace(|value| value * 1e-6);
        let variances = graded_variances(&x);
        let expected = (variances[1] + variances[2]) / 2.0;
        for solver in [Solver::Auto, Solver::Covariance, Solver::ThinSvd, Solver::Streaming] {
            let pca = fit(&x, Components::Count(1), solver).unwrap();
            let error = (pca.noise_variance / expected - 1.0).abs();
            assert!(error < 1e-9, "{solver:?}, {rows} rows: off by {error:e}");
        }
    }
}

/// Dependent and constant columns around large means: the rank is that of the independent ones.
#[test]
fn a_direction_without_variance_is_no_component_however_many_rows() {
    for rows in [60, 600, 100_000] {
        let mut x = normal(rows, 6);
        for mut row in x.rows_mut() {
            row[0] += 1e4;
            row[3] = 1e6 / 3.0;
            row[4] = 3.0 * row[0] + row[1];
            row[5] = row[2] - 1e4;
        }
        for solver in EXACT.into_iter().filter(|solver| rows < 1000 || *solver != Solver::Gram) {
            let pca = fit(&x, Components::All, solver).unwrap();
            assert_eq!(pca.components.nrows(), 3, "{solver:?}, {rows} rows");
            assert_eq!(pca.noise_variance, 0.0, "{solver:?}, {rows} rows");
        }
    }
}

/// The share of the largest variance at which a component of f32 rows counts as rounding does not
/// grow with their number.
#[test]
fn the_randomised_solver_keeps_small_variances_of_many_f32_rows() {
    for rows in [2_000, 200_000] {
        let mut x = normal(rows, 12);
        for (j, mut column) in x.columns_mut().into_iter().enumerate() {
            column *= 0.3_f64.powi(j as i32);
        }
        let narrow = x.mapv(|value| value as f32);
        let options = PcaOptions {
            components: Components::Count(10),
            solver: Solver::Randomized,
            ..Default::default()
        };
        let sketch = Pca::fit(narrow.view(), &options).unwrap();
        let exact = fit(&x, Components::Count(10), Solver::ThinSvd).unwrap();
        assert_eq!(sketch.components.nrows(), 10, "{rows} rows: {}", sketch.selection.reason);
        let ratio = &sketch.explained_variance / &exact.explained_variance - 1.0;
        assert!(ratio.iter().all(|error| error.abs() < 1e-4), "{rows} rows: {ratio}");
    }
}

#[test]
fn the_randomised_solver_leaves_out_what_f32_rows_do_not_have() {
    let codes = normal(50_000, 3).mapv(|value| (value * 64.0).round());
    let mix = normal(3, 20).mapv(|value| (value * 64.0).round());
    let x = codes.dot(&mix).mapv(|value| value as f32);
    let options = PcaOptions {
        components: Components::Count(8),
        solver: Solver::Randomized,
        ..Default::default()
    };
    let pca = Pca::fit(x.view(), &options).unwrap();
    let exact = fit(&codes.dot(&mix), Components::Count(3), Solver::ThinSvd).unwrap();
    let kept = pca.components.slice(s![..3, ..]).to_owned();
    let angles = principal_angles(&kept, &exact.components).unwrap();
    assert!(angles.iter().all(|angle| *angle < 1e-4), "{angles:?}");
    assert_eq!(pca.components.nrows(), 3, "{:?}", pca.selection.spectrum);
}

/// f32 products would lose what is left out, and overflow or vanish at the ends of their range.
#[test]
fn f32_rows_of_any_size_and_noise_are_fitted_like_f64_rows() {
    for (size, noise) in [(1.0, 1e-4), (1e25, 1.0), (1e-22, 1.0)] {
        let mut x = normal(70_000, 250);
        x.slice_mut(s![.., 4..]).mapv_inplace(|value| value * noise);
        let narrow = x.mapv(|value| (value * size) as f32);
        let wide = narrow.mapv(f64::from);
        let options = PcaOptions { components: Components::Count(4), ..Default::default() };
        let single = Pca::fit(narrow.view(), &options).unwrap();
        let double = Pca::fit(wide.view(), &options).unwrap();
        assert_eq!(single.solver, Algorithm::Covariance);
        let error = (single.noise_variance / double.noise_variance - 1.0).abs();
        assert!(error < 1e-5, "size {size:e}: noise off by {error:e}");
        let ratio = &single.explained_variance / &double.explained_variance - 1.0;
        assert!(ratio.iter().all(|error| error.abs() < 1e-5), "size {size:e}: {ratio}");
    }
}

#[test]
fn values_beyond_the_range_of_squares_are_told_from_rows_that_are_the_same() {
    for (scale, expected) in [
        (1e200, "numbers whose squares can be summed"),
        (1e-158, "or differ by less than 1e-145"),
        (1e-170, "or differ by less than 1e-145"),
    ] {
        let x = normal(40, 3) * scale;
        for solver in EXACT {
            let error = fit(&x, Components::All, solver).unwrap_err();
            let message = error.to_string();
            let found = message.contains(expected.trim_start_matches("or "));
            assert!(found && error.exit_code() == 2, "{scale:e}, {solver:?}: {message}");
        }
    }
    for scale in [1e120, 1e-120] {
        let x = normal(40, 3);
        let one = fit(&x, Components::All, Solver::Auto).unwrap();
        let scaled = fit(&(x * scale), Components::All, Solver::Auto).unwrap();
        let ratio = scaled.explained_variance / (scale * scale) / one.explained_variance - 1.0;
        assert!(ratio.iter().all(|error| error.abs() < 1e-12), "{scale:e}: {ratio}");
    }
}

/// 0.1 has no exact sum: the rounding of its mean is not a component.
#[test]
fn rows_that_are_all_the_same_are_refused_and_rows_that_hardly_differ_are_not() {
    for rows in [7, 600, 20_000] {
        let same = Array2::from_elem((rows, 3), 0.1);
        let mut beside = normal(rows, 3) * 1e-4;
        beside.column_mut(1).fill(1e9 / 3.0);
        let counted = Array2::from_shape_fn((rows, 2), |(i, j)| 1e15 + ((i * (j + 3)) % 7) as f64);
        for solver in [Solver::Auto, Solver::Covariance, Solver::Streaming] {
            let message = fit(&same, Components::All, solver).unwrap_err().to_string();
            assert!(message.contains("rows that are all the same"), "{solver:?} {rows}: {message}");
            let pca = fit(&beside, Components::All, solver).unwrap();
            assert_eq!(pca.components.nrows(), 2, "{solver:?}, {rows} rows");
            let found = fit(&counted, Components::All, solver).unwrap().explained_variance;
            let expected = fit(&(&counted - 1e15), Components::All, solver).unwrap();
            let ratio = found / expected.explained_variance - 1.0;
            assert!(ratio.iter().all(|v| v.abs() < 0.05), "{solver:?}, {rows} rows: {ratio}");
        }
    }
}

/// A source that counts how much of it is asked for at a time.
struct Watched {
    rows: usize,
    dim: usize,
    most: std::sync::atomic::AtomicUsize,
}

impl Watched {
    fn fill<T>(&self, start: usize, out: &mut [T], from: impl Fn(f64) -> T) {
        self.most.fetch_max(out.len() / self.dim, std::sync::atomic::Ordering::Relaxed);
        for (row, out) in out.chunks_exact_mut(self.dim).enumerate() {
            let mut random = Random::stream((start + row) as u64, "a row");
            out.fill_with(|| from(random.normal()));
        }
    }
}

impl Source for Watched {
    fn rows(&self) -> usize {
        self.rows
    }
    fn dim(&self) -> usize {
        self.dim
    }
    fn precision(&self) -> narrows::data::Precision {
        narrows::data::Precision::F32
    }
    fn read_f32(&self, start: usize, out: &mut [f32]) -> narrows::Result<()> {
        self.fill(start, out, |value| value as f32);
        Ok(())
    }
    fn read_f64(&self, start: usize, out: &mut [f64]) -> narrows::Result<()> {
        self.fill(start, out, |value| value);
        Ok(())
    }
}

#[test]
fn a_tall_source_is_never_held() {
    for solver in [Solver::Auto, Solver::Covariance, Solver::Streaming] {
        let source = Watched { rows: 40_000, dim: 4, most: Default::default() };
        let options = PcaOptions { components: Components::Count(2), solver, ..Default::default() };
        Pca::fit_source(&source, &options).unwrap();
        let most = source.most.into_inner();
        assert!(most < 10_000, "{solver:?} asked for {most} rows at once");
    }
}

/// Nothing of it is read or allocated before it is refused.
#[test]
fn what_does_not_fit_in_memory_is_refused() {
    if !cfg!(target_os = "linux") {
        println!("skipped: the memory that is free is known on Linux only");
        return;
    }
    for (rows, dim, solver, expected) in [
        (2_000_000, 1_500_000, Solver::Auto, "the products of 1500000 columns"),
        (40_000_000, 50_000, Solver::Randomized, "40000000 rows of 50000 columns, held whole,"),
        (5_000, 2_000_000_000, Solver::Auto, "5000 rows of 2000000000 columns, held whole,"),
    ] {
        let source = Watched { rows, dim, most: Default::default() };
        let options = PcaOptions { components: Components::Count(3), solver, ..Default::default() };
        let error = Pca::fit_source(&source, &options).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!((error.exit_code(), source.most.into_inner()), (1, 0));
    }
}
