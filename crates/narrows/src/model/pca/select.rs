//! How many components to keep.
//!
//! ```text
//! share f     the smallest k with Σ_{i≤k} λᵢ / Σ λᵢ  strictly more than f
//! mle         the k of largest evidence under probabilistic PCA
//! parallel    the components whose variance exceeds the 95th percentile of what rows of unrelated
//!             normal columns of the same variances would show (20 draws)
//! elbow       the k that best splits the λ into two groups of normal numbers with one spread
//! ```
//!
//! Source: mle: T. Minka, Automatic choice of dimensionality for PCA, NIPS 13 (2000); parallel:
//! J. Horn, Psychometrika 30 (1965); elbow: M. Zhu and A. Ghodsi, Computational Statistics & Data
//! Analysis 51 (2006).
//!
//! Differs from Horn: the covariance of the unrelated columns is drawn directly (Bartlett's
//! decomposition of a Wishart matrix), so that no rows need to be made up and streamed data can be
//! judged too; variances are compared on the scale of the data, not after standardising.

use std::fmt;
use std::str::FromStr;

use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};

use super::{PcaOptions, Solver};
use crate::compute::{multiply, symmetric_eigenvalues};
use crate::error::{Error, Result};
use crate::random::Random;

/// How many components to keep.
///
/// In recipes: a whole number, a share between 0 and 1, `"all"`, `"mle"`, `"parallel"`, `"elbow"`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum Components {
    /// Every component that has variance.
    All,
    /// So many, or as many as have variance.
    Count(usize),
    /// The fewest that explain strictly more than this share of the variance, `0 < f < 1`.
    Variance(f64),
    /// By Minka's evidence; needs at least as many rows as columns.
    Mle,
    /// By parallel analysis.
    ParallelAnalysis,
    /// By the elbow of the variances.
    Elbow,
}

/// Why there are as many components as there are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Selection {
    /// Components kept.
    pub components: usize,
    /// The reason in words.
    pub reason: String,
    /// All variances that the solver found, largest first.
    pub spectrum: Vec<f64>,
    /// Parallel analysis: the variance that each component had to exceed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Vec<f64>>,
}

const REPLICATES: usize = 20;
/// The 19th of 20 sorted draws: the 95th percentile by nearest rank.
const PERCENTILE_RANK: usize = 18;

/// Refuses a number that cannot be had before any work is done.
pub(super) fn check(
    components: &Components,
    rows: usize,
    dim: usize,
    solver: Solver,
) -> Result<()> {
    let operation = "choose the number of components";
    let most = rows.min(dim);
    match *components {
        Components::Count(k) if k < 1 || k > most => Err(Error::mistake(
            operation,
            format!("a number from 1 to {most} (the smaller of {rows} rows and {dim} columns)"),
            k.to_string(),
            "ask for a number in that range",
        )),
        Components::Variance(f) if !(f > 0.0 && f < 1.0) => Err(Error::mistake(
            operation,
            "a share of the variance between 0 and 1, both excluded",
            f.to_string(),
            "give a share such as 0.95, or `all`",
        )),
        Components::Mle if rows < dim => Err(Error::mistake(
            operation,
            format!("at least as many rows as columns ({dim}) for `mle`"),
            format!("{rows} rows"),
            "use `parallel`, a share or a number",
        )),
        Components::Count(_) => Ok(()),
        _ if solver == Solver::Randomized => Err(Error::mistake(
            operation,
            "a number for the randomised solver",
            format!("`{components}`"),
            "give a number, or let the solver be chosen",
        )),
        _ => Ok(()),
    }
}

/// Chooses among `variances` (largest first, `rank` of them above rounding noise).
pub(super) fn choose(
    variances: &Array1<f64>,
    total_variance: f64,
    rank: usize,
    rows: usize,
    options: &PcaOptions,
    column_variances: impl FnOnce() -> Array1<f64>,
) -> Result<Selection> {
    let mut threshold = None;
    let (components, reason) = match options.components {
        Components::All => (rank, format!("all {rank} components that have variance")),
        Components::Count(k) if k > rank => {
            (rank, format!("{k} were asked for but only {rank} have variance"))
        }
        Components::Count(k) => (k, format!("{k} were asked for")),
        Components::Variance(share) => by_share(variances, total_variance, rank, share),
        Components::Mle => {
            let k = by_evidence(variances, rows).min(rank);
            (k, format!("{k} have the largest evidence (Minka)"))
        }
        Components::ParallelAnalysis => {
            let levels = unrelated_columns(&column_variances(), rows, options.seed)?;
            let k = variances.iter().zip(&levels).take_while(|(v, level)| v > level).count();
            let k = k.min(rank);
            if k == 0 {
                return Err(Error::mistake(
                    "choose the number of components by parallel analysis",
                    "a direction that varies more than unrelated columns would",
                    format!("a largest variance of {} against {}", variances[0], levels[0]),
                    "the columns look unrelated: give a number or a share to fit all the same",
                ));
            }
            threshold = Some(levels);
            (k, format!("{k} vary more than unrelated columns would (parallel analysis, 95 %)"))
        }
        Components::Elbow => {
            let k = elbow(&variances.as_slice().expect("owned")[..rank]);
            (k, format!("the variances fall off after {k} (profile likelihood of the elbow)"))
        }
    };
    Ok(Selection { components, reason, spectrum: variances.to_vec(), threshold })
}

fn by_share(variances: &Array1<f64>, total: f64, rank: usize, share: f64) -> (usize, String) {
    let mut explained = 0.0;
    for (index, variance) in variances.iter().take(rank).enumerate() {
        explained += variance / total;
        if explained > share {
            let (k, percent) = (index + 1, 100.0 * explained);
            let wanted = 100.0 * share;
            return (
                k,
                format!("{k} explain {percent:.2} % of the variance, more than {wanted} %"),
            );
        }
    }
    (rank, format!("all {rank} components with variance explain no more than {share}"))
}

/// The number of components of largest evidence, 1 to d − 1.
fn by_evidence(variances: &Array1<f64>, rows: usize) -> usize {
    let spectrum = variances.as_slice().expect("owned");
    (1..spectrum.len())
        .map(|k| (k, log_evidence(spectrum, k, rows as f64)))
        .fold((1, f64::NEG_INFINITY), |best, next| if next.1 > best.1 { next } else { best })
        .0
}

/// Minka's equation 30: the log-evidence that the first `k` directions carry the signal.
fn log_evidence(spectrum: &[f64], k: usize, n: f64) -> f64 {
    const FLOOR: f64 = 1e-15;
    let d = spectrum.len();
    if spectrum[k - 1] < FLOOR {
        return f64::NEG_INFINITY;
    }
    let (kf, df) = (k as f64, d as f64);
    let log_pi = std::f64::consts::PI.ln();
    let log_uniform = (1..=k)
        .map(|i| (d - i + 1) as f64 / 2.0)
        .fold(-kf * 2.0_f64.ln(), |sum, half| sum + log_gamma_of_half(half) - half * log_pi);
    let log_signal = -spectrum[..k].iter().map(|v| v.ln()).sum::<f64>() * n / 2.0;
    let noise = (spectrum[k..].iter().sum::<f64>() / (df - kf)).max(FLOOR);
    let log_noise = -noise.ln() * n * (df - kf) / 2.0;
    let parameters = df * kf - kf * (kf + 1.0) / 2.0;
    let log_volume = (2.0 * std::f64::consts::PI).ln() * (parameters + kf) / 2.0;
    let flattened = |j: usize| if j < k { spectrum[j] } else { noise };
    let mut log_curvature = 0.0;
    for i in 0..k {
        for j in i + 1..d {
            let gap = (spectrum[i] - spectrum[j]) * (1.0 / flattened(j) - 1.0 / flattened(i));
            log_curvature += gap.ln() + n.ln();
        }
    }
    log_uniform + log_signal + log_noise + log_volume - log_curvature / 2.0 - kf * n.ln() / 2.0
}

/// `ln Γ(x)` for `x` a positive multiple of one half, by `Γ(x + 1) = x·Γ(x)`.
fn log_gamma_of_half(x: f64) -> f64 {
    let (mut at, mut value) = match x.fract() == 0.0 {
        true => (1.0, 0.0),
        false => (0.5, 0.5 * std::f64::consts::PI.ln()),
    };
    while at < x {
        value += f64::ln(at);
        at += 1.0;
    }
    value
}

/// For each component, the 95th percentile of its variance where columns are unrelated.
fn unrelated_columns(column_variances: &Array1<f64>, rows: usize, seed: u64) -> Result<Vec<f64>> {
    let deviations = column_variances.mapv(f64::sqrt);
    let count = rows.min(deviations.len());
    let mut draws: Vec<Array1<f64>> = Vec::with_capacity(REPLICATES);
    for replicate in 0..REPLICATES {
        let mut random = Random::stream(seed, &format!("parallel analysis {replicate}"));
        let root = wishart_root(&deviations, rows - 1, &mut random);
        let mut products = Array2::zeros((root.nrows(), root.nrows()));
        multiply(root.view(), root.t(), products.view_mut());
        draws.push(symmetric_eigenvalues(products.view())? / (rows as f64 - 1.0));
    }
    Ok((0..count)
        .map(|component| {
            let mut values: Vec<f64> =
                draws.iter().map(|draw| draw.get(component).copied().unwrap_or(0.0)).collect();
            values.sort_by(f64::total_cmp);
            values[PERCENTILE_RANK]
        })
        .collect())
}

/// A matrix whose product with its own transpose has the eigenvalues of the scatter of
/// `freedom + 1` rows of unrelated normal columns.
fn wishart_root(deviations: &Array1<f64>, freedom: usize, random: &mut Random) -> Array2<f64> {
    let d = deviations.len();
    if freedom < d {
        return Array2::from_shape_fn((freedom, d), |(_, j)| deviations[j] * random.normal());
    }
    Array2::from_shape_fn((d, d), |(i, j)| {
        let entry = match i.cmp(&j) {
            std::cmp::Ordering::Less => 0.0,
            std::cmp::Ordering::Equal => random.chi_squared((freedom - i) as f64).sqrt(),
            std::cmp::Ordering::Greater => random.normal(),
        };
        deviations[i] * entry
    })
}

/// The split of largest profile likelihood into two groups of one common spread.
fn elbow(spectrum: &[f64]) -> usize {
    let p = spectrum.len();
    let spread = |group: &[f64]| {
        let mean = group.iter().sum::<f64>() / group.len().max(1) as f64;
        group.iter().map(|v| (v - mean).powi(2)).sum::<f64>()
    };
    (1..p)
        .map(|k| (k, spread(&spectrum[..k]) + spread(&spectrum[k..])))
        .fold((1, f64::INFINITY), |best, next| if next.1 < best.1 { next } else { best })
        .0
}

impl fmt::Display for Components {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Count(k) => write!(f, "{k}"),
            Self::Variance(share) => write!(f, "{share}"),
            Self::Mle => f.write_str("mle"),
            Self::ParallelAnalysis => f.write_str("parallel"),
            Self::Elbow => f.write_str("elbow"),
        }
    }
}

impl FromStr for Components {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "all" => return Ok(Self::All),
            "mle" => return Ok(Self::Mle),
            "parallel" => return Ok(Self::ParallelAnalysis),
            "elbow" => return Ok(Self::Elbow),
            _ => {}
        }
        let count = text.parse().map(Self::Count).ok();
        count.or_else(|| text.parse().map(Self::Variance).ok()).ok_or_else(|| {
            Error::mistake(
                "choose the number of components",
                WRITTEN,
                format!("`{text}`"),
                "correct it",
            )
        })
    }
}

const WRITTEN: &str =
    "a whole number, a share between 0 and 1, `all`, `mle`, `parallel` or `elbow`";

/// As it stands in a recipe.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Count(usize),
    Share(f64),
    Word(String),
}

impl From<Components> for Written {
    fn from(components: Components) -> Self {
        match components {
            Components::Count(k) => Self::Count(k),
            Components::Variance(share) => Self::Share(share),
            other => Self::Word(other.to_string()),
        }
    }
}

impl TryFrom<Written> for Components {
    type Error = String;
    fn try_from(written: Written) -> std::result::Result<Self, String> {
        match written {
            Written::Count(k) => Ok(Self::Count(k)),
            Written::Share(share) => Ok(Self::Variance(share)),
            Written::Word(word) => word.parse().map_err(|_| format!("`{word}`, not {WRITTEN}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_gamma_at_halves_and_wholes() {
        let factorial = (1..10).map(|i| f64::ln(i as f64)).sum::<f64>();
        assert!((log_gamma_of_half(10.0) - factorial).abs() < 1e-12);
        // Γ(3.5) = 15√π/8
        let exact = (15.0 * std::f64::consts::PI.sqrt() / 8.0).ln();
        assert!((log_gamma_of_half(3.5) - exact).abs() < 1e-14);
    }

    #[test]
    fn the_elbow_of_two_plateaus_lies_between_them() {
        assert_eq!(elbow(&[9.0, 8.5, 8.8, 1.0, 0.9, 1.1, 1.0]), 3);
    }

    #[test]
    fn bartlett_draws_have_the_variances_of_the_columns() {
        let deviations = Array1::from(vec![3.0, 1.0, 0.5]);
        let mut random = Random::stream(0, "bartlett");
        let (freedom, draws) = (40, 2000);
        let mut mean = Array2::<f64>::zeros((3, 3));
        for _ in 0..draws {
            let root = wishart_root(&deviations, freedom, &mut random);
            mean += &(root.dot(&root.t()) / (freedom * draws) as f64);
        }
        let expected = Array2::from_diag(&deviations.mapv(|v| v * v));
        assert!((mean - expected).iter().all(|gap| gap.abs() < 0.1));
    }

    /// Columns that never change leave rows and columns of zeros in the draws.
    #[test]
    fn constant_columns_change_no_level_of_the_others() {
        for (constant, rows) in [(0, 60), (700, 60), (700, 2000)] {
            let mut deviations = vec![0.0; constant];
            deviations.extend([5.0, 2.0, 1.0, 0.5]);
            let variances = Array1::from(deviations).mapv(|v| v * v);
            let levels = unrelated_columns(&variances, rows, 3).expect("converges");
            for (level, variance) in levels.iter().zip([25.0, 4.0, 1.0, 0.25]) {
                let ratio = level / variance;
                assert!((1.0..2.0).contains(&ratio), "{constant}, {rows}: {levels:?}");
            }
            assert!(levels[4..].iter().all(|level| level.abs() < 1e-12), "{constant}, {rows}");
        }
    }

    #[test]
    fn recipes_read_numbers_shares_and_words() {
        for (text, expected) in [
            ("30", Components::Count(30)),
            ("0.9", Components::Variance(0.9)),
            ("\"parallel\"", Components::ParallelAnalysis),
        ] {
            assert_eq!(serde_json::from_str::<Components>(text).expect("legal"), expected);
        }
        assert!(serde_json::from_str::<Components>("\"some\"").is_err());
    }
}
