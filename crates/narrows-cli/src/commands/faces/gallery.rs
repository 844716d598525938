//! Learning faces and adding to them.

use std::io::Write;

use anyhow::Result;
use narrows::data::{self, OpenOptions};
use narrows::faces::{Distance, FaceOptions, FaceSpace, Faces};
use narrows::model::pca::Components;
use narrows::store::{Folder, check_replaceable};
use serde_json::{Value, json};

use super::page::percent;
use super::{AddArgs, Output, TrainArgs, page, pictures_like};
use crate::commands::Screen;
use crate::commands::table::table;

/// Eigenfaces that are kept where nothing else is said.
const USUAL_COMPONENTS: usize = 40;

pub(super) fn train(args: TrainArgs) -> Result<()> {
    check_replaceable(&args.out, Folder::Faces)?;
    let open = OpenOptions { colour: args.colour, resize: args.resize, ..Default::default() };
    let dataset = data::open(&args.data, &open)?;
    let faces = Faces::read(&dataset)?;
    let usual = USUAL_COMPONENTS.min(faces.count()).min(faces.pixels.ncols());
    let options = FaceOptions {
        components: args.components.unwrap_or(Components::Count(usual)),
        drop_leading: args.drop_leading,
        false_accept_rate: args.false_accept_rate,
        face_reject_rate: args.face_reject_rate,
    };
    let space = FaceSpace::train(&faces, &options)?;
    page::write_space(&space, &args.out)?;
    tell(&space, &args.output)?;
    args.output.say(format!("written: {}", args.out.display()));
    Ok(())
}

pub(super) fn add(args: AddArgs) -> Result<()> {
    let mut space = FaceSpace::open(&args.run)?;
    check_replaceable(&args.run, Folder::Faces)?;
    let new = pictures_like(&space, &args.pictures, args.resize)?;
    space.add(&args.name, new.pixels.view(), &new.files)?;
    page::write_space(&space, &args.run)?;
    tell(&space, &args.output)?;
    args.output.say(format!("added {} of {}", pictures(new.count()), args.name));
    Ok(())
}

pub(super) fn pictures(count: usize) -> String {
    if count == 1 { "1 picture".to_owned() } else { format!("{count} pictures") }
}

fn tell(space: &FaceSpace, output: &Output) -> Result<()> {
    if output.json {
        writeln!(Screen, "{}", summary(space))?;
        return Ok(());
    }
    let (gallery, pca) = (&space.gallery, &space.pca);
    writeln!(
        Screen,
        "{} of {} persons, {} × {} pixels",
        pictures(gallery.faces.len()),
        gallery.persons.len(),
        space.image.width,
        space.image.height
    )?;
    writeln!(
        Screen,
        "{} eigenfaces with {} of the variance\n",
        pca.components.nrows(),
        percent(pca.explained_variance_ratio.sum())
    )?;
    let rejected = |rate: Option<f64>| rate.map_or_else(|| "—".to_owned(), percent);
    let rows: Vec<Vec<String>> = Distance::ALL
        .into_iter()
        .map(|distance| {
            let thresholds = space.thresholds(distance);
            vec![
                distance.label().to_owned(),
                format!("{:.4}", thresholds.identify.accept_below),
                rejected(thresholds.identify.false_reject_rate),
                format!("{:.4}", thresholds.verify.accept_below),
                rejected(thresholds.verify.false_reject_rate),
            ]
        })
        .collect();
    let headings =
        ["distance", "#known below", "#false rejects", "#same person below", "#false rejects"];
    write!(Screen, "{}", table(&headings, &rows))?;
    writeln!(
        Screen,
        "\nat a false-accept rate of {}, the average over the known persons, each left out in turn: \
         new strangers\nmay be let in more or less often; not a face beyond {:.4} from face space",
        percent(space.options.false_accept_rate),
        space.face_threshold.accept_up_to
    )?;
    Ok(())
}

fn summary(space: &FaceSpace) -> Value {
    json!({
        "faces": space.gallery.faces.len(),
        "persons": space.gallery.persons,
        "image": space.image,
        "components": space.pca.components.nrows(),
        "explained_variance": space.pca.explained_variance_ratio.sum(),
        "options": space.options,
        "thresholds": space.thresholds,
        "face_threshold": space.face_threshold,
    })
}
