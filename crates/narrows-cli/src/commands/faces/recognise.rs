//! Who is it, and are these two the same?

use std::io::Write;

use anyhow::Result;
use narrows::Error;
use narrows::faces::{FaceSpace, Faces, Identification, Verdict};
use serde_json::{Value, json};

use super::{IdentifyArgs, VerifyArgs, pictures_like};
use crate::commands::Screen;
use crate::commands::table::table;

pub(super) fn identify(args: IdentifyArgs) -> Result<()> {
    let how = &args.recogniser;
    let space = FaceSpace::open(&how.run)?;
    let probes = pictures_like(&space, &args.pictures, how.resize)?;
    let found = space.identify(probes.pixels.view(), how.distance)?;
    let threshold = space.thresholds(how.distance).identify;
    if args.output.json {
        let faces: Vec<Value> = found
            .iter()
            .enumerate()
            .map(|(place, found)| as_json(&space, &probes.name(place), found))
            .collect();
        let limits = json!({
            "distance": how.distance,
            "threshold": threshold,
            "face_threshold": space.face_threshold,
            "faces": faces,
        });
        writeln!(Screen, "{limits}")?;
        return Ok(());
    }
    let rows: Vec<Vec<String>> = found
        .iter()
        .enumerate()
        .map(|(place, found)| as_row(&space, &probes, place, found))
        .collect();
    let headings = ["picture", "person", "nearest", "#distance", "#margin", "#from face space"];
    write!(Screen, "{}", table(&headings, &rows))?;
    args.output.say(format!(
        "{} distance; known below {:.4}, not a face beyond {:.4} from face space",
        how.distance.label(),
        threshold.accept_below,
        space.face_threshold.accept_up_to
    ));
    Ok(())
}

fn as_row(space: &FaceSpace, probes: &Faces, place: usize, found: &Identification) -> Vec<String> {
    let person = match found.verdict {
        Verdict::Known => space.gallery.persons[found.person].clone(),
        Verdict::Unknown => "unknown".to_owned(),
        Verdict::Ambiguous => "ambiguous".to_owned(),
        Verdict::NotAFace => "not a face".to_owned(),
    };
    vec![
        probes.name(place),
        person,
        nearest(space, found),
        format!("{:.4}", found.distance),
        format!("{:.4}", found.margin),
        format!("{:.4}", found.from_face_space),
    ]
}

/// The nearest known face, with the person where the file does not say so.
fn nearest(space: &FaceSpace, found: &Identification) -> String {
    let (person, file) =
        (&space.gallery.persons[found.person], &space.gallery.faces[found.face].file);
    if file.starts_with(person.as_str()) { file.clone() } else { format!("{person}: {file}") }
}

fn as_json(space: &FaceSpace, picture: &str, found: &Identification) -> Value {
    let nearest = &space.gallery.persons[found.person];
    json!({
        "picture": picture,
        "verdict": found.verdict,
        "person": (found.verdict == Verdict::Known).then_some(nearest),
        "nearest_person": nearest,
        "nearest_picture": space.gallery.faces[found.face].file,
        "distance": found.distance,
        "margin": found.margin,
        "from_face_space": found.from_face_space,
    })
}

pub(super) fn verify(args: VerifyArgs) -> Result<()> {
    let how = &args.recogniser;
    let space = FaceSpace::open(&how.run)?;
    let specs = [args.a, args.b];
    let probes = pictures_like(&space, &specs, how.resize)?;
    if probes.count() != 2 {
        return Err(Error::mistake(
            "verify",
            "two pictures",
            format!("{} in '{}' and '{}'", probes.count(), specs[0], specs[1]),
            "give two files; for folders use `faces identify`",
        )
        .into());
    }
    let found = space.verify(probes.pixels.row(0), probes.pixels.row(1), how.distance)?;
    if args.output.json {
        writeln!(Screen, "{}", json!({ "distance_kind": how.distance, "verification": found }))?;
        return Ok(());
    }
    let strange = specs.iter().zip(found.is_face).find(|(_, is_face)| !is_face);
    let answer = match (strange, found.same) {
        (Some((spec, _)), _) => format!("{spec} is not a face"),
        (None, true) => "the same person".to_owned(),
        (None, false) => "different persons".to_owned(),
    };
    writeln!(Screen, "{answer}")?;
    writeln!(
        Screen,
        "{} distance {:.4}, the same person below {:.4}",
        how.distance.label(),
        found.distance,
        found.accept_below
    )?;
    writeln!(
        Screen,
        "from face space {:.4} and {:.4}, not a face beyond {:.4}",
        found.from_face_space[0], found.from_face_space[1], space.face_threshold.accept_up_to
    )?;
    Ok(())
}
