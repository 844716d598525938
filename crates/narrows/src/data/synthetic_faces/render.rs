//! From surfaces to grey pixels: triangles into a depth buffer, one light, one shadow map.

use super::FaceTruth;
use super::head::{Person, smooth};

/// A point or direction: to the viewer's right, up, to the viewer.
pub(super) type Point = [f32; 3];

/// Half the height of what a picture shows, in head units.
const REACH: f32 = 1.18;
/// Where the middle of the picture lies.
const MIDDLE: f32 = 0.01;
/// Samples along each side of a pixel.
const SAMPLES: usize = 2;
/// Side of the shadow map in cells, and half its height in head units.
const SHADOW: usize = 128;
const SHADOW_REACH: f32 = 1.9;

/// What a surface is made of.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Material {
    Head,
    Skin,
    Hair,
    Cloth,
}

/// A surface over the unit square, as a grid of points.
pub(super) struct Mesh {
    columns: usize,
    points: Vec<Point>,
    normals: Vec<Point>,
    paint: Vec<[f32; 3]>,
    material: Material,
    /// Whether it turns with the head.
    turns: bool,
}

impl Mesh {
    /// `surface(s, t)` gives a point and the name that its paint goes by; `s` runs to the right and
    /// `t` up, seen from outside.
    pub(super) fn over_square(
        rows: usize,
        columns: usize,
        material: Material,
        turns: bool,
        surface: impl Fn(f32, f32) -> (Point, [f32; 3]),
    ) -> Self {
        let at = |index: usize, count: usize| index as f32 / (count - 1) as f32;
        let (points, paint): (Vec<_>, Vec<_>) = (0..rows * columns)
            .map(|index| surface(at(index % columns, columns), at(index / columns, rows)))
            .unzip();
        let normals = (0..rows * columns)
            .map(|index| {
                let (row, column) = (index / columns, index % columns);
                let point = |row: usize, column: usize| points[row * columns + column];
                let right = minus(
                    point(row, (column + 1).min(columns - 1)),
                    point(row, column.saturating_sub(1)),
                );
                let up = minus(
                    point((row + 1).min(rows - 1), column),
                    point(row.saturating_sub(1), column),
                );
                unit(cross(right, up))
            })
            .collect();
        Self { columns, points, normals, paint, material, turns }
    }

    fn turned(mut self, turn: &[Point; 3]) -> Self {
        if self.turns {
            let about = [0.0, -0.35, -0.25];
            for point in &mut self.points {
                let turned = apply(turn, minus(*point, about));
                *point = [turned[0], turned[1] + about[1], turned[2] + about[2]];
            }
            self.normals.iter_mut().for_each(|normal| *normal = apply(turn, *normal));
        }
        self
    }

    /// The three corners of every triangle.
    fn triangles(&self) -> impl Iterator<Item = [usize; 3]> + '_ {
        let rows = self.points.len() / self.columns;
        (0..rows - 1).flat_map(move |row| {
            (0..self.columns - 1).flat_map(move |column| {
                let low = row * self.columns + column;
                let high = low + self.columns;
                [[low, low + 1, high + 1], [low, high + 1, high]]
            })
        })
    }
}

/// What is seen at a sample.
#[derive(Clone, Copy)]
struct Sample {
    place: Point,
    normal: Point,
    paint: [f32; 3],
    material: Material,
}

/// Draws one picture into `picture`, which is square.
pub(super) fn render(person: &Person, truth: &FaceTruth, picture: &mut [u8]) {
    let size = picture.len().isqrt();
    let fineness = (2 * size).clamp(112, 224);
    let turn = rotation(truth.yaw as f32, truth.pitch as f32);
    let meshes: Vec<Mesh> =
        person.meshes(truth, fineness).into_iter().map(|mesh| mesh.turned(&turn)).collect();
    let light = direction(truth.azimuth as f32, truth.elevation as f32);
    let shadow = Shadow::cast(&meshes, light);
    let side = size * SAMPLES;
    let mut samples: Vec<Option<Sample>> = vec![None; side * side];
    for mesh in &meshes {
        see(mesh, side, &mut samples);
    }
    for (index, pixel) in picture.iter_mut().enumerate() {
        let (row, column) = (index / size, index % size);
        let mut sum = 0.0;
        for sample in 0..SAMPLES * SAMPLES {
            let (row, column) =
                (row * SAMPLES + sample / SAMPLES, column * SAMPLES + sample % SAMPLES);
            sum += match &samples[row * side + column] {
                Some(seen) => shade(person, truth, seen, light, &shadow),
                None => background(row as f32 / side as f32, column as f32 / side as f32),
            };
        }
        // Light is added linearly; screens want the 2.2th root.
        let level = (sum / (SAMPLES * SAMPLES) as f32).clamp(0.0, 1.0).powf(1.0 / 2.2);
        *pixel = (255.0 * level).round() as u8;
    }
}

/// Keeps, at every sample that the mesh covers, what lies nearest to the viewer.
fn see(mesh: &Mesh, side: usize, samples: &mut [Option<Sample>]) {
    let scale = side as f32 / (2.0 * REACH);
    let project = |[x, y, z]: Point| [(x + REACH) * scale, (REACH + MIDDLE - y) * scale, z];
    let flat: Vec<Point> = mesh.points.iter().copied().map(project).collect();
    for [a, b, c] in mesh.triangles() {
        fill(flat[a], flat[b], flat[c], side, |cell, [wa, wb, wc]| {
            let blend = |values: &[Point]| {
                std::array::from_fn(|i| wa * values[a][i] + wb * values[b][i] + wc * values[c][i])
            };
            let place: Point = blend(&mesh.points);
            if samples[cell].is_none_or(|seen| place[2] > seen.place[2]) {
                let (normal, paint) = (blend(&mesh.normals), blend(&mesh.paint));
                samples[cell] = Some(Sample { place, normal, paint, material: mesh.material });
            }
        });
    }
}

/// Calls `cover` for every cell whose middle lies in the triangle, with the weights of the corners.
/// Triangles seen from behind are left out.
fn fill(a: Point, b: Point, c: Point, side: usize, mut cover: impl FnMut(usize, [f32; 3])) {
    // Rows run down, so the front of a triangle runs clockwise here.
    let area = (c[0] - a[0]) * (b[1] - a[1]) - (b[0] - a[0]) * (c[1] - a[1]);
    if area <= 1e-9 {
        return;
    }
    let span = |axis: usize| {
        let low = a[axis].min(b[axis]).min(c[axis]) - 0.5;
        let high = a[axis].max(b[axis]).max(c[axis]) - 0.5;
        (
            low.ceil().max(0.0) as usize,
            (high.floor().min(side as f32 - 1.0) + 1.0).max(0.0) as usize,
        )
    };
    let ((left, right), (top, bottom)) = (span(0), span(1));
    for row in top..bottom {
        for column in left..right {
            let (x, y) = (column as f32 + 0.5, row as f32 + 0.5);
            let weight =
                |p: Point, q: Point| ((q[0] - x) * (p[1] - y) - (p[0] - x) * (q[1] - y)) / area;
            let weights = [weight(b, c), weight(c, a), weight(a, b)];
            if weights.iter().all(|&w| w >= -1e-5) {
                cover(row * side + column, weights);
            }
        }
    }
}

/// How far the light comes: the nearest depth along it, cell by cell.
struct Shadow {
    frame: [Point; 3],
    depth: Vec<f32>,
}

impl Shadow {
    fn cast(meshes: &[Mesh], light: Point) -> Self {
        let right = unit(cross([0.0, 1.0, 0.0], light));
        let frame = [right, cross(light, right), light];
        let mut shadow = Self { frame, depth: vec![f32::NEG_INFINITY; SHADOW * SHADOW] };
        for mesh in meshes {
            let flat: Vec<Point> = mesh.points.iter().map(|&point| shadow.project(point)).collect();
            for [a, b, c] in mesh.triangles() {
                fill(flat[a], flat[b], flat[c], SHADOW, |cell, [wa, wb, wc]| {
                    let depth = wa * flat[a][2] + wb * flat[b][2] + wc * flat[c][2];
                    shadow.depth[cell] = shadow.depth[cell].max(depth);
                });
            }
        }
        shadow
    }

    fn project(&self, point: Point) -> Point {
        let [x, y, z] = apply(&self.frame, point);
        let scale = SHADOW as f32 / (2.0 * SHADOW_REACH);
        [(x + SHADOW_REACH) * scale, (SHADOW_REACH - y) * scale, z]
    }

    /// The share of light that reaches `point`, softened over the neighbouring cells.
    fn reaches(&self, point: Point) -> f32 {
        let [x, y, z] = self.project(point);
        let (column, row) = ((x - 0.5).floor(), (y - 0.5).floor());
        let (right, down) = (x - 0.5 - column, y - 0.5 - row);
        let mut lit = 0.0;
        // A tent over 4 × 4 cells that moves with the point, so that no cell can be seen.
        for i in -1..3_i32 {
            for j in -1..3_i32 {
                let weight =
                    (1.0 - (i as f32 - down).abs() / 2.0) * (1.0 - (j as f32 - right).abs() / 2.0);
                let (row, column) = (row as i32 + i, column as i32 + j);
                let inside =
                    (0..SHADOW as i32).contains(&row) && (0..SHADOW as i32).contains(&column);
                let blocker =
                    if inside { self.depth[row as usize * SHADOW + column as usize] } else { z };
                lit += weight * smooth(0.11, 0.05, blocker - z);
            }
        }
        lit / 4.0
    }
}

/// The light that a sample sends to the viewer.
fn shade(person: &Person, truth: &FaceTruth, seen: &Sample, light: Point, shadow: &Shadow) -> f32 {
    let normal = unit(seen.normal);
    let (tone, gloss) = person.paint(truth, seen.material, seen.paint);
    // Skin scatters light around the edge of its own shadow.
    let facing = ((dot(normal, light) + 0.12) / 1.12).max(0.0);
    let key = facing * shadow.reaches(seen.place);
    let fill = 0.5 + 0.5 * dot(normal, unit([0.0, 0.2, 0.9]));
    let rim = (1.0 - normal[2].max(0.0)).powi(4);
    let half = unit([light[0], light[1], light[2] + 1.0]);
    let highlight = gloss * dot(normal, half).max(0.0).powi(24) * key;
    tone * (1.2 * key + 0.16 * fill + 0.05 * rim) + 2.0 * highlight
}

/// A plain wall, a little brighter in the middle.
fn background(down: f32, right: f32) -> f32 {
    let away = (down - 0.4).powi(2) + (right - 0.5).powi(2);
    0.30 - 0.22 * away
}

/// Turns to the right by `yaw`, then up by `pitch`; the rows of the matrix.
fn rotation(yaw: f32, pitch: f32) -> [Point; 3] {
    let ((s, c), (sp, cp)) = (yaw.sin_cos(), pitch.sin_cos());
    [[c, 0.0, s], [-sp * s, cp, sp * c], [-cp * s, -sp, cp * c]]
}

fn direction(azimuth: f32, elevation: f32) -> Point {
    [azimuth.sin() * elevation.cos(), elevation.sin(), azimuth.cos() * elevation.cos()]
}

fn apply(rows: &[Point; 3], point: Point) -> Point {
    rows.map(|row| dot(row, point))
}

fn dot(a: Point, b: Point) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn minus(a: Point, b: Point) -> Point {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

fn cross(a: Point, b: Point) -> Point {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

fn unit(a: Point) -> Point {
    let length = dot(a, a).sqrt().max(1e-12);
    a.map(|x| x / length)
}
