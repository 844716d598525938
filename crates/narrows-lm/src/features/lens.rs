//! Tokens that directions promote, and directions near to each other.

use narrows::compute::{Matrix, RowNorm, multiply};

use super::collect::TokenWeight;
use crate::model::LanguageModel;

/// Directions whose logits are held at a time.
const TILE: usize = 64;

/// Of each direction `(n, d)` the `most` tokens that it promotes, and those that it suppresses.
pub(super) fn promoted(
    model: &LanguageModel,
    directions: &Matrix,
    most: usize,
) -> Vec<[Vec<TokenWeight>; 2]> {
    let unembedding = model.unembedding();
    let (d, count) = (directions.cols(), directions.rows());
    let (mut tile, mut logits) = (Matrix::default(), Matrix::default());
    let mut found = Vec::with_capacity(count);
    for first in (0..count).step_by(TILE) {
        let rows = TILE.min(count - first);
        tile.reshape(rows, d);
        tile.as_mut_slice().copy_from_slice(&directions.as_slice()[first * d..(first + rows) * d]);
        for row in tile.as_mut_slice().chunks_exact_mut(d) {
            if model.architecture.norm == RowNorm::Layer {
                let mean = row.iter().sum::<f32>() / d as f32;
                row.iter_mut().for_each(|x| *x -= mean);
            }
            row.iter_mut().zip(model.last_norm_factors()).for_each(|(x, gamma)| *x *= gamma);
        }
        logits.reshape(rows, unembedding.rows());
        multiply(tile.view(), unembedding.view().reversed_axes(), logits.view_mut());
        found.extend((0..rows).map(|row| ends(logits.row(row), most)));
    }
    found
}

/// The largest and the smallest.
fn ends(values: &[f32], most: usize) -> [Vec<TokenWeight>; 2] {
    let mut order: Vec<u32> = (0..values.len() as u32).collect();
    let by_value =
        |a: &u32, b: &u32| values[*b as usize].total_cmp(&values[*a as usize]).then(a.cmp(b));
    order.sort_unstable_by(by_value);
    let weight = |&token: &u32| TokenWeight { token, weight: values[token as usize] };
    let most = most.min(order.len());
    [
        order[..most].iter().map(weight).collect(),
        order.iter().rev().take(most).map(weight).collect(),
    ]
}

/// Of each direction the `most` others with the largest cosine.
pub(super) fn near(directions: &Matrix, most: usize) -> Vec<Vec<(usize, f32)>> {
    let d = directions.cols();
    let mut unit = directions.clone();
    for row in unit.as_mut_slice().chunks_exact_mut(d) {
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        if length > 0.0 {
            row.iter_mut().for_each(|x| *x /= length);
        }
    }
    let (mut tile, mut cosines) = (Matrix::default(), Matrix::default());
    let mut found = Vec::with_capacity(unit.rows());
    for (place, chunk) in unit.as_slice().chunks(TILE * d).enumerate() {
        tile.reshape(chunk.len() / d, d);
        tile.as_mut_slice().copy_from_slice(chunk);
        cosines.reshape(tile.rows(), unit.rows());
        multiply(tile.view(), unit.view().reversed_axes(), cosines.view_mut());
        for row in 0..tile.rows() {
            let own = place * TILE + row;
            let mut others: Vec<(usize, f32)> =
                cosines.row(row).iter().copied().enumerate().collect();
            others.retain(|(other, _)| *other != own);
            others.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            others.truncate(most);
            found.push(others);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_by_hand() {
        let directions = Matrix::from_rows(3, 2, vec![2.0, 0.0, 0.0, 1.0, 3.0, 3.0]).expect("fits");
        let found = near(&directions, 1);
        assert_eq!(found.iter().map(|near| near[0].0).collect::<Vec<_>>(), [2, 2, 0]);
        assert!((found[0][0].1 - 0.5_f32.sqrt()).abs() < 1e-6);
    }

    #[test]
    fn ends_of_an_order() {
        let [most, least] = ends(&[0.5, -2.0, 3.0, 0.0], 2);
        assert_eq!(most.iter().map(|own| own.token).collect::<Vec<_>>(), [2, 0]);
        assert_eq!(least.iter().map(|own| own.token).collect::<Vec<_>>(), [1, 3]);
    }
}
