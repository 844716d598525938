//! Products of columns with columns, `AᵀA`: only the upper triangle, in tiles.
//!
//! The triangle is halved again and again: a square above the diagonal, a triangle on each side of
//! it, until they fit the cache. Its area is then close to half of the square, and every piece is a
//! product that the kernel runs at full speed. The tiles depend on the shape alone and each is
//! summed by one thread in one order, so the number of threads never changes a bit.

use ndarray::{ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

use super::Real;
use super::product::kernel;

/// Side up to which a triangle is computed as a square.
const SMALLEST: usize = 64;
/// Longest side of a tile.
const LARGEST: usize = 256;
/// Sides are cut at multiples of what the kernel computes at a time.
const STEP: usize = 16;

/// `out += columnsᵀ · columns` in the upper triangle of each pair `columns (n, d)`, `out (d, d)`;
/// below it `out` is left in parts as it was. f32 products are finished in `room`, which a caller
/// keeps from call to call, before they are added in f64; f64 products need no room.
///
/// # Panics
/// If the shapes do not fit or an `out` is not row-major: the caller's mistake.
pub fn add_cross_products<'a, U: Real>(
    pairs: impl IntoIterator<Item = (ArrayView2<'a, U>, ArrayViewMut2<'a, f64>)>,
    room: &mut Vec<Vec<U>>,
) {
    let mut tiles = Vec::new();
    for (columns, out) in pairs {
        split_triangle(columns, out, &mut tiles);
    }
    room.resize_with(tiles.len().max(room.len()), Vec::new);
    tiles.into_par_iter().with_max_len(1).zip(room).for_each(|(tile, room)| tile.add(room));
}

/// A piece of the scatter matrix and the columns whose products it sums.
struct Tile<'a, U> {
    left: ArrayView2<'a, U>,
    right: ArrayView2<'a, U>,
    out: ArrayViewMut2<'a, f64>,
}

fn split_triangle<'a, U: Real>(
    columns: ArrayView2<'a, U>,
    out: ArrayViewMut2<'a, f64>,
    tiles: &mut Vec<Tile<'a, U>>,
) {
    let dim = out.nrows();
    if dim <= SMALLEST {
        tiles.push(Tile { left: columns, right: columns, out });
        return;
    }
    let middle = half(dim);
    let (left, right) = columns.split_at(Axis(1), middle);
    let (top, bottom) = out.split_at(Axis(0), middle);
    let (top_left, top_right) = top.split_at(Axis(1), middle);
    let (_, bottom_right) = bottom.split_at(Axis(1), middle);
    split_rectangle(left, right, top_right, tiles);
    split_triangle(left, top_left, tiles);
    split_triangle(right, bottom_right, tiles);
}

fn split_rectangle<'a, U: Real>(
    left: ArrayView2<'a, U>,
    right: ArrayView2<'a, U>,
    out: ArrayViewMut2<'a, f64>,
    tiles: &mut Vec<Tile<'a, U>>,
) {
    let (rows, columns) = out.dim();
    if rows.max(columns) <= LARGEST {
        tiles.push(Tile { left, right, out });
    } else if rows >= columns {
        let middle = half(rows);
        let (upper, lower) = left.split_at(Axis(1), middle);
        let (top, bottom) = out.split_at(Axis(0), middle);
        split_rectangle(upper, right, top, tiles);
        split_rectangle(lower, right, bottom, tiles);
    } else {
        let middle = half(columns);
        let (near, far) = right.split_at(Axis(1), middle);
        let (first, second) = out.split_at(Axis(1), middle);
        split_rectangle(left, near, first, tiles);
        split_rectangle(left, far, second, tiles);
    }
}

impl<U: Real> Tile<'_, U> {
    /// `out += leftᵀ · right`; an f32 product is finished in `room` before it is added in f64.
    fn add(self, room: &mut Vec<U>) {
        let left = self.left.reversed_axes();
        if let Some((left, right)) = as_f64(left).zip(as_f64(self.right)) {
            kernel(1.0, 1.0, left, right, self.out);
            return;
        }
        let mut out = self.out;
        room.resize(out.len(), U::ZERO);
        let product =
            ArrayViewMut2::from_shape(out.dim(), room.as_mut_slice()).expect("sized above");
        kernel(U::ZERO, U::ONE, left, self.right, product);
        for (mut out, product) in
            out.rows_mut().into_iter().zip(room.chunks_exact(self.right.ncols()))
        {
            let out = out.as_slice_mut().expect("row-major");
            out.iter_mut().zip(product).for_each(|(out, &value)| *out += value.to_f64());
        }
    }
}

fn half(length: usize) -> usize {
    (length / 2).next_multiple_of(STEP)
}

/// The same view where `T` is `f64`.
fn as_f64<T: Real>(view: ArrayView2<'_, T>) -> Option<ArrayView2<'_, f64>> {
    use std::any::TypeId;
    if TypeId::of::<T>() != TypeId::of::<f64>() {
        return None;
    }
    Some(super::real::same_type(view))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use ndarray::Array2;

    #[test]
    fn the_upper_triangle_is_that_of_a_plain_product() {
        for dim in [1, 15, 64, 65, 130, 400, 785] {
            let mut random = Random::stream(dim as u64, "columns");
            let columns = Array2::from_shape_fn((30, dim), |_| random.normal());
            let expected = columns.t().dot(&columns);
            let single = columns.mapv(|value| value as f32);
            let (mut wide, mut narrow) = (Array2::ones((dim, dim)), Array2::ones((dim, dim)));
            add_cross_products([(columns.view(), wide.view_mut())], &mut Vec::new());
            add_cross_products([(single.view(), narrow.view_mut())], &mut Vec::new());
            for ((i, j), expected) in expected.indexed_iter().filter(|((i, j), _)| i <= j) {
                assert!((wide[[i, j]] - 1.0 - expected).abs() < 1e-12, "{dim}: {i}, {j}");
                assert!((narrow[[i, j]] - 1.0 - expected).abs() < 1e-4, "{dim}: {i}, {j}");
            }
        }
    }
}
