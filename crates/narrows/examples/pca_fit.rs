//! Fits PCA as often as it is told to and prints the seconds of each fit: the side of `narrows` in
//! `bench/pca/compare.py`, which lets it take turns with another library.
//!
//! ```text
//! pca_fit ROWS.npy COMPONENTS SOLVER      rows (n, d) f32; COMPONENTS a number or `all`;
//!                                         SOLVER auto, randomized, streaming, …
//! stdin   fit           → stdout   seconds of one fit, reading the file not included
//!         save PREFIX   → stdout   saved; PREFIX.variances.npy (k, 1), PREFIX.components.npy (k, d)
//! ```

#![allow(clippy::unwrap_used)]

use std::time::Instant;

use narrows::data::{OpenOptions, open};
use narrows::model::pca::{Components, Pca, PcaOptions, Solver};
use narrows::store::write_npy;
use ndarray::{Array2, Axis};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, components, solver] = &arguments[..] else {
        panic!("usage: pca_fit ROWS.npy COMPONENTS SOLVER")
    };
    let options = PcaOptions {
        components: match components.as_str() {
            "all" => Components::All,
            count => Components::Count(count.parse().unwrap()),
        },
        solver: serde_json::from_value(solver.as_str().into()).unwrap(),
        ..Default::default()
    };
    let rows = read(path);
    println!("ready");
    let mut pca = None;
    for line in std::io::stdin().lines() {
        match line.unwrap().split_once(' ') {
            None => {
                let start = Instant::now();
                pca = Some(fit(&rows, &options));
                println!("{}", start.elapsed().as_secs_f64());
            }
            Some((_, prefix)) => {
                let pca = pca.as_ref().expect("fit before save");
                let variances = pca.explained_variance.view().insert_axis(Axis(1));
                write_npy(format!("{prefix}.variances.npy"), variances).unwrap();
                write_npy(format!("{prefix}.components.npy"), pca.components.view()).unwrap();
                println!("saved");
            }
        }
    }
}

fn fit(rows: &Array2<f32>, options: &PcaOptions) -> Pca {
    match options.solver {
        Solver::Streaming => Pca::fit_source(&rows.view(), options).unwrap(),
        _ => Pca::fit(rows.view(), options).unwrap(),
    }
}

fn read(path: &str) -> Array2<f32> {
    let rows = open(path, &OpenOptions::default()).unwrap().rows;
    let mut values = vec![0.0; rows.rows() * rows.dim()];
    rows.read_f32(0, &mut values).unwrap();
    Array2::from_shape_vec((rows.rows(), rows.dim()), values).unwrap()
}
