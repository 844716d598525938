//! PCA against scikit-learn: every fitted attribute of every exact solver, on matrices of every
//! shape and rank, and the accuracy that survives a large column mean.
//!
//! `golden/make_pca.py` made `golden/pca.json` and says how.

#![allow(clippy::unwrap_used)]

use std::fmt::Debug;
use std::str::FromStr;

use narrows::compute::{Real, orthonormal_rows, thin_svd};
use narrows::data::{ReadRows, Source};
use narrows::model::pca::{Components, Pca, PcaOptions, Solver};
use narrows::random::Random;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};
use serde::Deserialize;

/// How many of a case's `rows` are among those that were fitted; they come first.
const ROWS_FITTED: usize = 3;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    kind: String,
    n_components_asked: serde_json::Value,
    whiten: bool,
    x: Written,
    rows: Written,
    n_components: usize,
    /// The components that the data determine; scikit-learn gives more where variance is zero.
    determined: usize,
    mean: Written,
    components: Written,
    explained_variance: Written,
    explained_variance_ratio: Written,
    singular_values: Written,
    noise_variance: f64,
    transform: Written,
    inverse_transform: Written,
    /// Left out where it would be large.
    covariance: Option<Written>,
    precision: Option<Written>,
    log_likelihood_rows: Option<Written>,
}

#[derive(Deserialize)]
struct Written {
    shape: [usize; 2],
    values: String,
}

impl Written {
    fn matrix<T: FromStr<Err: Debug>>(&self) -> Array2<T> {
        let values = self.values.split(' ').map(|value| value.parse().unwrap()).collect();
        Array2::from_shape_vec(self.shape, values).unwrap()
    }

    fn vector(&self) -> Array1<f64> {
        self.matrix().row(0).to_owned()
    }
}

impl Case {
    fn components_asked(&self) -> Components {
        match &self.n_components_asked {
            serde_json::Value::Null => Components::All,
            serde_json::Value::String(name) if name == "mle" => Components::Mle,
            number => match number.as_u64() {
                Some(count) => Components::Count(count as usize),
                None => Components::Variance(number.as_f64().unwrap()),
            },
        }
    }
}

/// Everything that differs from the reference by more than `tolerance`.
struct Comparison {
    label: String,
    tolerance: f64,
    differences: Vec<String>,
}

impl Comparison {
    fn within(&mut self, what: &str, difference: f64, scale: f64) {
        let relative = difference / scale;
        if relative.is_nan() || relative > self.tolerance {
            self.differences.push(format!("{}: {what} off by {relative:.1e}", self.label));
        }
    }

    /// Relative to the largest magnitude of the reference.
    fn matrix<T: Real>(&mut self, what: &str, got: ArrayView2<'_, T>, want: ArrayView2<'_, f64>) {
        assert_eq!(got.dim(), want.dim(), "{}: shape of {what}", self.label);
        let largest = want.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        let difference = got
            .iter()
            .zip(want)
            .fold(0.0_f64, |worst, (got, want)| worst.max((got.to_f64() - want).abs()));
        self.within(what, difference, largest);
    }

    fn vector(&mut self, what: &str, got: ArrayView1<'_, f64>, want: ArrayView1<'_, f64>) {
        self.matrix(what, got.insert_axis(Axis(0)), want.insert_axis(Axis(0)));
    }

    /// Each relative to itself, or to the largest where it is less than the share `zero` of that. A
    /// variance that was not kept counts as zero.
    fn variances(&mut self, what: &str, got: &[f64], want: &[f64], largest: f64, zero: f64) {
        for (index, &want) in want.iter().enumerate() {
            let got = got.get(index).copied().unwrap_or(0.0);
            let scale = if want > zero * largest { want } else { largest };
            self.within(&format!("{what}[{index}]"), (got - want).abs(), scale);
        }
    }
}

fn fit<T: ReadRows>(x: &Array2<T>, options: &PcaOptions) -> Pca
where
    for<'a> ArrayView2<'a, T>: Source,
{
    if options.solver == Solver::Streaming {
        Pca::fit_source(&x.view(), options).unwrap()
    } else {
        Pca::fit(x.view(), options).unwrap()
    }
}

fn compare<T>(case: &Case, solver: Solver, tolerance: f64) -> Vec<String>
where
    T: ReadRows + FromStr<Err: Debug>,
    for<'a> ArrayView2<'a, T>: Source,
{
    let components = case.components_asked();
    let options = PcaOptions { components, solver, whiten: case.whiten, ..Default::default() };
    let pca = fit(&case.x.matrix::<T>(), &options);
    let label = format!("{solver:?} {} {}", case.kind, case.name);
    let mut comparison = Comparison { label, tolerance, differences: Vec::new() };
    compare_fit(case, &pca, &mut comparison);
    compare_use::<T>(case, &pca, &mut comparison);
    comparison.differences
}

fn compare_fit(case: &Case, pca: &Pca, comparison: &mut Comparison) {
    let kept = pca.components.nrows();
    assert!(
        (case.determined..=case.n_components).contains(&kept),
        "{}: {kept} components where scikit-learn has {} and the data determine {}",
        comparison.label,
        case.n_components,
        case.determined,
    );
    comparison.vector("mean", pca.mean.view(), case.mean.vector().view());
    let determined = s![..case.determined, ..];
    let components = case.components.matrix::<f64>();
    comparison.matrix("components", pca.components.slice(determined), components.slice(determined));

    let squares = |values: &Array1<f64>| values.mapv(|value| value * value);
    let singular = (squares(&pca.singular_values), squares(&case.singular_values.vector()));
    let variances = (&pca.explained_variance, case.explained_variance.vector());
    let ratios = (&pca.explained_variance_ratio, case.explained_variance_ratio.vector());
    for (what, got, want) in [
        ("explained_variance", variances.0, &variances.1),
        ("explained_variance_ratio", ratios.0, &ratios.1),
        ("singular_values squared", &singular.0, &singular.1),
    ] {
        let (got, largest) = (got.as_slice().unwrap(), want[0]);
        comparison.variances(what, got, want.as_slice().unwrap(), largest, 1e-20);
    }
    let noise = (pca.noise_variance, case.noise_variance);
    // What is left out is not resolved beyond the rounding of squares where all that is kept is.
    comparison.variances("noise_variance", &[noise.0], &[noise.1], variances.1[0], 1e-14);
}

fn compare_use<T: Real + FromStr<Err: Debug>>(case: &Case, pca: &Pca, comparison: &mut Comparison) {
    let rows = case.rows.matrix::<T>();
    let codes = pca.transform(rows.view()).unwrap();
    let want = case.transform.matrix::<f64>();
    let determined = s![.., ..case.determined];
    let columns = codes.slice(determined).into_owned().reversed_axes();
    for (got, want) in columns.rows().into_iter().zip(want.slice(determined).columns()) {
        let got = got.mapv(Real::to_f64);
        comparison.vector("a column of transform", got.view(), want);
    }
    // Components without variance lie in arbitrary directions, which only unseen rows show.
    let all_determined = case.determined == case.n_components;
    let comparable = s![..if all_determined { rows.nrows() } else { ROWS_FITTED }, ..];
    let back = pca.inverse_transform(codes.view()).unwrap();
    let want = case.inverse_transform.matrix::<f64>();
    comparison.matrix("inverse_transform", back.slice(comparable), want.slice(comparable));
    if let Some(covariance) = &case.covariance {
        comparison.matrix("covariance", pca.covariance().view(), covariance.matrix().view());
    }
    if let Some(precision) = &case.precision {
        comparison.matrix("precision", pca.precision().view(), precision.matrix().view());
    }
    if let Some(want) = &case.log_likelihood_rows {
        let got = pca.log_likelihood_rows(rows.view()).unwrap();
        comparison.vector("log_likelihood_rows", got.view(), want.vector().view());
    }
}

fn golden() -> Vec<Case> {
    let golden: Golden = serde_json::from_str(include_str!("golden/pca.json")).unwrap();
    golden.cases
}

fn agree_with_scikit_learn<'a>(solver: Solver, cases: impl IntoIterator<Item = &'a Case>) {
    let differences: Vec<String> = cases
        .into_iter()
        .flat_map(|case| match case.kind.as_str() {
            "f64" => compare::<f64>(case, solver, 1e-10),
            "f32" => compare::<f32>(case, solver, 1e-5),
            other => panic!("unknown kind {other}"),
        })
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn agrees_with_scikit_learn(solver: Solver) {
    agree_with_scikit_learn(solver, &golden());
}

/// Where a number of components is asked for: the sketch holds every direction that matters. It is
/// made in the precision of the rows, and f32 rows do not resolve variances over ten decades.
#[test]
fn randomized_agrees_with_scikit_learn() {
    let golden = golden();
    let counted = golden.iter().filter(|case| case.n_components_asked.is_u64());
    let cases: Vec<&Case> =
        counted.filter(|case| case.kind == "f64" || !case.name.contains("ten decades")).collect();
    assert!(cases.len() > 20);
    agree_with_scikit_learn(Solver::Randomized, cases);
}

#[test]
fn covariance_agrees_with_scikit_learn() {
    agrees_with_scikit_learn(Solver::Covariance);
}

#[test]
fn gram_agrees_with_scikit_learn() {
    agrees_with_scikit_learn(Solver::Gram);
}

#[test]
fn thin_svd_agrees_with_scikit_learn() {
    agrees_with_scikit_learn(Solver::ThinSvd);
}

#[test]
fn streaming_agrees_with_scikit_learn() {
    agrees_with_scikit_learn(Solver::Streaming);
}

#[test]
fn auto_agrees_with_scikit_learn() {
    agrees_with_scikit_learn(Solver::Auto);
}

/// Rows around `mean`: independent normal components of standard deviation `smallest` to 3, turned
/// into random directions.
fn rows_around(mean: f64, rows: usize, dim: usize, smallest: f64) -> Array2<f32> {
    let mut random = Random::stream(0, "rows around a mean");
    let axes = orthonormal_rows(&Array2::from_shape_simple_fn((dim, dim), || random.normal()));
    let deviations = Array1::geomspace(smallest, 3.0, dim).unwrap();
    let codes = Array2::from_shape_simple_fn((rows, dim), || random.normal()) * deviations;
    (codes.dot(&axes) + mean).mapv(|value| value as f32)
}

/// Largest relative error of a variance, against the singular values of centred f64 rows.
fn variance_error(x: &Array2<f32>, pca: &Pca) -> f64 {
    let x = x.mapv(f64::from);
    let centred = &x - &x.mean_axis(Axis(0)).unwrap();
    let divisor = x.nrows() as f64 - 1.0;
    let exact = thin_svd(centred.view()).unwrap().values.mapv(|value| value * value / divisor);
    (&pca.explained_variance / &exact - 1.0).iter().fold(0.0, |worst, error| worst.max(error.abs()))
}

/// The covariance solvers against another route; with uncentred products the smallest variances
/// would be off by 1e-7 in f64 and lost altogether in f32.
#[test]
fn a_large_column_mean_costs_no_accuracy() {
    for mean in [0.0, 100.0, 1_000.0, 10_000.0] {
        let x = rows_around(mean, 20_000, 20, 0.3);
        for solver in [Solver::Auto, Solver::Covariance, Solver::Streaming] {
            let pca = fit(&x, &PcaOptions { solver, ..Default::default() });
            let error = variance_error(&x, &pca);
            println!("mean {mean}, {solver:?}: variances within {error:.1e}");
            assert!(error < 1e-10, "{solver:?} around {mean}: {error:e}");
        }
    }
}

/// Large enough for `Auto` to multiply in f32.
#[test]
fn f32_products_keep_five_digits_around_a_large_mean() {
    let x = rows_around(10_000.0, 30_000, 400, 0.5);
    let error = variance_error(&x, &fit(&x, &PcaOptions::default()));
    println!("variances within {error:.1e}");
    assert!(error < 1e-5, "{error:e}");
}
