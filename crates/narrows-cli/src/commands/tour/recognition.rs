//! Section 7: who is it, a stranger, or no face at all?

use narrows::Result;
use narrows::data::ImageShape;
use narrows::faces::{
    Distance, EvaluateOptions, FaceOptions, FaceSpace, Identification, Verdict, evaluate,
};
use narrows::model::pca::Components;
use narrows::random::Random;
use narrows::report::chart::{Axis, Guide};
use narrows::report::page::{Block, Table};
use narrows::report::picture::album;
use narrows::report::{Html, count, percent};
use ndarray::{Array2, Axis as Along};
use serde_json::json;

use super::draw::{line, marked, picture};
use super::sets::faces_at;
use super::told::Told;
use super::workshop::Workshop;

/// Pictures of each person that are known.
const KNOWN: usize = 5;
/// The share of the persons who are known; the others are strangers.
const FAMILIAR: f64 = 0.75;
/// Eigenfaces of the recogniser, where there are as many.
const EIGENFACES: usize = 40;

pub(super) fn run(shop: &Workshop<'_>) -> Result<Told> {
    let people = shop.people(false)?;
    let faces = &people.faces;
    let everybody = faces.people.as_ref().map_or(0, |people| people.names.len());
    let familiar = (FAMILIAR * everybody as f64).round() as usize;
    let person = |row: usize| faces.people.as_ref().map_or(0, |people| people.classes[row]);
    let [first, later] = people.split(KNOWN);
    let is_known = |row: &&usize| person(**row) < familiar;
    let gallery: Vec<usize> = first.iter().filter(is_known).copied().collect();
    let probes: Vec<usize> = later.iter().filter(is_known).copied().collect();
    let strangers: Vec<usize> = later.iter().filter(|row| !is_known(row)).copied().collect();

    let most = gallery.len().min(faces.pixels.ncols());
    let components = Components::Count(EIGENFACES.min(most));
    let options = FaceOptions { components, ..Default::default() };
    let space = FaceSpace::train(&faces_at(faces, &gallery), &options)?;
    let not_faces = not_faces(faces.image, shop.seed);
    let look = |rows: &[usize]| {
        space.identify(faces.pixels.select(Along(0), rows).view(), Distance::Mahalanobis)
    };
    let (of_probes, of_strangers) = (look(&probes)?, look(&strangers)?);
    let of_others = space.identify(not_faces.view(), Distance::Mahalanobis)?;
    let name = |found: &Identification| space.gallery.persons[found.person].as_str();
    let right = |found: &Identification, row: usize| {
        faces.people.as_ref().is_some_and(|people| people.names[person(row)] == name(found))
    };
    let nearest = share(of_probes.iter().zip(&probes).map(|(found, &row)| right(found, row)));
    let accepted = share(
        of_probes
            .iter()
            .zip(&probes)
            .map(|(found, &row)| found.verdict == Verdict::Known && right(found, row)),
    );
    let rejected = share(of_strangers.iter().map(|found| found.verdict != Verdict::Known));
    let no_face = share(of_others.iter().map(|found| found.verdict == Verdict::NotAFace));

    let studied = evaluate(
        faces,
        &EvaluateOptions {
            splits: shop.either(3, 20),
            train_per_person: KNOWN,
            components: vec![2, 5, 10, 20, 40, 80],
            seed: shop.seed,
            ..Default::default()
        },
    )?;
    let curve = |distance: Distance, colour: usize| {
        let points =
            studied.rates.iter().map(|rates| [rates.components as f64, rates.by(distance).mean]);
        line(distance.label(), colour, points)
    };
    let chart = marked(
        Axis { covers: vec![2.0], ..Axis::logarithmic("eigenfaces k") },
        Axis::share("held-out pictures named rightly"),
        vec![curve(Distance::L2, 0), curve(Distance::Mahalanobis, 1)],
        vec![Guide::Horizontal(studied.pixels.mean, "all pixels".to_owned())],
    );
    let said = |found: &Identification| match found.verdict {
        Verdict::Known => name(found).to_owned(),
        Verdict::Unknown => "unknown".to_owned(),
        Verdict::Ambiguous => "two alike".to_owned(),
        Verdict::NotAFace => "not a face".to_owned(),
    };
    let mut shown: Vec<(Html, String)> = Vec::new();
    let mut show = |rows: &[usize], found: &[Identification], kind: &str, most: usize| {
        let stride = (rows.len() / most).max(1);
        for place in (0..rows.len()).step_by(stride).take(most) {
            let pixels = faces.pixels.row(rows[place]).to_vec();
            let who = if kind.is_empty() { truth(faces, rows[place]) } else { kind.to_owned() };
            shown.push((
                picture(&pixels, faces.image, &who),
                format!("{who} → {}", said(&found[place])),
            ));
        }
    };
    show(&probes, &of_probes, "", 6);
    show(&strangers, &of_strangers, "stranger", 4);
    for (pixels, found) in not_faces.outer_iter().zip(&of_others).take(2) {
        let drawn = picture(&pixels.to_vec(), faces.image, "no face");
        shown.push((drawn, format!("no face → {}", said(found))));
    }
    let table = Table {
        columns: ["shown", "#pictures", "#answered rightly"].map(String::from).into(),
        rows: vec![
            vec!["known persons: nearest face".into(), count(probes.len()), percent(nearest)],
            vec![
                "known persons: accepted, and by name".into(),
                count(probes.len()),
                percent(accepted),
            ],
            vec!["strangers: turned away".into(), count(strangers.len()), percent(rejected)],
            vec!["no faces: told as such".into(), count(not_faces.nrows()), percent(no_face)],
        ],
    };
    Ok(Told {
        idea: format!(
            "A known face is kept as its {} weights. A new picture is projected and belongs to the \
             nearest known face; it is a stranger where even that is too far, and no face where the picture \
             itself is far from face space. Both limits are calibrated on the known pictures, for one stranger \
             in twenty.",
            space.pca.components.nrows()
        ),
        formula:
            "w = V(x − μ)   who = argmin ‖w − wᵢ‖   unknown if min > θ   not a face if ‖x − x̂‖ > φ"
                .to_owned(),
        figure: format!(
            "{} of held-out pictures of {familiar} known people named rightly; of {} strangers {} turned away; \
             of what is no face {}",
            percent(nearest),
            everybody - familiar,
            percent(rejected),
            percent(no_face)
        ),
        measured: json!({
            "known_people": familiar, "strangers": everybody - familiar,
            "identification_rate": nearest, "accepted_by_name": accepted,
            "strangers_rejected": rejected, "not_faces_rejected": no_face,
            "over_k": studied.rates, "pixels": studied.pixels,
        }),
        blocks: vec![
            Block::Figure(
                album(&shown),
                "Held-out pictures: who it is, and what was answered.".to_owned(),
            ),
            Block::Table(table),
            Block::Figure(
                chart,
                format!(
                    "Everybody known, {} random splits into known and held-out pictures.",
                    studied.options.splits
                ),
            ),
        ],
        command: format!(
            "narrows faces train {} --out runs/faces && narrows faces identify someone.png --run runs/faces",
            people.argument
        ),
    })
}

fn truth(faces: &narrows::faces::Faces, row: usize) -> String {
    faces
        .people
        .as_ref()
        .map_or_else(String::new, |people| people.names[people.classes[row]].clone())
}

fn share(told: impl Iterator<Item = bool>) -> f64 {
    let (mut right, mut all) = (0_usize, 0_usize);
    for own in told {
        right += usize::from(own);
        all += 1;
    }
    right as f64 / all.max(1) as f64
}

/// Pictures of stripes and clouds, in turns.
fn not_faces(shape: ImageShape, seed: u64) -> Array2<f32> {
    let mut random = Random::stream(seed, "tour no faces");
    let (width, count) = (shape.width, 12);
    let waves: Vec<[f64; 3]> = (0..count)
        .map(|_| [random.between(0.1, 0.5), random.between(0.1, 0.5), random.between(0.0, 6.0)])
        .collect();
    Array2::from_shape_fn((count, shape.height * width * shape.channels), |(row, at)| {
        let at = at / shape.channels;
        let (x, y) = ((at % width) as f64, (at / width) as f64);
        let [a, b, phase] = waves[row];
        let value = match row % 2 {
            0 => (a * x + b * y + phase).sin(),
            _ => (a * x + phase).sin() * (b * y).cos(),
        };
        (0.5 + 0.5 * value) as f32
    })
}
