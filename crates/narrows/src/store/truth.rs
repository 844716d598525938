//! A known truth as one safetensors file, for programs that measure by themselves.
//!
//! ```text
//! directions (n, d) f32   bias (d) f32   rates (n) f64
//! codes.starts (rows + 1) u64   codes.features, codes.values (entries) u32, f32
//! row i has the features and values from codes.starts[i] up to codes.starts[i + 1]
//! ```
//!
//! The codes are the three arrays of a compressed sparse row matrix, as `scipy.sparse.csr_array` takes
//! them.

use std::path::Path;

use safetensors::tensor::{Dtype, TensorView, serialize};

use super::aside::write_aside;
use crate::data::Source;
use crate::data::superposition::KnownTruth;
use crate::error::{Error, Result};

/// Rows whose codes are drawn at a time.
const BLOCK: usize = 1 << 14;

/// Writes a truth and the codes of all its rows, which it holds: about 16 bytes an entry.
///
/// # Errors
/// If the file cannot be written; one that was there before then stays as it was.
pub fn write_truth(path: impl AsRef<Path>, truth: &KnownTruth) -> Result<()> {
    let (mut starts, mut features, mut values) = (vec![0_u64], Vec::new(), Vec::new());
    for start in (0..truth.rows()).step_by(BLOCK) {
        let codes = truth.codes(start..(start + BLOCK).min(truth.rows()));
        for row in 0..codes.rows() {
            let (of_row, of_codes) = codes.row(row);
            features.extend_from_slice(of_row);
            values.extend_from_slice(of_codes);
            starts.push(features.len() as u64);
        }
    }
    let directions = truth.directions();
    let shape = vec![directions.rows(), directions.cols()];
    let arrays: [(&str, Dtype, Vec<usize>, &[u8]); 6] = [
        ("bias", Dtype::F32, vec![truth.bias().len()], bytemuck::cast_slice(truth.bias())),
        ("codes.features", Dtype::U32, vec![features.len()], bytemuck::cast_slice(&features)),
        ("codes.starts", Dtype::U64, vec![starts.len()], bytemuck::cast_slice(&starts)),
        ("codes.values", Dtype::F32, vec![values.len()], bytemuck::cast_slice(&values)),
        ("directions", Dtype::F32, shape, bytemuck::cast_slice(directions.as_slice())),
        ("rates", Dtype::F64, vec![truth.rates().len()], bytemuck::cast_slice(truth.rates())),
    ];
    let failed = |error: safetensors::SafeTensorError| {
        Error::failure("write the truth", error.to_string(), "report it")
    };
    let views = arrays.into_iter().map(|(name, kind, shape, bytes)| {
        TensorView::new(kind, shape, bytes).map(|view| (name, view)).map_err(failed)
    });
    let bytes = serialize(views.collect::<Result<Vec<_>>>()?, None).map_err(failed)?;
    write_aside(path.as_ref(), &bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use safetensors::SafeTensors;

    use super::*;
    use crate::data::superposition::SuperpositionKnobs;

    #[test]
    fn what_is_written_makes_the_rows_again() {
        let knobs = SuperpositionKnobs { features: 300, dim: 20, rows: 50, ..Default::default() };
        let truth = knobs.generate().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("truth.safetensors");
        write_truth(&path, &truth).unwrap();
        let bytes = std::fs::read(path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let floats = |name: &str| -> Vec<f32> {
            bytemuck::pod_collect_to_vec(file.tensor(name).unwrap().data())
        };
        let starts: Vec<u64> =
            bytemuck::pod_collect_to_vec(file.tensor("codes.starts").unwrap().data());
        let features: Vec<u32> =
            bytemuck::pod_collect_to_vec(file.tensor("codes.features").unwrap().data());
        let (directions, values) = (floats("directions"), floats("codes.values"));
        assert_eq!(file.tensor("directions").unwrap().shape(), [300, 20]);
        assert_eq!(file.tensor("rates").unwrap().shape(), [300]);
        let mut rows = vec![0.0; 50 * 20];
        truth.read_f32(0, &mut rows).unwrap();
        for (i, row) in rows.chunks_exact(20).enumerate() {
            let mut again = floats("bias");
            for entry in starts[i] as usize..starts[i + 1] as usize {
                let direction = &directions[features[entry] as usize * 20..][..20];
                again.iter_mut().zip(direction).for_each(|(sum, d)| *sum += values[entry] * d);
            }
            assert_eq!(again, row);
        }
    }
}
