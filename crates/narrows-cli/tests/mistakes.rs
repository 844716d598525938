//! Every mistake that the command line knows, and what it says to the person who made it.

#![allow(clippy::unwrap_used)]

mod harness;

use std::fmt::Write;
use std::process::Output;

use harness::{Desk, NARROWS, npy, pgm, zip};

/// Rows that are legal, and runs and files from earlier that must survive every mistake.
fn desk() -> Desk {
    let desk = Desk::new();
    let numbers: Vec<f64> = (0..48).map(|i| f64::from(i * i % 17)).collect();
    let with = |place: usize, value: f64| {
        let mut changed = numbers.clone();
        changed[place] = value;
        npy(12, 4, &changed)
    };
    let good = npy(12, 4, &numbers);
    desk.write("good.npy", &good);
    desk.write("cut.npy", &good[..good.len() - 20]);
    desk.write("header.npy", [&good[..10], b"{'descr': 'pineapple', 'shape': "].concat());
    let mut complex = good.clone();
    complex[22] = b'c';
    desk.write("complex.npy", complex);
    desk.write("none.npy", npy(0, 4, &[]));
    desk.write("nan.npy", with(9, f64::NAN));
    desk.write("infinite.npy", with(22, f64::INFINITY));
    desk.write("same.npy", npy(12, 4, &[2.5; 48]));
    desk.write("few.npy", npy(3, 16, &numbers));
    desk.write("thesis.docx", "a long story");
    desk.write("ragged.csv", "height,weight\n1,2\n3,4,5\n6,7\n");
    desk.write("people.csv", "height,weight,city\n1.7,60,Bonn\n1.8,,Cologne\n1.6,55,Bonn\n");
    desk.write("two.npz", zip(&[("train.npy", good.clone()), ("test.npy", good)]));
    desk.write("sizes/a.pgm", pgm(8, 8, 1));
    desk.write("sizes/b.pgm", pgm(9, 8, 2));
    desk.write("broken.png", "no picture");
    desk.write("broken/a.png", b"\x89PNG\r\n\x1a\n");
    desk.write("papers/letter.txt", "no picture");
    desk.write("cut.idx3-ubyte", [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3]);
    desk.write("labels.txt", "a\nb\nc\n");
    desk.write("recipe.toml", "[model]\nkind = \"pca\"\ncomponents = \n");
    for person in ["ada", "bob"] {
        desk.write(&format!("album/{person}/1.pgm"), pgm(8, 8, usize::from(person.as_bytes()[0])));
    }
    desk.write("doubles/a.pgm", pgm(8, 8, 1));
    desk.write("doubles/a.jpg", pgm(8, 8, 2));
    desk.write("kept.npy", npy(1, 1, &[1.0]));
    desk.write("notes.npy", "written by hand");
    desk.write("runs/stopped/config.json", r#"{"version": "0.1.0", "model": {"kind": "linear"}}"#);
    desk.write("runs/stopped/checkpoint/state", "half way");
    desk.narrows("faces train demo:faces?people=12&images=2&size=16 --components 4 --out runs/faces -q --json");
    desk.write("home/diary.txt", "years");
    // What another program calls a model.
    desk.write("other/config.json", r#"{"architectures": ["BertModel"]}"#);
    desk.write("other/model.safetensors", "much");
    desk.narrows("fit -q --data good.npy --set model.components=2 --out runs/good");
    desk.narrows("fit -q --data good.npy --set model.components=1 --out runs/kept");
    desk.narrows("fit -q --data album --set model.components=1 --out runs/album");
    desk.write("classes.txt", "a\nb\nc\n".repeat(4));
    desk.write("one.txt", "a\n".repeat(12));
    desk.write("fives.txt", "5\n".repeat(12));
    desk.write("strange.txt", "a\nb\nd\n".repeat(4));
    desk.narrows(
        "finetune runs/good -q --data good.npy --labels classes.txt --set train.epochs=2 --out runs/named",
    );
    for run in ["cut", "future", "notes", "scores"] {
        for file in ["config.json", "preparation.json", "weights.safetensors"] {
            let bytes = std::fs::read(desk.path("runs/good").join(file)).unwrap();
            desk.write(&format!("runs/{run}/{file}"), bytes);
        }
    }
    desk.write("runs/notes/codes.npy", "mine");
    desk.write("runs/scores/scores.json", "[]");
    let weights = std::fs::read(desk.path("runs/cut/weights.safetensors")).unwrap();
    desk.write("runs/cut/weights.safetensors", &weights[..weights.len() / 2]);
    let config = std::fs::read_to_string(desk.path("runs/future/config.json")).unwrap();
    desk.write("runs/future/config.json", config.replace("\"pca\"", "\"telepathy\""));
    desk
}

const MISTAKES: &[(&str, &str)] = &[
    ("no data", "fit --out runs/kept"),
    ("no such file", "fit --data god.npy --out runs/kept"),
    ("unknown format", "fit --data thesis.docx --out runs/kept"),
    ("npy cut short", "fit --data cut.npy --out runs/kept"),
    ("npy with a wrong header", "fit --data header.npy --out runs/kept"),
    ("npy of complex numbers", "fit --data complex.npy --out runs/kept"),
    ("npy without rows", "fit --data none.npy --out runs/kept"),
    ("not a number", "fit --data nan.npy --out runs/kept"),
    (
        "not a number, refused while scaling",
        "fit --data nan.npy --set prepare.scale=centre --out runs/kept",
    ),
    ("infinite", "fit --data infinite.npy --out runs/kept"),
    (
        "infinite, to the autoencoder",
        "fit --model linear --set model.latent_dim=2 --data infinite.npy --out runs/kept",
    ),
    ("all rows the same", "fit --data same.npy --out runs/kept"),
    ("a table with a longer row", "fit --data ragged.csv --out runs/kept"),
    ("no such label column", "fit --data people.csv --label-column town --out runs/kept"),
    ("a label column with a slip", "fit --data people.csv --label-column cit --out runs/kept"),
    ("missing values", "fit --data people.csv --out runs/kept"),
    ("missing values, encoded", "encode runs/good --data nan.npy --out kept.npy"),
    ("which array of the archive", "fit --data two.npz --out runs/kept"),
    ("no such array in the archive", "fit --data two.npz#trian --out runs/kept"),
    ("pictures of two sizes", "fit --data sizes --out runs/kept"),
    ("a broken picture", "fit --data broken --out runs/kept"),
    ("a folder without pictures", "fit --data papers --out runs/kept"),
    ("idx cut short", "data cut.idx3-ubyte"),
    ("fewer labels than rows", "fit --data good.npy --labels labels.txt --out runs/kept"),
    ("an option that does nothing", "fit --data good.npy --colour --out runs/kept"),
    ("a sweep without dictionaries", "fit --data good.npy --sweep k=1,2 --out runs/kept"),
    (
        "a key of dictionaries without them",
        "fit --data good.npy --set dictionary.k=3 --out runs/kept",
    ),
    ("targets without dictionaries", "fit --data good.npy --target few.npy --out runs/kept"),
    (
        "an axis that the usual kind does not read",
        "fit --model dictionary --data good.npy --sweep alpha=1,2 --out runs/kept",
    ),
    (
        "blocks without their size",
        "fit --model dictionary --data good.npy --set train.shuffle=blocks --out runs/kept",
    ),
    (
        "more codes than latents",
        "fit --model dictionary --data good.npy --set dictionary.k=300 --out runs/kept",
    ),
    (
        "dead latents drawn anew before there are any",
        "fit --model dictionary --data good.npy --set dictionary.k=3 \
         --set dictionary.resample_at=[5000] --out runs/kept",
    ),
    (
        "a skip without a target",
        "fit --model dictionary --data good.npy --set dictionary.k=3 --set dictionary.skip=true \
         --out runs/kept",
    ),
    ("a recipe that is not TOML", "fit recipe.toml --out runs/kept"),
    ("no such recipe", "fit recipes/mnist.toml --out runs/kept"),
    (
        "a storey with a rate for L-BFGS",
        "fit --model stack --data good.npy --set model.layers=[3,2] --set train.optimizer=lbfgs \
         --set storey=[{learning_rate=0.1},{}] --out runs/kept",
    ),
    (
        "a key that no storey reads",
        "fit --model stack --data good.npy --set model.layers=[3,2] --set model.fine_tune_epochs=0 \
         --set storey=[{kind=\"pca\"},{kind=\"pca\"}] --set train.epochs=3 --out runs/kept",
    ),
    (
        "PCA as the start of layers that are normalised",
        "fit --model network --data good.npy --set model.initialisation=pca \
         --set model.normalisation=batch --out runs/kept",
    ),
    (
        "PCA as the start of a code of which some is kept",
        "fit --model network --data good.npy --set model.initialisation=pca --set model.top_k=2 \
         --out runs/kept",
    ),
    (
        "PCA as the start of tied layers that bend",
        "fit --model network --data good.npy --set model.initialisation=pca --set model.tied=true \
         --set model.activation=tanh --out runs/kept",
    ),
    ("a learning rate of what has none", "fit --data good.npy --find-lr"),
    (
        "a learning rate of L-BFGS",
        "fit --model network --data good.npy --set train.optimizer=lbfgs --find-lr",
    ),
    (
        "a learning rate of a stack that begins with PCA",
        "fit --model stack --data good.npy --set model.layers=[3,2] \
         --set storey=[{kind=\"pca\"},{}] --find-lr",
    ),
    ("fine-tuning that never began, resumed", "finetune --resume --out runs/none"),
    ("fine-tuning with other settings, resumed", "finetune --resume --mode full --out runs/none"),
    (
        "checkpoints of a study",
        "finetune runs/good --data good.npy --labels classes.txt --label-count 4 \
         --test-data good.npy --test-labels classes.txt --set train.checkpoint_seconds=5",
    ),
    ("unknown key", "fit --data good.npy --set model.componets=2 --out runs/kept"),
    ("unknown table", "fit --data good.npy --set modle.components=2 --out runs/kept"),
    (
        "unknown key that is switched off",
        "fit --data good.npy --set model.wihten=false --out runs/kept",
    ),
    ("a key of another model", "fit --data good.npy --set model.latent_dim=2 --out runs/kept"),
    (
        "a key of another model, to the autoencoder",
        "fit --model linear --data good.npy --set model.components=2 --out runs/kept",
    ),
    ("training of what is not trained", "fit --data good.npy --set train.epochs=9 --out runs/kept"),
    (
        "a key of another solver",
        "fit --data good.npy --set model.solver=gram --set model.oversampling=5 --out runs/kept",
    ),
    (
        "pictures changed for what does not read it",
        "fit --model linear --data album --set train.augmentation.shift=1 --out runs/kept",
    ),
    (
        "an activation between no layers",
        "fit --model network --data good.npy --set model.layers=[2] --set model.activation=tanh \
         --out runs/kept",
    ),
    (
        "a change of pictures that changes nothing",
        "fit --model network --data album --set train.augmentation.undo=true --out runs/kept",
    ),
    (
        "pixels that change places, scaled one by one",
        "fit --model network --data album --set train.augmentation.shift=1 \
         --set prepare.scale=standardise --out runs/kept",
    ),
    (
        "emphasis where no number is corrupted",
        "fit --model network --data good.npy --set objective.corruption.emphasis=[1.0,0.5] \
         --out runs/kept",
    ),
    (
        "emphasis where every number is corrupted",
        "fit --model network --data good.npy --set objective.corruption.kind=gaussian \
         --set objective.corruption.emphasis=[1.0,0.5] --out runs/kept",
    ),
    (
        "emphasis on nothing",
        "fit --model network --data good.npy --set objective.corruption.kind=masking \
         --set objective.corruption.emphasis=[0,0] --out runs/kept",
    ),
    (
        "less than no emphasis, of a storey",
        "fit --model stack --data good.npy --set model.layers=[3,2] \
         --set storey=[{},{corruption={kind=\"masking\",emphasis=[1.0,-1.0]}}] --out runs/kept",
    ),
    (
        "a running mean for L-BFGS",
        "fit --model network --data good.npy --set objective.sparsity.kind=kl \
         --set objective.sparsity.memory=0.9 --set train.optimizer=lbfgs --out runs/kept",
    ),
    (
        "fewer storeys than widths",
        "fit --model stack --set model.layers=[3,2] --set storey=[{}] --data good.npy --out runs/kept",
    ),
    (
        "unknown key of a storey",
        "fit --model stack --set storey=[{epoch=3}] --data good.npy --out runs/kept",
    ),
    (
        "storeys of what has none",
        "fit --model network --set storey=[{}] --data good.npy --out runs/kept",
    ),
    ("--set without a value", "fit --data good.npy --set model.components --out runs/kept"),
    ("a value of the wrong type", "fit --data good.npy --set model.whiten=3 --out runs/kept"),
    (
        "an epoch too few",
        "fit --model linear --data good.npy --set model.latent_dim=2 --set train.epochs=0 --out runs/kept",
    ),
    ("no components", "fit --data good.npy --set model.components=0 --out runs/kept"),
    ("too many components", "fit --data good.npy --set model.components=5 --out runs/kept"),
    (
        "more than all the variance",
        "fit --data good.npy --set model.components=1.5 --out runs/kept",
    ),
    ("unknown way to choose", "fit --data good.npy --set model.components=many --out runs/kept"),
    (
        "a share at random",
        "fit --data good.npy --set model.solver=randomized --set model.components=0.9 --out runs/kept",
    ),
    ("evidence of few rows", "fit --data few.npy --set model.components=mle --out runs/kept"),
    ("unknown solver", "fit --data good.npy --set model.solver=magic --out runs/kept"),
    ("unknown model", "fit --model umap --data good.npy --out runs/kept"),
    (
        "a code wider than a row",
        "fit --model linear --data good.npy --set model.latent_dim=9 --out runs/kept",
    ),
    (
        "a code of more numbers than there are rows",
        "fit --model linear --data few.npy --set model.latent_dim=9 --out runs/kept",
    ),
    (
        "all rows the same, to the autoencoder",
        "fit --model linear --data same.npy --set model.latent_dim=2 --out runs/kept",
    ),
    (
        "missing values to the autoencoder",
        "fit --model linear --data nan.npy --missing em --out runs/kept",
    ),
    ("unknown way with missing values", "fit --data nan.npy --missing median --out runs/kept"),
    ("unknown demonstration set", "fit --data demo:cats --out runs/kept"),
    ("unknown knob", "fit --data demo:faces?light=2 --out runs/kept"),
    ("more faces than memory holds", "data demo:faces?people=10000&images=10000&size=256"),
    ("a folder of something else", "fit --data good.npy --out home"),
    ("a model of another program", "fit --data good.npy --out other"),
    ("a run with something else in it", "fit --data good.npy --out runs/notes"),
    ("pictures in place of a run", "reconstruct runs/album --data album --out runs/good"),
    ("a face recogniser in place of a run", "faces train album --out runs/good"),
    ("a folder of something else, to an evaluation", "faces evaluate demo:faces --out home"),
    ("two pictures of one name", "reconstruct runs/album --data doubles --out rebuilt"),
    ("a file where the run should be", "fit --data good.npy --out kept.npy"),
    (
        "a file where a folder should be",
        "encode runs/good --data good.npy --out kept.npy/codes.npy",
    ),
    ("rows of another width", "evaluate runs/good --data few.npy"),
    ("scores that are none", "evaluate runs/scores --data good.npy"),
    ("fewer labels than rows, measured", "evaluate runs/good --data good.npy --labels labels.txt"),
    ("codes of another width", "decode runs/good --codes good.npy --out kept.npy"),
    ("no noise to take away", "evaluate runs/good --data good.npy --corrupt"),
    ("noise by class", "evaluate runs/good --data good.npy --corrupt --labels labels.txt"),
    ("no such run", "evaluate runs/god --data good.npy"),
    ("not a run", "report home"),
    ("damaged weights", "evaluate runs/cut --data good.npy"),
    ("a run of a later version", "encode runs/future --data good.npy --out kept.npy"),
    ("one picture a person", "faces evaluate album --out faces"),
    (
        "no eigenface left",
        "faces evaluate demo:faces?people=4&images=3&size=16 --train-per-person 2 --splits 1 \
         --components all --drop-leading 3 --out faces",
    ),
    ("an array in place of other data", "encode runs/good --data good.npy --out notes.npy"),
    ("an array in place of its data", "reconstruct runs/good --data good.npy --out good.npy"),
    ("an array in place of its codes", "decode runs/good --codes good.npy --out ./good.npy"),
    ("an array by another name", "encode runs/good --data good.npy --out people.csv"),
    (
        "a picture in place of its data",
        "reconstruct runs/album --data sizes/a.pgm --out sizes/a.pgm",
    ),
    (
        "a picture in place of other data",
        "reconstruct runs/album --data sizes/a.pgm --out broken.png",
    ),
    ("many pictures as one", "reconstruct runs/album --data album --out rebuilt.png"),
    ("a run of faces, to a report", "report runs/faces"),
    ("a run of faces, measured", "evaluate runs/faces --data good.npy"),
    ("a run whose training was stopped", "encode runs/stopped --data good.npy --out kept.npy"),
    ("a person with a path for a name", "faces add a/b sizes/a.pgm --run runs/faces --resize"),
    ("no such run of faces", "faces identify sizes/a.pgm --run runs/fases"),
    ("nobody learned yet", "faces identify sizes/a.pgm --run runs/good"),
    ("no labels", "finetune runs/good --data good.npy --out runs/kept"),
    (
        "fewer labels than rows, to be learned",
        "finetune runs/good --data good.npy --labels labels.txt --out runs/kept",
    ),
    ("one class", "finetune runs/good --data good.npy --labels one.txt --out runs/kept"),
    (
        "classes where numbers should be",
        "finetune runs/good --data good.npy --labels classes.txt --task regression --out runs/kept",
    ),
    (
        "a number that does not vary",
        "finetune runs/good --data good.npy --labels fives.txt --task regression --out runs/kept",
    ),
    (
        "rows of another width, with labels",
        "finetune runs/good --data few.npy --labels labels.txt --out runs/kept",
    ),
    (
        "a key of the model, to a head",
        "finetune runs/good --data good.npy --labels classes.txt --set model.tied=true --out runs/kept",
    ),
    (
        "a key with a slip, to a head",
        "finetune runs/good --data good.npy --labels classes.txt --set train.epoch=2 --out runs/kept",
    ),
    (
        "fewer epochs than stages",
        "finetune runs/good --data good.npy --labels classes.txt --mode gradual --set train.epochs=1 --out runs/kept",
    ),
    (
        "pictures to be shifted under frozen layers",
        "finetune runs/album --data album --mode frozen --set train.augmentation.share=0.5 \
         --set train.augmentation.shift=1 --out runs/kept",
    ),
    (
        "the run itself as the place to write",
        "finetune runs/good --data good.npy --labels classes.txt --out runs/../runs/good",
    ),
    (
        "shares that are none",
        "fit --model network --data demo:digits --set objective.loss=binary_cross_entropy",
    ),
    ("resume of what is finished", "fit --model pca --data good.npy --resume --out runs/good"),
    (
        "noise that is drawn once",
        "finetune runs/good --data good.npy --labels classes.txt --mode frozen \
         --set objective.corruption.kind=masking --out runs/kept",
    ),
    (
        "dropout where nothing learns",
        "finetune runs/good --data good.npy --labels classes.txt --mode frozen --set model.dropout=0.5 \
         --out runs/kept",
    ),
    (
        "everything dropped",
        "finetune runs/good --data good.npy --labels classes.txt --set model.dropout=1 --out runs/kept",
    ),
    (
        "emphasis without a picture to rebuild",
        "finetune runs/good --data good.npy --labels classes.txt \
         --set objective.corruption.kind=masking --set objective.corruption.emphasis=[1.0,0.5] --out runs/kept",
    ),
    (
        "a seed among the settings",
        "finetune runs/good --data good.npy --labels classes.txt --set seed=5 --out runs/kept",
    ),
    ("nowhere to write", "finetune runs/good --data good.npy --labels classes.txt"),
    (
        "a head on what is no run",
        "finetune home --data good.npy --labels classes.txt --out runs/kept",
    ),
    ("labels of what was taught none", "predict runs/good --data good.npy"),
    ("labels of rows of another width", "predict runs/named --data few.npy"),
    ("classes that were never learned", "predict runs/named --data good.npy --labels strange.txt"),
    ("fewer labels than rows, predicted", "predict runs/named --data good.npy --labels labels.txt"),
    ("rows of a classifier", "reconstruct runs/named --data good.npy --out kept.npy"),
    ("a classifier, evaluated", "evaluate runs/named --data good.npy"),
    (
        "more labels than rows",
        "finetune runs/good --data good.npy --labels classes.txt --label-count 13 --test-data good.npy \
         --test-labels classes.txt",
    ),
    (
        "a number of labels twice",
        "finetune runs/good --data good.npy --labels classes.txt --label-count 6,6 --test-data good.npy \
         --test-labels classes.txt",
    ),
    (
        "test rows without labels",
        "finetune runs/good --data good.npy --labels classes.txt --label-count 6 --test-data good.npy",
    ),
    (
        "test rows of other classes",
        "finetune runs/good --data good.npy --labels classes.txt --label-count 6 --test-data good.npy \
         --test-labels strange.txt",
    ),
    (
        "a study of a classifier",
        "finetune runs/named --data good.npy --labels classes.txt --label-count 6 --test-data good.npy \
         --test-labels classes.txt",
    ),
    ("unknown command", "fti --data good.npy"),
    ("unknown option", "fit --dta good.npy"),
    ("no such size", "fit --data sizes --resize 8 --out runs/kept"),
];

#[test]
fn every_mistake_is_told_and_nothing_is_touched() {
    let desk = desk();
    let before = desk.everything();
    let mut transcript = String::new();
    for (mistake, line) in MISTAKES {
        let output = desk.command(line).output().unwrap();
        tell(&desk, &mut transcript, mistake, line, &output);
        assert!(desk.everything() == before, "{mistake}: narrows {line} changed a file");
    }
    insta::assert_snapshot!(transcript);
}

/// A limit on the size of files stands in for a disk that is full: both fail within a write.
#[test]
#[cfg(unix)]
fn a_full_disk_is_told_and_nothing_is_touched() {
    let desk = desk();
    desk.narrows("fit -q --data demo:digits --set model.components=5 --out runs/digits");
    let before = desk.everything();
    let mut transcript = String::new();
    for line in [
        "fit -q --data demo:digits --out runs/kept",
        "encode runs/digits --data demo:digits --out kept.npy",
        "report runs/digits",
    ] {
        let limited = format!("trap '' XFSZ; ulimit -f 1; exec {NARROWS} {line}");
        let mut shell = std::process::Command::new("sh");
        let output = shell.args(["-c", &limited]).current_dir(desk.path("")).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", desk.without_path(&output.stderr));
        tell(&desk, &mut transcript, "a full disk", line, &output);
        assert!(desk.everything() == before, "narrows {line} changed a file");
    }
    assert_eq!(transcript.matches("File too large").count(), 3, "{transcript}");
}

fn tell(desk: &Desk, transcript: &mut String, mistake: &str, line: &str, output: &Output) {
    let message = desk.without_path(&output.stderr);
    let code = output.status.code().unwrap();
    let found = format!("# {mistake}\n$ narrows {line}\n[{code}] {message}\n");
    assert!(matches!(code, 1 | 2), "{found}");
    assert_eq!(message.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{found}");
    assert!(!message.contains("panicked"), "{found}");
    assert!(output.stdout.is_empty(), "{found}");
    transcript.write_str(&found).unwrap();
}
