//! How alike two pictures are.
//!
//! ```text
//! PSNR   10 · log₁₀(R² / mean (x − y)²)                                   dB
//! SSIM   mean over windows of  (2 μx μy + C₁)(2 σxy + C₂) / ((μx² + μy² + C₁)(σx² + σy² + C₂))
//!
//! R: range of the values; C₁ = (0.01 R)², C₂ = (0.03 R)²; means and (co)variances under an 11 × 11
//! Gaussian window of σ = 1.5, divided by the sum of its weights, in windows that lie inside
//! ```
//!
//! Source: Z. Wang et al., Image quality assessment: from error visibility to structural similarity,
//! IEEE Transactions on Image Processing 13 (2004).

use crate::data::ImageShape;

/// Half the side of the window, without its middle.
const REACH: usize = 5;
const SIDE: usize = 2 * REACH + 1;
const SIGMA: f64 = 1.5;

/// The peak signal-to-noise ratio of `y` against `x`, in dB; infinite where both are equal.
pub fn psnr(x: &[f64], y: &[f64], range: f64) -> f64 {
    let squares: f64 = x.iter().zip(y).map(|(a, b)| (a - b) * (a - b)).sum();
    10.0 * (range * range / (squares / x.len() as f64)).log10()
}

/// The structural similarity of two pictures of one shape, mean over channels; `None` where a side is
/// shorter than a window.
pub fn ssim(x: &[f64], y: &[f64], shape: ImageShape, range: f64) -> Option<f64> {
    let ImageShape { height, width, channels } = shape;
    if height < SIDE || width < SIDE || channels == 0 {
        return None;
    }
    let sum: f64 = (0..channels)
        .map(|channel| {
            let plane = |picture: &[f64]| -> Vec<f64> {
                picture.iter().skip(channel).step_by(channels).copied().collect()
            };
            similarity(&plane(x), &plane(y), (height, width), range)
        })
        .sum();
    Some(sum / channels as f64)
}

fn similarity(x: &[f64], y: &[f64], size: (usize, usize), range: f64) -> f64 {
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).collect::<Vec<_>>();
    let [mean_x, mean_y] = [x, y].map(|plane| blurred(plane, size));
    let [xx, yy, xy] =
        [product(x, x), product(y, y), product(x, y)].map(|plane| blurred(&plane, size));
    let (c1, c2) = ((0.01 * range).powi(2), (0.03 * range).powi(2));
    let terms = (0..mean_x.len()).map(|place| {
        let (mx, my) = (mean_x[place], mean_y[place]);
        let (vx, vy) = (xx[place] - mx * mx, yy[place] - my * my);
        let covariance = xy[place] - mx * my;
        (2.0 * mx * my + c1) * (2.0 * covariance + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    });
    terms.sum::<f64>() / mean_x.len() as f64
}

/// The weighted mean in every window that lies inside: first along rows, then along columns.
fn blurred(plane: &[f64], (height, width): (usize, usize)) -> Vec<f64> {
    let weights = window();
    let inner = width - 2 * REACH;
    let across: Vec<f64> = (0..height * inner)
        .map(|place| {
            let start = place / inner * width + place % inner;
            weights.iter().zip(&plane[start..]).map(|(w, value)| w * value).sum()
        })
        .collect();
    let down = |place: usize| -> f64 {
        let values = across[place..].iter().step_by(inner);
        weights.iter().zip(values).map(|(w, value)| w * value).sum()
    };
    (0..(height - 2 * REACH) * inner).map(down).collect()
}

fn window() -> [f64; SIDE] {
    let weights: [f64; SIDE] = std::array::from_fn(|place| {
        let distance = place as f64 - REACH as f64;
        (-distance * distance / (2.0 * SIGMA * SIGMA)).exp()
    });
    let sum: f64 = weights.iter().sum();
    weights.map(|weight| weight / sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: ImageShape = ImageShape { height: 13, width: 16, channels: 1 };

    const PSNR: f64 = 7.758305763046316;
    const SSIM: f64 = -0.05683571018395728;

    fn pictures() -> (Vec<f64>, Vec<f64>) {
        let x = (0..208).map(|i| f64::from(i * 7 % 31) / 31.0).collect();
        let y = (0..208).map(|i| f64::from(i * 11 % 29) / 29.0).collect();
        (x, y)
    }

    /// By scikit-image 0.26.0: `peak_signal_noise_ratio(x, y, data_range=1)` and
    /// `structural_similarity(x, y, data_range=1, gaussian_weights=True, sigma=1.5,
    /// use_sample_covariance=False)` of the two pictures above.
    #[test]
    fn as_scikit_image_has_them() {
        let (x, y) = pictures();
        assert!((psnr(&x, &y, 1.0) - PSNR).abs() < 1e-9, "{}", psnr(&x, &y, 1.0));
        let found = ssim(&x, &y, SHAPE, 1.0).expect("large enough");
        assert!((found - SSIM).abs() < 1e-9, "{found}");
    }

    #[test]
    fn equal_pictures_are_alike() {
        let (x, _) = pictures();
        assert_eq!(psnr(&x, &x, 1.0), f64::INFINITY);
        assert!((ssim(&x, &x, SHAPE, 1.0).expect("large enough") - 1.0).abs() < 1e-12);
        let small = ImageShape { height: 8, width: 8, channels: 1 };
        assert_eq!(ssim(&x[..64], &x[..64], small, 1.0), None);
    }
}
