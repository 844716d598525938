"""Writes pca.json: what scikit-learn's exact PCA says about small matrices.

    pip install scikit-learn==1.9.1 numpy==2.4.6
    python make_pca.py            # overwrites pca.json beside this script

Every number is written with the shortest decimal that reads back to the same float64 (float32 for
input of kind "f32"), as one string per array. The input of a case comes in two kinds: "f64", and "f32", whose values are rounded
to float32 first. Both are fitted by scikit-learn in float64, so that the reference has digits to
spare; `float32_deviation` records, for information, how far scikit-learn's own fit in float32 is
from that.
"""

import json
import pathlib
import warnings

import numpy as np
import sklearn
from sklearn.decomposition import PCA

ROWS_FITTED = 3


def orthonormal(generator, rows, columns):
    return np.linalg.qr(generator.normal(size=(rows, columns)))[0]


def with_spectrum(seed, rows, columns, deviations, mean=3.0):
    """Rows whose centred singular values are exactly deviations * sqrt(rows - 1), up to rounding."""
    generator = np.random.default_rng(seed)
    rank = len(deviations)
    ones = np.ones((rows, 1))
    left = np.linalg.qr(np.hstack([ones, generator.normal(size=(rows, rank))]))[0][:, 1:]
    right = orthonormal(generator, columns, rank)
    centre = mean * generator.uniform(0.5, 1.5, size=columns)
    return (left * deviations * np.sqrt(rows - 1)) @ right.T + centre


def with_constant_column(seed):
    x = with_spectrum(seed, 25, 5, [3, 2, 1.2, 0.5, 0.2])
    x[:, 2] = 7.25
    return x


def axis_aligned():
    """Two orthogonal columns whose variances are exactly 16 and 4: the first explains exactly 0.8."""
    signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1], [0, 0]])
    return signs * np.array([4.0, 2.0]) + np.array([1.0, 2.0])


def cases():
    """name, rows, n_components, whiten, number of components that the data determine."""
    falling = lambda count, ratio=0.6: 5 * ratio ** np.arange(count)
    tall = with_spectrum(1, 24, 6, falling(6))
    wide = with_spectrum(2, 7, 11, falling(6))
    square = with_spectrum(3, 8, 8, falling(7))
    low_rank = with_spectrum(4, 20, 7, [4, 2, 1])
    low_rank_wide = with_spectrum(5, 9, 12, [4, 2, 1])
    noisy = with_spectrum(6, 40, 8, [6, 4, 3, 0.52, 0.5, 0.49, 0.47, 0.45])
    yield "tall, all components", tall, None, False, 6
    yield "tall, three components", tall, 3, False, 3
    yield "tall, one component", tall, 1, False, 1
    yield "tall, whitened", tall, 4, True, 4
    yield "tall, column mean 10,000", with_spectrum(7, 24, 6, falling(6), 1e4), 4, False, 4
    yield "wide, all components", wide, None, False, 6
    yield "wide, three components", wide, 3, False, 3
    yield "wide, whitened", wide, 4, True, 4
    yield "wide, column mean 10,000", with_spectrum(8, 7, 11, falling(6), 1e4), 4, False, 4
    yield "square, all components", square, None, False, 7
    yield "square, five components", square, 5, False, 5
    yield "rank 3 of 7, three components", low_rank, 3, False, 3
    yield "rank 3 of 7, all components", low_rank, None, False, 3
    yield "rank 3 of 9 rows, three components", low_rank_wide, 3, False, 3
    yield "rank 3 of 9 rows, all components", low_rank_wide, None, False, 3
    yield "every row twice", np.repeat(with_spectrum(9, 12, 5, falling(5)), 2, 0), 3, False, 3
    yield "every row twice, wide", np.repeat(with_spectrum(10, 5, 9, falling(4)), 2, 0), 4, False, 4
    yield "one column constant", with_constant_column(11), 3, False, 3
    yield "one column constant, all components", with_constant_column(11), None, False, 4
    graded = with_spectrum(12, 600, 5, [1e5, 1e3, 30, 1, 0.5])
    yield "600 rows, variances over ten decades, all components", graded, None, False, 5
    yield "600 rows, variances over ten decades, one component", graded, 1, False, 1
    yield "600 rows, variances over ten decades, whitened", graded, 4, True, 4
    graded_wide = with_spectrum(13, 6, 510, [1e5, 1e3, 30, 1])
    yield "510 columns, variances over ten decades", graded_wide, 3, False, 3
    sketched = with_spectrum(14, 90, 40, falling(40))
    yield "more directions than a sketch holds", sketched, 5, False, 5
    yield "share of variance 0.9", tall, 0.9, False, None
    yield "share of variance 0.99, wide", wide, 0.99, False, None
    yield "share of variance 0.8, met exactly by one component", axis_aligned(), 0.8, False, None
    yield "Minka's estimate", noisy, "mle", False, None
    yield "Minka's estimate, smooth spectrum", tall, "mle", False, None


def written(array):
    array = np.atleast_2d(array)
    return {"shape": array.shape, "values": " ".join(str(v) for v in array.ravel())}


def written_input(array, kind):
    return written(array.astype(np.float32) if kind == "f32" else array)


def rounded(x, kind):
    return x.astype(np.float32).astype(np.float64) if kind == "f32" else x


def rows_to_transform(x, seed=99):
    """Three rows that were fitted and two that were not."""
    generator = np.random.default_rng(seed)
    unseen = x.mean(0) + generator.normal(size=(2, x.shape[1])) * x.std()
    return np.vstack([x[:ROWS_FITTED], unseen])


def float32_deviation(x, n_components, whiten, determined, reference):
    """Largest relative error of the variances and largest error of an entry of the components."""
    if n_components == "mle":
        return None
    fit = PCA(n_components, whiten=whiten, svd_solver="full").fit(x.astype(np.float32))
    variances = reference.explained_variance_
    kept = min(determined, np.count_nonzero(variances > 1e-6 * variances[0]))
    relative = fit.explained_variance_[:kept] / variances[:kept] - 1
    return {
        "explained_variance": float(np.abs(relative).max()),
        "components": float(np.abs(fit.components_[:kept] - reference.components_[:kept]).max()),
    }


def golden(x, kind, n_components, whiten, determined):
    fit = PCA(n_components, whiten=whiten, svd_solver="full").fit(x)
    kept = int(fit.n_components_)
    determined = determined or kept
    rows = rounded(rows_to_transform(x), kind)
    codes = fit.transform(rows)
    result = {
        "rows": written_input(rows, kind),
        "n_components": kept,
        "determined": determined,
        "mean": written(fit.mean_),
        "components": written(fit.components_),
        "explained_variance": written(fit.explained_variance_),
        "explained_variance_ratio": written(fit.explained_variance_ratio_),
        "singular_values": written(fit.singular_values_),
        "noise_variance": float(fit.noise_variance_),
        "transform": written(codes),
        "inverse_transform": written(fit.inverse_transform(codes)),
        "float32_deviation": float32_deviation(x, n_components, whiten, determined, fit),
    }
    # With whiten=True, get_covariance, get_precision and score_samples of 1.9.1 multiply the
    # variances in twice (they assume that components_ are scaled by whitening, which they are not).
    # Whitening does not change the distribution of the data, so the plain fit is the reference.
    plain = PCA(n_components, svd_solver="full").fit(x)
    covariance = plain.get_covariance()
    if covariance.size > 10_000:
        return result
    result["covariance"] = written(covariance)
    # A covariance that is singular, or singular but for rounding, has no inverse to compare with.
    if np.linalg.cond(covariance) < 1e6:
        result["precision"] = written(plain.get_precision())
        result["log_likelihood_rows"] = written(plain.score_samples(rows))
    return result


def main():
    warnings.simplefilter("error")
    written_cases = []
    for name, x, n_components, whiten, determined in cases():
        for kind in ("f64", "f32"):
            data = rounded(x, kind)
            written_cases.append({
                "name": name, "kind": kind, "n_components_asked": n_components, "whiten": whiten,
                "x": written_input(data, kind), **golden(data, kind, n_components, whiten, determined),
            })
    path = pathlib.Path(__file__).with_name("pca.json")
    made_with = {"scikit-learn": sklearn.__version__, "numpy": np.__version__}
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in written_cases)
    path.write_text(f'{{"made_with":{json.dumps(made_with)},"cases":[\n{lines}\n]}}\n')
    print(f"{path}: {len(written_cases)} cases, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
