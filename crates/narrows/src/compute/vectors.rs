//! Sums over two rows, for loops that are compiled for wide vectors: see [`super::wide`].

/// Sums that go on side by side, so that an addition need not wait for the one before.
const LANES: usize = 64;

/// `Σ aᵢ·bᵢ`, in an order that depends on the length alone.
///
/// # Panics
/// If the lengths differ: the caller's mistake.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "dot: lengths differ");
    let mut sums = [0.0_f32; LANES];
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    folded(sums) + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

/// `Σ aᵢ`, in an order that depends on the length alone.
#[inline(always)]
pub(super) fn lane_sum(a: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let (a, rest) = a.as_chunks::<LANES>();
    for a in a {
        for lane in 0..LANES {
            sums[lane] += a[lane];
        }
    }
    folded(sums) + rest.iter().sum::<f32>()
}

/// The sum of all lanes, by halves.
#[inline(always)]
fn folded(mut sums: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    sums[0]
}

/// `outᵢ ← outᵢ + factor·rowᵢ`.
#[inline(always)]
pub fn add_scaled(out: &mut [f32], factor: f32, row: &[f32]) {
    out.iter_mut().zip(row).for_each(|(out, &value)| *out += factor * value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_whole_numbers_are_exact() {
        for length in [0, 1, 63, 64, 65, 200] {
            let a: Vec<f32> = (0..length).map(|i| i as f32).collect();
            let b: Vec<f32> = (0..length).map(|i| (i % 7) as f32).collect();
            let exact: usize = (0..length).map(|i| i * (i % 7)).sum();
            assert_eq!(dot(&a, &b), exact as f32);
            assert_eq!(lane_sum(&a), (0..length).sum::<usize>() as f32);
            let mut out = a.clone();
            add_scaled(&mut out, 2.0, &b);
            assert!((0..length).all(|i| out[i] == (i + 2 * (i % 7)) as f32));
        }
    }
}
