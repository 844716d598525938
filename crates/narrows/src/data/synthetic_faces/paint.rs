//! The colouring of a head: how much light each point of the surface returns.

use super::FaceTruth;
use super::head::{Person, bump, smooth};
use super::render::Material;

impl Person {
    /// Reflectance (0 … 1) and gloss of the point of `material` that `paint` names.
    pub(super) fn paint(
        &self,
        truth: &FaceTruth,
        material: Material,
        [u, v, turn]: [f32; 3],
    ) -> (f32, f32) {
        match material {
            Material::Skin => (self.skin * (0.92 - 0.3 * smooth(-1.1, -0.75, v)), 0.02),
            Material::Cloth => (self.cloth, 0.0),
            Material::Hair => (self.strands(turn, v), 0.06),
            Material::Head => {
                let hair =
                    smooth(-0.015, 0.035, self.above_hairline(turn, v) + 0.02 * self.ragged(turn));
                if hair >= 1.0 {
                    return (self.strands(turn, v), 0.10);
                }
                let (face, gloss) = self.face(truth, u, v, turn);
                (mix(face, self.strands(turn, v), hair), mix(gloss, 0.10, hair))
            }
        }
    }

    fn strands(&self, turn: f32, v: f32) -> f32 {
        let comb = (23.0 * turn + 5.0 * v * self.parting + self.phase).cos()
            + 0.7 * (41.0 * turn - 7.0 * v * self.parting + 2.0 * self.phase).cos();
        self.hair * (1.0 + 0.16 * comb)
    }

    fn ragged(&self, turn: f32) -> f32 {
        1.2 * (7.0 * turn + self.phase).cos() + 0.25 * (67.0 * turn + 3.0 * self.phase).cos()
    }

    fn face(&self, truth: &FaceTruth, u: f32, v: f32, turn: f32) -> (f32, f32) {
        if turn.cos() < 0.05 {
            return (self.skin, 0.03);
        }
        let side = u.abs();
        let mut tone = self.skin * (1.0 + 0.02 * (9.0 * u + self.phase).cos() * (8.0 * v).cos());
        tone *= 1.0 - 0.10 * bump((side - 0.42) / 0.17, (v + 0.27) / 0.13);
        tone *= 1.0 - 0.20 * bump((side - self.eye_x) / 0.16, (v - self.eye_y + 0.015) / 0.085);
        tone = mix(tone, self.beard_tone(), 0.6 * self.beard * self.beard_mask(truth, u, v));
        let tip = self.eye_y - self.nose_length;
        let wing = bump((side - 1.35 * self.nose_width) / 0.028, (v - tip + 0.01) / 0.05);
        tone *= 1.0 - 0.22 * wing - 0.08 * bump(u / 0.10, (v - tip + 0.085) / 0.03);
        let nostril = bump((side - 0.50 * self.nose_width) / 0.024, (v - tip + 0.018) / 0.014);
        tone *= 1.0 - 0.6 * nostril;
        tone = mix(tone, 0.6 * self.hair + 0.01, 0.88 * self.brow_mask(truth, u, v));
        let (tone, gloss) = self.mouth_paint(truth, u, v, tone);
        self.eye_paint(truth, u, v, tone, gloss)
    }

    fn beard_tone(&self) -> f32 {
        mix(self.hair, self.skin, 0.25)
    }

    /// Moustache, chin and jaw.
    fn beard_mask(&self, truth: &FaceTruth, u: f32, v: f32) -> f32 {
        let jaw = smooth(-0.30 - 0.25 * (1.0 - smooth(0.25, 0.62, u.abs())), -0.60, v);
        let moustache = bump(u / 0.17, (v - self.mouth_y - 0.105) / 0.035);
        let below_nose = smooth(self.eye_y - self.nose_length - 0.05, self.mouth_y, v);
        let (mouth, _) = self.mouth(truth, u);
        let lips = bump(u / self.mouth_half(truth), (v - mouth) / 0.09);
        (jaw * below_nose.max(smooth(0.2, 0.5, u.abs()))).max(moustache) * (1.0 - 0.9 * lips)
    }

    fn brow_mask(&self, truth: &FaceTruth, u: f32, v: f32) -> f32 {
        let raised = truth.brow as f32;
        let along = (u.abs() - 0.10) / (self.eye_x + 0.5 * self.eye_width + 0.06);
        if !(-0.2..=1.3).contains(&along) {
            return 0.0;
        }
        let arch = self.brow_arch * (1.0 - 2.2 * (along - 0.6).powi(2)) + 0.035 * raised;
        let frown = 0.02 * (-raised).max(0.0) * (1.0 - along);
        let thickness = self.brow_thickness * (1.0 - 0.55 * along.clamp(0.0, 1.0).powi(2));
        let ends = smooth(-0.06, 0.08, along) * smooth(1.08, 0.85, along);
        ends * bump((v - self.brow_y - arch + frown + 0.01) / thickness, 0.0)
    }

    fn mouth_paint(&self, truth: &FaceTruth, u: f32, v: f32, skin: f32) -> (f32, f32) {
        let half = self.mouth_half(truth);
        let across = u / half;
        if across.abs() > 1.15 || (v - self.mouth_y).abs() > 0.3 {
            return (skin, 0.03);
        }
        let (line, open) = self.mouth(truth, u);
        let full = (1.0 - across * across).max(0.0);
        let bow = 1.0 - 0.25 * bump(u / 0.03, 0.0);
        let upper = line + open + 0.062 * self.lips * full.powf(0.75) * bow;
        let lower = line - open - 0.078 * self.lips * full.powf(0.6);
        let lips =
            smooth(upper + 0.012, upper - 0.012, v) * smooth(lower - 0.012, lower + 0.012, v);
        let tint = if v > line { 0.42 } else { 0.56 };
        let mut tone = mix(skin, skin * tint, lips * smooth(0.0, 0.15, full));
        let gloss = 0.03 + 0.07 * lips;
        let seam = bump((v - line) / 0.011, 0.0) * smooth(1.08, 0.9, across.abs());
        tone *= 1.0 - 0.75 * seam * (1.0 - smooth(0.0, 0.03, open));
        let inside =
            smooth(open + 0.006, open - 0.010, (v - line).abs()) * smooth(0.004, 0.02, open);
        let teeth = smooth(line + 0.05 * open, line + 0.30 * open, v);
        (mix(tone, mix(0.03, 0.55, teeth), inside), gloss * (1.0 - inside))
    }

    fn eye_paint(&self, truth: &FaceTruth, u: f32, v: f32, skin: f32, gloss: f32) -> (f32, f32) {
        let x = u.abs() - self.eye_x;
        let across = x / self.eye_width;
        if across.abs() > 1.25 || (v - self.eye_y).abs() > 0.2 {
            return (skin, gloss);
        }
        let y = v - self.eye_y - self.eye_tilt * x;
        let full = (1.0 - across * across).max(0.0);
        let squint = 1.0 - 0.22 * truth.smile.max(0.0) as f32 + 0.18 * truth.brow as f32;
        let upper = self.eye_height * squint * full.powf(0.6);
        let lower = -0.72 * self.eye_height * (1.0 - 0.2 * truth.smile.max(0.0) as f32) * full;
        let open =
            smooth(upper + 0.006, upper - 0.008, y) * smooth(lower - 0.006, lower + 0.008, y);
        let from_pupil = (x * x + (y - 0.008).powi(2)).sqrt();
        let iris = smooth(0.062, 0.050, from_pupil);
        let pupil = smooth(0.026, 0.018, from_pupil);
        let white = 0.52 * (1.0 - 0.35 * across * across) * smooth(upper + 0.02, upper - 0.05, y);
        let mut eye = mix(white, mix(self.iris, 0.008, pupil), iris);
        // The window that every portrait reflects: on the same side of both eyes.
        let glint = bump((u - self.eye_x.copysign(u) + 0.018) / 0.011, (y - 0.026) / 0.011);
        eye = mix(eye, 0.9, glint);
        let lash = bump((y - upper) / 0.013, 0.0) * smooth(1.18, 0.9, across.abs());
        let rim = 0.35 * bump((y - lower) / 0.010, 0.0) * smooth(1.05, 0.8, across.abs());
        let crease = 0.30 * bump((y - upper - 0.045) / 0.012, 0.0) * smooth(1.2, 0.7, across.abs());
        let lids = skin * (1.0 - crease) * (1.0 - rim);
        let tone = mix(lids, eye, open) * (1.0 - 0.85 * lash);
        (tone, gloss * (1.0 - open) + 0.05 * open)
    }
}

fn mix(a: f32, b: f32, share: f32) -> f32 {
    a + (b - a) * share
}
