//! Fits PCA as often as it is told to and prints the seconds of each fit: the side of `narrows` in
//! `bench/pca/compare.py`, which lets it take turns with another library.
//!
//! ```text
//! pca_fit ROWS.npy COMPONENTS SOLVER      rows (n, d) f32; COMPONENTS a number or `all`;
//!                                         SOLVER auto, randomized, streaming, …
//! stdin   fit           → stdout   seconds of one fit, reading the file not included
//!         save PREFIX   → stdout   saved; PREFIX.variances.npy (k,), PREFIX.components.npy (k, d)
//! ```

#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::time::Instant;

use narrows::model::pca::{Components, Pca, PcaOptions, Solver};
use ndarray::Array2;
use npyz::WriterBuilder;

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
                let (k, d) = pca.components.dim();
                write(&format!("{prefix}.variances.npy"), &[k], &pca.explained_variance);
                write(&format!("{prefix}.components.npy"), &[k, d], &pca.components);
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
    let file = npyz::NpyFile::new(BufReader::new(File::open(path).unwrap())).unwrap();
    let shape = [file.shape()[0] as usize, file.shape()[1] as usize];
    Array2::from_shape_vec(shape, file.into_vec().unwrap()).unwrap()
}

fn write<'a>(path: &str, shape: &[usize], values: impl IntoIterator<Item = &'a f64>) {
    let shape: Vec<u64> = shape.iter().map(|&length| length as u64).collect();
    let mut writer = npyz::WriteOptions::new()
        .default_dtype()
        .shape(&shape)
        .writer(BufWriter::new(File::create(path).unwrap()))
        .begin_nd()
        .unwrap();
    writer.extend(values).unwrap();
    writer.finish().unwrap();
}
