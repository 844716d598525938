//! `narrows faces`: learn faces, recognise them, and measure how well.

mod evaluate;
mod gallery;
mod page;
mod recognise;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};
use narrows::Error;
use narrows::data::{self, OpenOptions};
use narrows::faces::{Distance, FaceSpace, Faces};
use narrows::model::pca::Components;

use super::{Output, size};

/// Learn faces, recognise them, and measure how well
#[derive(Debug, Args)]
pub(crate) struct FacesArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Train(TrainArgs),
    Identify(IdentifyArgs),
    Verify(VerifyArgs),
    Add(AddArgs),
    Evaluate(EvaluateArgs),
}

/// Learn the eigenfaces of a folder and remember everybody in it
///
/// DIR holds one sub-folder of pictures per person, all of one size. What is learned goes into a
/// run folder: the mean face, the eigenfaces, the weights of every known face, and the distances
/// at which a person becomes unknown or a picture is not a face.
///
/// Example: narrows faces train orl-faces --components 0.95 --out runs/faces
#[derive(Debug, Args)]
struct TrainArgs {
    /// The folder of pictures, or `demo:faces`
    #[arg(value_name = "DIR")]
    data: String,
    /// The run folder to write
    #[arg(long, value_name = "RUN", default_value = RUN)]
    out: PathBuf,
    /// Eigenfaces to keep: a number, a share of the variance such as 0.95, or `all` [default: 40,
    /// or as many as there are faces]
    #[arg(long, value_name = "K")]
    components: Option<Components>,
    /// Leave the first M eigenfaces out of distances: they mostly hold the light
    #[arg(long, value_name = "M", default_value_t = 0)]
    drop_leading: usize,
    /// Wanted chance that an unknown person is taken for a known one, on average over unknown
    /// persons like the known ones, each left out of eigenfaces and gallery in turn; those at your
    /// door may be let in more or less often
    #[arg(long, value_name = "RATE", default_value_t = 0.05)]
    false_accept_rate: f64,
    /// Wanted chance that a new face is taken for something else
    #[arg(long, value_name = "RATE", default_value_t = 0.01)]
    face_reject_rate: f64,
    /// Bring every picture to this size first
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = size)]
    resize: Option<(usize, usize)>,
    /// Learn the colours too instead of grey levels
    #[arg(long)]
    colour: bool,
    #[command(flatten)]
    output: Output,
}

/// Say who is on pictures: a known person, somebody unknown, or not a face
///
/// Example: narrows faces identify holiday.png --run runs/faces --distance cosine
#[derive(Debug, Args)]
struct IdentifyArgs {
    /// Pictures, or folders of pictures
    #[arg(value_name = "IMAGE|DIR", required = true)]
    pictures: Vec<String>,
    #[command(flatten)]
    recogniser: Recogniser,
    #[command(flatten)]
    output: Output,
}

/// Say whether two pictures show the same person, who need not be known
///
/// Example: narrows faces verify passport.png door.png --run runs/faces
#[derive(Debug, Args)]
struct VerifyArgs {
    /// The one picture
    a: String,
    /// The other picture
    b: String,
    #[command(flatten)]
    recogniser: Recogniser,
    #[command(flatten)]
    output: Output,
}

/// Remember pictures of a person, new or known, without training again
///
/// The eigenfaces stay as they are. From where on somebody is unknown is calibrated again on
/// everybody; what `verify` takes for the same person and what is not a face stay as trained.
///
/// Example: narrows faces add Ada ada-1.png ada-2.png --run runs/faces
#[derive(Debug, Args)]
struct AddArgs {
    /// The name of the person
    name: String,
    /// Pictures, or folders of pictures, all of this person
    #[arg(value_name = "IMAGE|DIR", required = true)]
    pictures: Vec<String>,
    /// The run folder to add to
    #[arg(long, value_name = "RUN", default_value = RUN)]
    run: PathBuf,
    /// Bring pictures of another size to the size of the known faces
    #[arg(long)]
    resize: bool,
    #[command(flatten)]
    output: Output,
}

/// Measure recognition over random splits, beside raw pixels, and draw a report
///
/// Every split puts some pictures of each person into the gallery and asks who is on the others:
/// for several numbers of eigenfaces, by three distances, and by nearest neighbour on raw pixels.
/// Then half of the persons become strangers, to see how many of them are let in.
///
/// Example: narrows faces evaluate orl-faces --splits 20 --train-per-person 5 --seed 0
#[derive(Debug, Args)]
struct EvaluateArgs {
    /// The folder of pictures, one sub-folder per person, or `demo:faces`
    #[arg(value_name = "DIR")]
    data: String,
    /// The folder to write: report.html, scores.json and the pictures
    #[arg(long, value_name = "DIR", default_value = "runs/faces-evaluate")]
    out: PathBuf,
    /// Random splits
    #[arg(long, default_value_t = 20)]
    splits: usize,
    /// Pictures of each person in the gallery; the others are probes
    #[arg(long, value_name = "N", default_value_t = 5)]
    train_per_person: usize,
    /// Numbers of eigenfaces to try; `all` is as many as there are
    #[arg(long, value_name = "K,…", value_delimiter = ',', value_parser = eigenfaces,
          default_value = "10,20,40,80,all")]
    components: Vec<usize>,
    /// Leave the first M eigenfaces out of distances: they mostly hold the light
    #[arg(long, value_name = "M", default_value_t = 0)]
    drop_leading: usize,
    /// Seed of the splits
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Bring every picture to this size first
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = size)]
    resize: Option<(usize, usize)>,
    /// Compare the colours too instead of grey levels
    #[arg(long)]
    colour: bool,
    #[command(flatten)]
    output: Output,
}

/// What recognises, and how.
#[derive(Debug, Args)]
struct Recogniser {
    /// The run folder that `faces train` wrote
    #[arg(long, value_name = "RUN", default_value = RUN)]
    run: PathBuf,
    /// How weights are compared: l2, cosine or mahalanobis
    #[arg(long, default_value_t = Distance::L2)]
    distance: Distance,
    /// Bring pictures of another size to the size of the known faces
    #[arg(long)]
    resize: bool,
}

/// Where faces live unless something else is said.
const RUN: &str = "runs/faces";

/// Runs the sub-command.
pub(crate) fn run(args: FacesArgs) -> Result<()> {
    match args.command {
        Command::Train(args) => gallery::train(args),
        Command::Add(args) => gallery::add(args),
        Command::Identify(args) => recognise::identify(args),
        Command::Verify(args) => recognise::verify(args),
        Command::Evaluate(args) => evaluate::evaluate(args),
    }
}

/// Pictures of one size, each with the name under which the user knows it.
fn pictures_like(space: &FaceSpace, specs: &[String], resize: bool) -> Result<Faces> {
    let size = (space.image.width, space.image.height);
    let options = OpenOptions {
        colour: space.image.channels == 3,
        resize: resize.then_some(size),
        ..Default::default()
    };
    let mut all: Option<Faces> = None;
    for spec in specs {
        let mut faces = Faces::read(&data::open(spec, &options)?)?;
        if faces.image != space.image {
            return Err(other_size(spec, size, &faces).into());
        }
        faces.files = names(spec, &faces);
        match &mut all {
            Some(all) => all.append(faces)?,
            None => all = Some(faces),
        }
    }
    all.ok_or_else(|| Error::mistake("open", "pictures", "none", "give some").into())
}

fn other_size(spec: &str, (width, height): (usize, usize), faces: &Faces) -> Error {
    Error::mistake(
        "recognise a face",
        format!("pictures of {width}x{height} pixels, as the known faces"),
        format!("'{spec}', {}x{}", faces.image.width, faces.image.height),
        "cut it as they are cut; --resize brings it to their size",
    )
}

fn names(spec: &str, faces: &Faces) -> Vec<String> {
    match Path::new(spec) {
        folder if folder.is_dir() => {
            faces.files.iter().map(|file| folder.join(file).display().to_string()).collect()
        }
        _ if faces.count() == 1 => vec![spec.to_owned()],
        _ => (0..faces.count()).map(|place| format!("{spec} {}", faces.name(place))).collect(),
    }
}

fn eigenfaces(text: &str) -> Result<usize, String> {
    match text {
        "all" => Ok(usize::MAX),
        _ => text.parse().map_err(|_| "expected a number or `all`".to_owned()),
    }
}
