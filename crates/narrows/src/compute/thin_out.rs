//! Numbers set to zero: all but the largest of each row, or a random part.

use rayon::prelude::*;

use super::{Matrix, Real};
use crate::random::Random;

/// Rows that one task handles.
const PIECE: usize = 16;

/// Keeps the `k` largest numbers of each row and sets the others to 0, in `slopes` too; of equal ones
/// the first are kept.
///
/// # Panics
/// If `slopes` has another shape than `values`: the caller's mistake.
pub fn keep_largest<T: Real>(values: &mut Matrix<T>, slopes: Option<&mut Matrix<T>>, k: usize) {
    let cols = values.cols().max(1);
    if k >= cols {
        return;
    }
    let thin = |values: &mut [T], slopes: &mut [T], order: &mut Vec<usize>| {
        order.clear();
        order.extend(0..values.len());
        order.select_nth_unstable_by(k, |&a, &b| {
            let falling = values[b].partial_cmp(&values[a]);
            falling.unwrap_or(std::cmp::Ordering::Equal).then(a.cmp(&b))
        });
        for &place in &order[k..] {
            values[place] = T::ZERO;
            if let Some(slope) = slopes.get_mut(place) {
                *slope = T::ZERO;
            }
        }
    };
    let rows = values.as_mut_slice().par_chunks_mut(PIECE * cols);
    match slopes {
        Some(slopes) => {
            let pairs = rows.zip(slopes.as_mut_slice().par_chunks_mut(PIECE * cols));
            pairs.for_each_with(Vec::new(), |order, (values, slopes)| {
                let rows = values.chunks_exact_mut(cols).zip(slopes.chunks_exact_mut(cols));
                rows.for_each(|(values, slopes)| thin(values, slopes, order));
            });
        }
        None => rows.for_each_with(Vec::new(), |order, values| {
            values.chunks_exact_mut(cols).for_each(|values| thin(values, &mut [], order));
        }),
    }
}

/// Sets each number to 0 with probability `rate` and divides the others by `1 − rate`, in `slopes`
/// too. `stream(i)` gives the random numbers of row `i`.
///
/// # Panics
/// If the shapes differ: the caller's mistake.
pub fn drop_out<T: Real>(
    values: &mut Matrix<T>,
    slopes: &mut Matrix<T>,
    rate: f64,
    stream: impl Fn(usize) -> Random + Sync,
) {
    let cols = values.cols().max(1);
    let kept = T::from_f64(1.0 / (1.0 - rate));
    let rows = values.as_mut_slice().par_chunks_mut(cols);
    rows.zip(slopes.as_mut_slice().par_chunks_mut(cols)).enumerate().for_each(
        |(row, (values, slopes))| {
            let mut random = stream(row);
            for (value, slope) in values.iter_mut().zip(slopes) {
                let factor = if random.uniform() < rate { T::ZERO } else { kept };
                *value = *value * factor;
                *slope = *slope * factor;
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_of_each_row_stay() {
        let mut values =
            Matrix::from_rows(2, 4, vec![3.0_f32, 1.0, 3.0, 2.0, -1.0, 5.0, -2.0, 5.0])
                .expect("fits");
        let mut slopes = Matrix::from_rows(2, 4, vec![1.0; 8]).expect("fits");
        keep_largest(&mut values, Some(&mut slopes), 1);
        assert_eq!(values.as_slice(), [3.0, 0.0, 0.0, 0.0, 0.0, 5.0, 0.0, 0.0]);
        assert_eq!(slopes.as_slice(), [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn the_mean_survives_dropout() {
        let mut values = Matrix::from_rows(50, 2000, vec![1.0_f64; 100_000]).expect("fits");
        let mut slopes = values.clone();
        drop_out(&mut values, &mut slopes, 0.2, |row| Random::numbered(0, "d", &[row as u64]));
        assert_eq!(values, slopes);
        let mean = values.as_slice().iter().sum::<f64>() / 1e5;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        assert!(values.as_slice().iter().all(|&v| v == 0.0 || v == 1.25));
    }
}
