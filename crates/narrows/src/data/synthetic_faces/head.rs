//! The shape of a head: surfaces over a square, in head coordinates.
//!
//! `x` runs to the viewer's right, `y` up, `z` to the viewer. The head is about 2 high and 1.5 wide;
//! its eyes lie near `y = 0`. A point of the face is named by where it lies on the average head seen
//! from the front, `(u, v)`: relief and paint both use these, so they always agree.

use super::render::{Material, Mesh, Point};
use super::{FaceKnobs, FaceTruth};
use crate::random::Random;

/// What makes a person: proportions are relative to the average, colours are reflectances.
pub(super) struct Person {
    pub(super) width: f32,
    pub(super) height: f32,
    pub(super) jaw: f32,
    pub(super) chin: f32,
    pub(super) cheeks: f32,
    pub(super) brow_ridge: f32,
    pub(super) eye_x: f32,
    pub(super) eye_y: f32,
    pub(super) eye_width: f32,
    pub(super) eye_height: f32,
    pub(super) eye_tilt: f32,
    pub(super) iris: f32,
    pub(super) brow_y: f32,
    pub(super) brow_thickness: f32,
    pub(super) brow_arch: f32,
    pub(super) nose_length: f32,
    pub(super) nose_width: f32,
    pub(super) nose_height: f32,
    pub(super) mouth_y: f32,
    pub(super) mouth_width: f32,
    pub(super) lips: f32,
    pub(super) skin: f32,
    pub(super) hair: f32,
    pub(super) cloth: f32,
    pub(super) beard: f32,
    pub(super) hairline: f32,
    pub(super) hair_thickness: f32,
    /// How far down long hair falls; 0 for short hair.
    pub(super) hair_length: f32,
    /// Where the hair is parted: −1 and 1 are the sides.
    pub(super) parting: f32,
    pub(super) ears: f32,
    pub(super) phase: f32,
}

impl Person {
    /// Person `index` of a set.
    pub(super) fn draw(knobs: &FaceKnobs, index: usize) -> Self {
        let mut random = Random::stream(knobs.seed, &format!("faces person {index}"));
        let identity = knobs.identity as f32;
        let mut vary = |mean: f32, spread: f32| {
            mean + spread * identity * random.normal().clamp(-2.0, 2.0) as f32
        };
        // Light and dark skin alike: reflectances are drawn on a logarithmic scale.
        let darkness = vary(0.0, 1.0);
        let hair_style = vary(0.0, 1.0);
        let bearded = vary(-0.2, 0.8);
        let long = hair_style > 0.4;
        Self {
            width: vary(1.0, 0.055),
            height: vary(1.0, 0.045),
            jaw: vary(0.0, 0.08),
            chin: vary(0.0, 0.05),
            cheeks: vary(0.0, 0.05),
            brow_ridge: vary(0.05, 0.02),
            eye_x: vary(0.300, 0.022),
            eye_y: vary(0.02, 0.025),
            eye_width: vary(0.142, 0.012),
            eye_height: vary(0.066, 0.010),
            eye_tilt: vary(0.06, 0.09),
            iris: (0.06 * vary(0.0, 0.7).exp()).min(0.3),
            brow_y: vary(0.20, 0.022),
            brow_thickness: vary(0.034, 0.010).max(0.014),
            brow_arch: vary(0.05, 0.03),
            nose_length: vary(0.32, 0.030),
            nose_width: vary(0.115, 0.018),
            nose_height: vary(0.27, 0.045),
            mouth_y: vary(-0.555, 0.022),
            mouth_width: vary(0.250, 0.026),
            lips: vary(1.0, 0.25).max(0.45),
            skin: (0.40 * (-0.42 * darkness).exp()).clamp(0.10, 0.62),
            hair: (0.045 * vary(0.0, 0.9).exp()).clamp(0.012, 0.35),
            cloth: (0.12 * vary(0.0, 0.8).exp()).clamp(0.02, 0.6),
            beard: if long { 0.0 } else { bearded.clamp(0.0, 1.0) },
            hairline: vary(0.66, 0.10).clamp(0.45, 0.92),
            hair_thickness: vary(0.09, 0.045).max(0.02),
            hair_length: if long { (0.7 + 0.4 * hair_style).min(1.5) } else { 0.0 },
            parting: vary(0.0, 0.8),
            ears: vary(1.0, 0.12),
            phase: vary(0.0, 3.0),
        }
    }

    /// The middle line of the mouth and half its opening at `u`.
    pub(super) fn mouth(&self, truth: &FaceTruth, u: f32) -> (f32, f32) {
        let (smile, open) = (truth.smile as f32, truth.mouth as f32);
        let across = (u / self.mouth_half(truth)).clamp(-1.2, 1.2);
        let line = self.mouth_y + 0.075 * smile * (across * across - 0.3) - 0.02 * open;
        (line, 0.085 * open * (1.0 - across * across).max(0.0).sqrt())
    }

    /// Half the width of the mouth.
    pub(super) fn mouth_half(&self, truth: &FaceTruth) -> f32 {
        self.mouth_width * (1.0 + 0.16 * truth.smile as f32 - 0.12 * truth.mouth as f32)
    }

    /// How far a point of the head lies above the edge of the hair: positive inside.
    pub(super) fn above_hairline(&self, turn: f32, v: f32) -> f32 {
        let side = turn.abs();
        let front = self.hairline - 0.20 * smooth(0.35, 1.0, side)
            + 0.10 * self.parting * (3.0 * turn).sin()
            + 0.10 * bump((turn - 0.35 * self.parting) / 0.16, 0.0) * self.parting.abs().min(1.0);
        let edge = front + (-0.12 - front) * smooth(0.85, 1.30, side);
        v - (edge - 0.5 * smooth(1.45, 1.9, side))
    }

    /// The parts of the body that a picture shows.
    pub(super) fn meshes(&self, truth: &FaceTruth, fineness: usize) -> Vec<Mesh> {
        let mut meshes = vec![self.head(truth, fineness), self.neck(), self.shoulders()];
        meshes.extend([-1.0, 1.0].map(|side| self.ear(side)));
        if self.hair_length > 0.0 {
            meshes.push(self.long_hair());
        }
        meshes
    }

    fn head(&self, truth: &FaceTruth, fineness: usize) -> Mesh {
        Mesh::over_square(fineness, fineness, Material::Head, true, |s, t| {
            // Closer together at the front, where the features are.
            let side = 2.0 * s - 1.0;
            let turn = 2.3 * (0.7 * side + 0.3 * side.powi(3));
            let latitude = std::f32::consts::FRAC_PI_2 * (2.0 * t - 1.0) * 0.998;
            let ring = latitude.cos().powf(0.82);
            let v = latitude.sin().abs().powf(0.90).copysign(latitude);
            let u = 0.73 * ring * turn.sin();
            (self.place(truth, turn, ring, u, v), [u, v, turn])
        })
    }

    /// Where the point `(u, v)` of the average head lies on this one.
    fn place(&self, truth: &FaceTruth, turn: f32, ring: f32, u: f32, v: f32) -> Point {
        let front = smooth(-0.1, 0.5, turn.cos());
        let taper = 1.0 - (0.20 - self.jaw) * smooth(0.0, -0.95, v) - 0.05 * smooth(0.3, 1.0, v);
        // Full at the crown, where every hairline ends.
        let bare = 1.0 - smooth(-0.02, 0.45, self.above_hairline(turn, v));
        let grows = 1.0 - bare * (1.0 - smooth(0.6, 0.96, v));
        let hair = self.hair_thickness * grows;
        let grown = 1.0 + hair;
        let jaw_drop = 0.09 * truth.mouth as f32 * smooth(self.mouth_y, self.mouth_y - 0.2, v);
        let drop = self.chin * smooth(-0.5, -0.9, v) + jaw_drop * front;
        // Skull: longer to the back than to the front.
        let depth = if turn.cos() > 0.0 { 0.80 } else { 1.0 };
        let z = depth * ring * turn.cos().abs().powf(0.92).copysign(turn.cos()) * grown;
        [
            u * taper * self.width * grown,
            (v * grown - drop) * self.height,
            z + front * self.relief(truth, u, v),
        ]
    }

    /// The height of the features over the smooth head.
    fn relief(&self, truth: &FaceTruth, u: f32, v: f32) -> f32 {
        let (smile, brow) = (truth.smile as f32, truth.brow as f32);
        let side = u.abs();
        let (to_eye, above_eye) = (side - self.eye_x, v - self.eye_y);
        let brows = (self.brow_ridge + 0.01 * brow)
            * bump((side - 0.28) / 0.20, (v - self.brow_y - 0.03 * brow) / 0.075);
        let eyes = 0.055 * bump(to_eye / 0.115, above_eye / 0.062)
            - 0.135 * bump(to_eye / 0.19, (above_eye - 0.01) / 0.11)
            - 0.05 * bump((side - 0.11) / 0.06, (above_eye + 0.01) / 0.10);
        let (mouth, open) = self.mouth(truth, u);
        let half = self.mouth_half(truth);
        let lip = 0.045 * self.lips;
        let lips = 0.06 * bump(u / 0.30, (v - self.mouth_y) / 0.17)
            + lip * bump(u / (0.75 * half), (v - mouth - open - 0.04) / 0.035)
            + 1.1 * lip * bump(u / (0.7 * half), (v - mouth + open + 0.05) / 0.042)
            - (0.03 + 0.6 * open) * bump(u / (0.6 * half), (v - mouth) / (0.018 + open))
            - 0.035 * bump(u / 0.2, (v - self.mouth_y + 0.165) / 0.045)
            - 0.012 * bump(u / 0.025, (v - self.mouth_y - 0.11) / 0.04);
        let smiling = smile.max(0.0);
        let cheeks = (0.05 + self.cheeks + 0.045 * smiling)
            * bump((side - 0.40) / 0.19, (v + 0.26 - 0.05 * smiling) / 0.17)
            - (0.012 + 0.03 * smiling)
                * bump((side - 0.27 - 0.35 * (-0.35 - v).max(-0.1)) / 0.05, (v + 0.42) / 0.10);
        let chin = (0.22 + self.chin) * bump(u / 0.24, (v + 0.84) / 0.14)
            + 0.12 * bump(u / 0.55, (v + 0.75) / 0.25);
        let forehead = 0.05 * bump(u / 0.5, (v - 0.42) / 0.25);
        brows + eyes + self.nose(u, v) + lips + cheeks + chin + forehead
    }

    fn nose(&self, u: f32, v: f32) -> f32 {
        let (bridge, tip) = (self.eye_y + 0.03, self.eye_y - self.nose_length);
        let along = ((bridge - v) / (bridge - tip)).clamp(-1.0, 1.3);
        let rise = smooth(-0.5, 0.5, along) * (0.35 + 0.65 * along.clamp(0.0, 1.0));
        // The tip hangs lowest; the wings end higher.
        let end = tip + 0.9 * u.abs().min(0.08);
        let under = 1.0 - smooth(end, end - 0.08, v);
        let width = self.nose_width * (0.52 + 0.30 * along.clamp(0.0, 1.0).powi(2));
        let wing = self.nose_width * 0.95;
        self.nose_height * rise * under * bump(u / width, 0.0)
            + 0.045 * bump(u / (0.6 * self.nose_width), (v - tip - 0.02) / 0.05)
            + 0.085 * bump((u.abs() - wing) / 0.045, (v - tip - 0.012) / 0.05)
    }

    fn ear(&self, side: f32) -> Mesh {
        Mesh::over_square(14, 18, Material::Skin, true, |s, t| {
            let direction = on_sphere(s, t);
            let rim = 1.0 - 0.35 * bump(direction[0] - side, 0.0);
            let place = [
                side * 0.71 * self.width + 0.07 * direction[0] * rim + side * 0.03 * direction[1],
                -0.06 + 0.215 * self.ears * direction[1],
                -0.10 + 0.12 * self.ears * direction[2] - 0.02 * direction[1],
            ];
            (place, [0.0, 0.0, 0.0])
        })
    }

    fn neck(&self) -> Mesh {
        Mesh::over_square(24, 32, Material::Skin, false, |s, t| {
            let turn = 2.4 * (2.0 * s - 1.0);
            let y = -1.75 + 1.35 * t;
            let radius = 0.43 + 0.22 * smooth(-1.15, -1.7, y);
            let radius = radius * (0.9 + 0.1 * self.width);
            ([radius * turn.sin() * 1.05, y, radius * turn.cos() - 0.27], [0.0, y, 0.0])
        })
    }

    fn shoulders(&self) -> Mesh {
        Mesh::over_square(24, 48, Material::Cloth, false, |s, t| {
            let [x, y, z] = on_sphere(s, t);
            let boxy = |x: f32| x.abs().powf(0.8).copysign(x);
            let collar = 0.16 * bump(x / 0.25, (z - 0.8) / 0.5);
            ([1.45 * boxy(x), -1.78 + 0.58 * y - collar, -0.30 + 0.62 * z], [x, y, 0.0])
        })
    }

    fn long_hair(&self) -> Mesh {
        Mesh::over_square(32, 48, Material::Hair, true, |s, t| {
            let [x, y, z] = on_sphere(s, t);
            let bottom = if y < 0.0 { self.hair_length } else { 0.98 + self.hair_thickness };
            let wide = (0.77 + 0.6 * self.hair_thickness) * self.width;
            let place = [
                wide * x.abs().powf(0.85).copysign(x) * (1.0 + 0.10 * smooth(0.2, -0.8, y)),
                bottom * y.abs().powf(0.8).copysign(y) * self.height,
                -0.42 + 0.62 * z,
            ];
            (place, [x, y, 2.5 * x])
        })
    }
}

/// A point of the unit sphere for a point of the unit square; the seam is at the back.
fn on_sphere(s: f32, t: f32) -> Point {
    let turn = std::f32::consts::PI * (2.0 * s - 1.0);
    let latitude = std::f32::consts::FRAC_PI_2 * (2.0 * t - 1.0) * 0.998;
    [latitude.cos() * turn.sin(), latitude.sin(), latitude.cos() * turn.cos()]
}

/// `exp(−(a² + b²) / 2)`.
pub(super) fn bump(a: f32, b: f32) -> f32 {
    let square = a * a + b * b;
    // Beyond four deviations nothing can be seen of it, and most bumps are far from most points.
    if square > 16.0 { 0.0 } else { (-0.5 * square).exp() }
}

/// 0 at `from`, 1 at `to`, `3x² − 2x³` between; `from` may be the larger.
pub(super) fn smooth(from: f32, to: f32, x: f32) -> f32 {
    let x = ((x - from) / (to - from)).clamp(0.0, 1.0);
    x * x * (3.0 - 2.0 * x)
}
