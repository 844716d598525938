//! Figures of merit with their formulas.

use narrows::evaluate::{Classification, DictionaryScores, Evaluation, Regression, Scores};
use narrows::report::Score;

pub(super) fn class_scores(found: &Classification) -> Vec<Score> {
    vec![
        score("accuracy", found.accuracy, "share", "rows told right / n", "how often it is right"),
        score(
            "cross_entropy",
            found.cross_entropy,
            "nats per row",
            "−1/n · Σ ln p(own class)",
            "how much it is surprised by the labels",
        ),
    ]
}

pub(super) fn number_scores(found: &Regression) -> Vec<Score> {
    let mut all = vec![
        score(
            "squared_error",
            found.squared_error,
            "units of the label²",
            "1/n · Σ (y − ŷ)²",
            "what is missed on average, large misses more",
        ),
        score(
            "absolute_error",
            found.absolute_error,
            "units of the label",
            "1/n · Σ |y − ŷ|",
            "what is missed on average",
        ),
    ];
    all.extend(found.r_squared.map(|value| {
        score(
            "r_squared",
            value,
            "share",
            "1 − Σ (y − ŷ)² / Σ (y − ȳ)²",
            "1 is perfect, 0 is no better than the mean",
        )
    }));
    all
}

/// What a sparse dictionary does to rows, with the formulas of `narrows::evaluate::DictionaryScores`.
pub(in super::super) fn dictionary_scores(found: &DictionaryScores) -> Vec<Score> {
    vec![
        score("l0", found.l0, "latents", "1/N · Σ #{j: zⱼ ≠ 0}", "how many latents fire per row"),
        score("l1", found.l1, "code", "1/N · Σ |zⱼ|", "how large the codes of a row are together"),
        score(
            "squared_error_per_row",
            found.squared_error_per_row,
            "units²",
            "1/N · Σ ‖x − y‖²",
            "what a row loses on average",
        ),
        score(
            "fraction_variance_unexplained",
            found.fraction_variance_unexplained,
            "share",
            "Σ ‖x − y‖² / Σ ‖x − x̄‖²",
            "0 is perfect, 1 is no better than the mean",
        ),
        score(
            "explained_variance",
            found.explained_variance,
            "share",
            "1 − Σ ‖e − ē‖² / Σ ‖x − x̄‖², e = x − y",
            "the share of the variance that survives, an error common to all rows forgiven",
        ),
        score(
            "explained_variance_legacy",
            found.explained_variance_legacy,
            "share",
            "1/N · Σ (1 − ‖e‖² / ‖x − x̄‖²)",
            "the mean over rows of what others called explained variance",
        ),
        score(
            "cosine",
            found.cosine,
            "",
            "1/N · Σ x·y / ‖x‖‖y‖",
            "how well the direction of a row survives",
        ),
        score(
            "l2_ratio",
            found.l2_ratio,
            "",
            "1/N · Σ ‖y‖ / ‖x‖",
            "below 1: rows come out shorter",
        ),
        score(
            "shrinkage",
            found.shrinkage,
            "",
            "Σ x·y / Σ ‖y‖²",
            "the factor that best rescales what comes out; above 1: it is too short",
        ),
        score(
            "dead_share",
            found.dead_share,
            "share of latents",
            "#{j: never zⱼ ≠ 0} / n",
            "latents that fired in none of these rows",
        ),
        score(
            "dense_share",
            found.dense_share,
            "share of latents",
            "#{j: zⱼ ≠ 0 in more than N/10 rows} / n",
            "latents that fired in more than a tenth of these rows",
        ),
        score(
            "mean_nearest_cosine",
            found.decoder.mean_nearest_cosine,
            "",
            "1/n · Σᵢ max_{j ≠ i} Dᵢ·Dⱼ / ‖Dᵢ‖‖Dⱼ‖",
            "how near an atom lies to the one most like it",
        ),
    ]
}

fn score(name: &str, value: f64, unit: &str, formula: &str, meaning: &str) -> Score {
    let [name, unit, formula, meaning] = [name, unit, formula, meaning].map(str::to_owned);
    Score { name, value, unit, formula, meaning }
}

pub(super) fn scores(found: &Evaluation, scores: &Scores) -> Vec<Score> {
    let mut all = vec![score(
        "squared_error_per_row",
        scores.squared_error_per_row,
        "prepared units²",
        "1/n · Σ ‖x − x̂‖²",
        "what a row loses on average",
    )];
    all.extend(scores.squared_error_per_row_clipped.map(|value| {
        score(
            "squared_error_per_row_clipped",
            value,
            "prepared units²",
            "1/n · Σ ‖x − clip(x̂)‖²",
            "the same with x̂ kept in the range of the data",
        )
    }));
    all.extend(scores.binary_cross_entropy.map(|value| {
        score(
            "binary_cross_entropy",
            value,
            "nats per value",
            "1/(n·d) · Σ −x ln x̂ − (1 − x) ln(1 − x̂)",
            "how surprised one who believes x̂ is by x",
        )
    }));
    all.push(score(
        "fraction_variance_unexplained",
        scores.fraction_variance_unexplained,
        "share",
        "Σ ‖x − x̂‖² / Σ ‖x − x̄‖²",
        "0 is perfect, 1 is no better than the mean",
    ));
    all.push(score(
        "explained_variance",
        scores.explained_variance,
        "share",
        "1 − Σ ‖e − ē‖² / Σ ‖x − x̄‖², e = x − x̂",
        "the share of the variance that survives, an error common to all rows forgiven",
    ));
    all.extend(found.log_likelihood.filter(|_| scores == &found.scores).map(|value| {
        score(
            "log_likelihood",
            value,
            "nats per row",
            "mean ln N(x; μ, V(Λ − σ²)Vᵀ + σ²I)",
            "how likely rows are under probabilistic PCA",
        )
    }));
    all
}
