//! The data of the tour: what is made or shipped, or what lies in a folder.

use std::path::{Path, PathBuf};

use narrows::compute::{Matrix, gather};
use narrows::data::{
    self, Dataset, ImageShape, Labels, OpenOptions, Preparation, PrepareConfig, Prepared, evenly,
};
use narrows::faces::Faces;
use narrows::{Error, Result, train};

use crate::commands::quoted;

/// Rows of a large set that the short tour takes.
const SOME: [usize; 2] = [6000, 2000];
/// People that the sections need: of five one is a stranger, and five pictures of each of the others are enough to
/// calibrate limits for one stranger in twenty.
const PEOPLE: usize = 5;
/// Pictures of each that they need: seven to learn from, and one that is held out.
const PICTURES: usize = 8;

/// Pictures with classes: those that are learned from, and those that are measured on.
pub(super) struct Pictures {
    pub(super) train: Matrix,
    pub(super) test: Matrix,
    pub(super) labels: Labels,
    pub(super) test_classes: Vec<usize>,
    pub(super) image: ImageShape,
    /// How a shell names them to `--data`, for learning and for measuring.
    pub(super) arguments: [String; 2],
}

/// Where a set comes from.
struct Place {
    rows: [String; 2],
    labels: Option<[String; 2]>,
}

impl Pictures {
    /// Handwritten digits: MNIST where `folder` has it, otherwise those that are built in, with a margin of so many
    /// pixels, as MNIST has one.
    pub(super) fn digits(folder: Option<&Path>, all: bool, margin: usize) -> Result<Self> {
        let place = match folder.map(|folder| folder.join("mnist")).filter(|mnist| mnist.is_dir()) {
            Some(mnist) => Place::mnist(&mnist)?,
            None => Place {
                rows: ["train", "test"].map(|part| match margin {
                    0 => format!("demo:digits?levels=256&part={part}"),
                    _ => format!("demo:digits?levels=256&margin={margin}&part={part}"),
                }),
                labels: None,
            },
        };
        let most = if all { [usize::MAX; 2] } else { SOME };
        Self::open(place, most, None)
    }

    /// The built-in digits in the size and with the margin of MNIST.
    pub(super) fn digits_like_mnist() -> Result<Self> {
        let rows =
            ["train", "test"].map(|part| format!("demo:digits?levels=256&margin=2&part={part}"));
        Self::open(Place { rows, labels: None }, [usize::MAX; 2], Some((28, 28)))
    }

    fn open(place: Place, most: [usize; 2], resize: Option<(usize, usize)>) -> Result<Self> {
        let [train, test] = [0, 1].map(|part| {
            let labels = place.labels.as_ref().map(|labels| labels[part].clone());
            let options = OpenOptions { labels, resize, ..Default::default() };
            read(&place.rows[part], &options, most[part])
        });
        let ((train, labels, image), (test, of_test, _)) = (train?, test?);
        let class = |&own: &usize| {
            let name = &of_test.names[own];
            labels.names.iter().position(|known| known == name).ok_or_else(|| {
                let expected = "classes that the rows to learn from have too";
                Error::mistake("open digits", expected, name.as_str(), "give one set")
            })
        };
        let test_classes = of_test.classes.iter().map(class).collect::<Result<_>>()?;
        let arguments = place.rows.map(|name| quoted(&name));
        Ok(Self { train, test, labels, test_classes, image, arguments })
    }

    /// The rows to learn from of some classes, numbered anew in this order, with their labels; and those to
    /// measure on.
    pub(super) fn of_classes(&self, classes: &[usize]) -> (Matrix, Labels, Matrix, Vec<usize>) {
        let places = |all: &[usize]| -> Vec<usize> {
            (0..all.len()).filter(|&row| classes.contains(&all[row])).collect()
        };
        let renamed = |all: &[usize], places: &[usize]| -> Vec<usize> {
            let anew = |row: &usize| classes.iter().position(|class| *class == all[*row]);
            places.iter().filter_map(anew).collect()
        };
        let [own, test] = [&self.labels.classes, &self.test_classes].map(|all| places(all));
        let labels = Labels {
            classes: renamed(&self.labels.classes, &own),
            names: classes.iter().map(|&class| self.labels.names[class].clone()).collect(),
        };
        let test_classes = renamed(&self.test_classes, &test);
        (chosen(&self.train, &own), labels, chosen(&self.test, &test), test_classes)
    }

    /// At most `most` of the rows to measure on, evenly taken, with their classes.
    pub(super) fn some(&self, most: usize) -> (Matrix, Vec<usize>) {
        let places = evenly(self.test.rows(), most);
        let classes = places.iter().map(|&row| self.test_classes[row]).collect();
        (chosen(&self.test, &places), classes)
    }
}

impl Place {
    fn mnist(folder: &Path) -> Result<Self> {
        let name = |kind: &str| -> Result<[String; 2]> {
            let [train, test] = ["train", "t10k"].map(|part| file(folder, part, kind));
            Ok([train?, test?])
        };
        let labels = Some(name("labels-idx1-ubyte")?);
        Ok(Self { rows: name("images-idx3-ubyte")?, labels })
    }
}

fn file(folder: &Path, part: &str, kind: &str) -> Result<String> {
    let plain = folder.join(format!("{part}-{kind}"));
    let found = [plain.with_extension("gz"), plain].into_iter().find(|path| path.is_file());
    let found = found.ok_or_else(|| {
        Error::mistake(
            "open MNIST",
            format!("{part}-{kind}.gz in '{}'", folder.display()),
            "no such file",
            "copy the four files of MNIST there",
        )
    })?;
    Ok(found.display().to_string())
}

/// At most `most` rows, evenly taken, between 0 and 1, with their labels and shape.
fn read(spec: &str, options: &OpenOptions, most: usize) -> Result<(Matrix, Labels, ImageShape)> {
    let dataset = data::open(spec, options)?;
    let preparation = Preparation::fit(&dataset, &PrepareConfig::default())?;
    let all = train::read(&Prepared { source: &*dataset.rows, preparation: &preparation })?;
    let Dataset { labels: Some(labels), image: Some(image), .. } = dataset else {
        let remedy = "give pictures with labels";
        return Err(Error::mistake(
            format!("open {spec}"),
            "pictures of classes",
            "others",
            remedy,
        ));
    };
    let places = evenly(all.rows(), most);
    let classes = places.iter().map(|&row| labels.classes[row]).collect();
    Ok((chosen(&all, &places), Labels { classes, ..labels }, image))
}

/// The rows at some places.
pub(super) fn chosen(rows: &Matrix, places: &[usize]) -> Matrix {
    let mut out = Matrix::zeros(places.len(), rows.cols());
    gather(rows.view(), places, &mut out);
    out
}

/// Pictures of people: ORL where `folder` has it, otherwise people who do not exist.
pub(super) struct People {
    pub(super) faces: Faces,
    /// How a shell names them to `--data`.
    pub(super) argument: String,
}

impl People {
    /// In full size, or small enough for a covariance of all pixels.
    pub(super) fn open(folder: Option<&Path>, small: bool) -> Result<Self> {
        let orl = folder.map(|folder| folder.join("orl-faces")).filter(|orl| orl.is_dir());
        let (argument, resize) = match orl {
            Some(orl) => (orl.display().to_string(), small.then_some((23, 28))),
            None if small => ("demo:faces?size=28".to_owned(), None),
            None => ("demo:faces".to_owned(), None),
        };
        let dataset = data::open(&argument, &OpenOptions { resize, ..Default::default() })?;
        let faces = Faces::read(&dataset)?;
        check_people(faces.people.as_ref(), &argument)?;
        Ok(Self { faces, argument: quoted(&argument) })
    }

    /// Synthetic faces with knobs.
    pub(super) fn with_knobs(knobs: &str) -> Result<Faces> {
        Faces::read(&data::open(&format!("demo:faces?{knobs}"), &OpenOptions::default())?)
    }

    /// The places of the first `known` pictures of each person and of all later ones.
    pub(super) fn split(&self, known: usize) -> [Vec<usize>; 2] {
        let classes = self.faces.people.as_ref().map_or(&[][..], |people| &people.classes);
        let mut seen = vec![0; classes.iter().max().map_or(0, |last| last + 1)];
        let (mut first, mut later) = (Vec::new(), Vec::new());
        for (row, &person) in classes.iter().enumerate() {
            seen[person] += 1;
            if seen[person] <= known { first.push(row) } else { later.push(row) }
        }
        [first, later]
    }
}

/// Refuses fewer people, or fewer pictures of somebody, than the sections need.
fn check_people(people: Option<&Labels>, folder: &str) -> Result<()> {
    let Some(got) = lacking(people) else {
        return Ok(());
    };
    let expected = format!(
        "{PEOPLE} folders of people or more in '{folder}', with {PICTURES} pictures or more in each"
    );
    let remedy = "add pictures, or rename the folder: without it faces that are built in are taken";
    Err(Error::mistake("read faces", expected, got, remedy))
}

/// What is there instead of the people and pictures that the sections need, if they are not.
fn lacking(people: Option<&Labels>) -> Option<String> {
    let Some(people) = people else {
        return Some("pictures in no folder of a person".to_owned());
    };
    let persons = people.names.len();
    if persons < PEOPLE {
        return Some(format!("{persons} people"));
    }
    let mut counts = vec![0; persons];
    people.classes.iter().for_each(|&person| counts[person] += 1);
    let few = counts.iter().position(|count| *count < PICTURES)?;
    Some(format!("{} in that of '{}'", counts[few], people.names[few]))
}

/// Some of the pictures, with the names of those on them.
pub(super) fn faces_at(faces: &Faces, places: &[usize]) -> Faces {
    let pixels = faces.pixels.select(ndarray::Axis(0), places);
    let people = faces.people.as_ref().map(|people| {
        let names: Vec<&str> =
            places.iter().map(|&row| people.names[people.classes[row]].as_str()).collect();
        Labels::of_names(&names)
    });
    let files = places.iter().map(|&row| faces.name(row)).collect();
    Faces { pixels, image: faces.image, people, files }
}

/// The folder of a language model and the text that it reads.
pub(super) struct Story {
    pub(super) model: PathBuf,
    pub(super) text: PathBuf,
    pub(super) lowercase: bool,
}

impl Story {
    /// Those that lie in a folder, if they do.
    pub(super) fn find(folder: &Path) -> Option<Self> {
        let model = folder.join("lm-tiny");
        let text = folder.join("text").join("tinystories-lowercase-4mb.txt");
        let text = if text.is_file() { text } else { model.join("valid.txt") };
        let whole = model.join("config.json").is_file() && text.is_file();
        whole.then_some(Self { model, text, lowercase: true })
    }
}
