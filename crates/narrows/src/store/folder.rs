//! Folders that are written whole or not at all, and replaced only where narrows wrote them.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::aside::PREFIX;
use super::{read_json, write_json};
use crate::error::{Error, Result};

/// What makes a folder a run.
pub(super) const CONFIG: &str = "config.json";
pub(super) const PREPARATION: &str = "preparation.json";
pub(super) const WEIGHTS: &str = "weights.safetensors";
pub(super) const CHECKPOINT: &str = "checkpoint";
/// What makes it a run of several dictionaries: a folder with a run for each.
pub(super) const DICTIONARIES: &str = "dictionaries";
const SCORES: &str = "scores.json";
const PICTURES: &str = "pictures.json";
const EXCHANGED: &str = "cfg.json";
const STUDY: &str = "study.json";
const CURVES: &str = "curves.json";
const FEATURES: &str = "features.json";

/// What it writes into a run.
const RUN: &[&str] =
    &[CONFIG, PREPARATION, WEIGHTS, "history.jsonl", SCORES, "report.html", CHECKPOINT, "storeys"];

/// What narrows writes as a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    /// A model and what belongs to it.
    Run,
    /// Known faces.
    Faces,
    /// An evaluation of face recognition.
    FacesEvaluation,
    /// Pictures, by [`write_pictures`].
    Pictures,
    /// A sparse dictionary for another library, by [`super::exchange::write`].
    Dictionary,
    /// A study of a language model.
    Study,
    /// An experiment with replaced features.
    Patching,
    /// What features of a dictionary mean.
    Features,
}

/// The list of a folder of pictures.
#[derive(Serialize, Deserialize)]
struct Listed {
    version: String,
    pictures: Vec<PathBuf>,
}

impl Folder {
    const ALL: [Self; 8] = [
        Self::Run,
        Self::Faces,
        Self::FacesEvaluation,
        Self::Pictures,
        Self::Dictionary,
        Self::Study,
        Self::Patching,
        Self::Features,
    ];

    /// How a message calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Faces => "run of `narrows faces train`",
            Self::FacesEvaluation => "folder of `narrows faces evaluate`",
            Self::Pictures => "folder of rebuilt pictures",
            Self::Dictionary => "dictionary for another library",
            Self::Study => "folder of `narrows study`",
            Self::Patching => "folder of `narrows patch`",
            Self::Features => "folder of `narrows features`",
        }
    }

    /// Whether the folder says of itself that narrows wrote it as this.
    fn is(self, folder: &Path) -> bool {
        let says = |file: &str| -> Option<Value> {
            read_json(&folder.join(file)).ok().filter(|value: &Value| value["version"].is_string())
        };
        let config = || says(CONFIG).filter(|_| holds_a_model(folder));
        match self {
            Self::Run => config().is_some_and(|config| config["model"].is_object()),
            Self::Faces => config().is_some_and(|config| config["kind"] == "faces"),
            Self::FacesEvaluation => says(SCORES).is_some_and(|s| s["evaluation"].is_object()),
            Self::Pictures => says(PICTURES).is_some_and(|list| list["pictures"].is_array()),
            Self::Dictionary => read_json(&folder.join(EXCHANGED)).is_ok_and(|cfg: Value| {
                cfg["narrows_version"].is_string() || cfg["metadata"]["narrows_version"].is_string()
            }),
            Self::Study => says(STUDY).is_some_and(|study| study["layers"].is_array()),
            Self::Patching => says(CURVES).is_some_and(|found| found["curves"].is_array()),
            Self::Features => says(FEATURES).is_some_and(|found| found["features"].is_number()),
        }
    }

    /// What narrows writes into it; a name stands for a file or for a folder with all it holds.
    fn entries(self, folder: &Path) -> Vec<PathBuf> {
        let names: &[&str] = match self {
            Self::Run => RUN,
            Self::Faces => &[CONFIG, "gallery.json", WEIGHTS, "pictures"],
            Self::FacesEvaluation => &[SCORES, "report.html", "pictures"],
            Self::Pictures => &[PICTURES],
            Self::Dictionary => &[EXCHANGED, "sae_weights.safetensors", "sae.safetensors"],
            Self::Study => &[STUDY, "report.html"],
            Self::Patching => &[CURVES, "report.html"],
            Self::Features => {
                &[FEATURES, "features.jsonl", "index.html", "data", "delphi", "neuronpedia"]
            }
        };
        let listed = match self {
            Self::Pictures => read_json(&folder.join(PICTURES))
                .map(|list: Listed| list.pictures)
                .unwrap_or_default(),
            Self::Run | Self::Study => of_dictionaries(folder),
            _ => Vec::new(),
        };
        names.iter().map(PathBuf::from).chain(listed).collect()
    }

    /// The first thing in it that narrows did not write.
    fn foreign(self, folder: &Path) -> Option<PathBuf> {
        let own = self.entries(folder);
        let mut within = vec![PathBuf::new()];
        while let Some(part) = within.pop() {
            // What cannot be looked at may be anybody's.
            let Ok(entries) = fs::read_dir(folder.join(&part)) else { return Some(part) };
            for entry in entries.flatten() {
                let name = part.join(entry.file_name());
                let is_aside = entry.file_name().to_string_lossy().starts_with(PREFIX);
                if is_aside || own.contains(&name) {
                    continue;
                }
                let leads_to_own = own.iter().any(|own| own.starts_with(&name));
                if !leads_to_own || !entry.path().is_dir() {
                    return Some(name);
                }
                within.push(name);
            }
        }
        None
    }
}

/// What narrows writes into the runs of several dictionaries.
fn of_dictionaries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder.join(DICTIONARIES)) else { return Vec::new() };
    let own = entries.flatten().filter(|entry| Folder::Run.is(&entry.path()));
    let own = own.map(|entry| Path::new(DICTIONARIES).join(entry.file_name()));
    own.flat_map(|run| RUN.iter().map(move |name| run.join(name))).collect()
}

/// Whether a folder holds weights, or several dictionaries: a training that is under way has none.
pub fn is_finished(folder: &Path) -> bool {
    folder.join(WEIGHTS).is_file() || folder.join(DICTIONARIES).is_dir()
}

/// Whether a folder holds a model, or the checkpoint of one that is under way.
pub(super) fn holds_a_model(folder: &Path) -> bool {
    is_finished(folder) || folder.join(CHECKPOINT).is_dir()
}

/// Lets `fill` write the files of a folder aside, then gives it the name `path`.
///
/// An earlier folder of the same kind and name is replaced at the last moment, by two renames; one
/// that holds anything that narrows did not write is left alone. If anything fails, what was there
/// is still there; if the program is killed between the renames, it lies in `.narrows-…` beside it.
///
/// # Errors
/// If `path` is taken by something else, or a file cannot be written.
pub fn write_folder(
    path: &Path,
    kind: Folder,
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    check_replaceable(path, kind)?;
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(|error| Error::write(parent, error))?;
    let aside = tempfile::Builder::new()
        .prefix(PREFIX)
        .tempdir_in(parent)
        .map_err(|error| Error::write(parent, error))?;
    let fresh = aside.path().join("fresh");
    fs::create_dir(&fresh).map_err(|error| Error::write(&fresh, error))?;
    fill(&fresh).map_err(|error| renamed(error, &fresh, path))?;
    // What was put there in the meantime counts too.
    check_replaceable(path, kind)?;
    replace(path, &fresh, aside)
}

/// Writes pictures, one of each name below the folder, as [`write_folder`] does.
///
/// # Errors
/// As [`write_folder`].
pub fn write_pictures(
    path: &Path,
    names: &[PathBuf],
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    write_folder(path, Folder::Pictures, |folder| {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        write_json(&folder.join(PICTURES), &Listed { version, pictures: names.to_vec() })?;
        fill(folder)
    })
}

/// Gives `fresh` the name `path`; what has that name goes into `aside`, and back if that fails.
fn replace(path: &Path, fresh: &Path, aside: tempfile::TempDir) -> Result<()> {
    let earlier = aside.path().join("replaced");
    let had = path.exists();
    if had {
        fs::rename(path, &earlier).map_err(|error| Error::write(path, error))?;
    }
    let Err(error) = fs::rename(fresh, path) else { return Ok(()) };
    if had && fs::rename(&earlier, path).is_err() {
        let kept = aside.keep().join("replaced");
        let problem = format!("{error}; what was there lies in '{}'", kept.display());
        return Err(Error::failure(format!("write {}", path.display()), problem, "move it back"));
    }
    Err(Error::write(path, error))
}

/// Errors name files as they would have been called in the end.
fn renamed(mut error: Error, aside: &Path, name: &Path) -> Error {
    if let Error::Io { path, .. } = &mut error
        && let Ok(file) = path.strip_prefix(aside)
    {
        *path = name.join(file);
    }
    error
}

/// Refuses a name that [`write_folder`] would refuse, before any work is done.
///
/// # Errors
/// If `path` is taken by something that narrows did not write as such a folder.
pub fn check_replaceable(path: &Path, kind: Folder) -> Result<()> {
    let is_empty = || fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    if fs::symlink_metadata(path).is_err() || is_empty() {
        return Ok(());
    }
    let (holds, remedy) = match Folder::ALL.into_iter().find(|kind| kind.is(path)) {
        Some(found) if found != kind => {
            (format!("is a {}", found.name()), "give another folder to write")
        }
        Some(_) => match kind.foreign(path) {
            None => return Ok(()),
            Some(file) => (
                format!("also holds '{}'", file.display()),
                "move that elsewhere, or write to another folder",
            ),
        },
        None => ("holds something else".to_owned(), "give another folder to write"),
    };
    Err(Error::mistake(
        "write a folder",
        format!("a new name, an empty folder or an earlier {}", kind.name()),
        format!("'{}', which {holds}", path.display()),
        remedy,
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("a folder")).expect("makes");
        fs::write(path, text).expect("writes");
    }

    /// Writes a run whose configuration holds `mark`.
    fn fill(folder: &Path, mark: usize) -> Result<()> {
        let config = json!({"version": "0.1.0", "model": {"kind": "pca"}, "mark": mark});
        write_json(&folder.join(CONFIG), &config)?;
        write_json(&folder.join(WEIGHTS), &0)
    }

    fn mark(run: &Path) -> Value {
        read_json::<Value>(&run.join(CONFIG)).expect("whole")["mark"].clone()
    }

    fn refusal(path: &Path, kind: Folder) -> String {
        let error = write_folder(path, kind, |_| panic!("never written")).expect_err("refused");
        error.to_string()
    }

    #[test]
    fn a_failed_write_leaves_the_earlier_run_whole() {
        let home = tempfile::tempdir().expect("a folder");
        let run = home.path().join("run");
        write_folder(&run, Folder::Run, |folder| fill(folder, 1)).expect("writes");
        let failed = write_folder(&run, Folder::Run, |folder| {
            fill(folder, 2)?;
            Err(Error::failure("fit", "no", "none"))
        });
        assert!(failed.is_err());
        assert_eq!(mark(&run), 1);
        assert_eq!(fs::read_dir(home.path()).expect("lists").count(), 1, "nothing is left aside");
        write_folder(&run, Folder::Run, |folder| fill(folder, 3)).expect("writes");
        assert_eq!(mark(&run), 3);
    }

    #[test]
    fn a_rename_that_fails_brings_the_earlier_run_back() {
        let home = tempfile::tempdir().expect("a folder");
        let run = home.path().join("run");
        write_folder(&run, Folder::Run, |folder| fill(folder, 1)).expect("writes");
        let aside = tempfile::tempdir_in(home.path()).expect("a folder");
        let gone = aside.path().join("fresh");
        assert!(replace(&run, &gone, aside).is_err());
        assert_eq!(mark(&run), 1);
        assert_eq!(fs::read_dir(home.path()).expect("lists").count(), 1, "nothing is left aside");
    }

    #[test]
    fn a_foreign_folder_is_left_alone() {
        let home = tempfile::tempdir().expect("a folder");
        let thesis = home.path().join("thesis");
        write(&thesis.join("thesis.txt"), "years");
        // What a model of another program looks like.
        let other = home.path().join("other");
        write(&other.join(CONFIG), r#"{"architectures": ["Bert"]}"#);
        write(&other.join("weights.safetensors"), "much");
        for folder in [&thesis, &other] {
            for kind in Folder::ALL {
                let message = refusal(folder, kind);
                assert!(message.contains("holds something else"), "{message}");
            }
        }
        assert!(thesis.join("thesis.txt").exists() && other.join(CONFIG).exists());
    }

    #[test]
    fn what_a_person_put_into_a_run_is_not_deleted() {
        let home = tempfile::tempdir().expect("a folder");
        let run = home.path().join("run");
        write_folder(&run, Folder::Run, |folder| fill(folder, 1)).expect("writes");
        for own in ["history.jsonl", "report.html", "checkpoint/state", "storeys/1/config.json"] {
            write(&run.join(own), "");
        }
        write_folder(&run, Folder::Run, |folder| fill(folder, 2)).expect("writes");
        assert_eq!(mark(&run), 2);
        write(&run.join("codes.npy"), "numbers");
        let message = refusal(&run, Folder::Run);
        assert!(message.contains("also holds 'codes.npy'"), "{message}");
    }

    #[test]
    fn a_run_of_several_dictionaries_is_replaced_unless_something_lies_among_them() {
        let home = tempfile::tempdir().expect("a folder");
        let sweep = home.path().join("sweep");
        let several = |folder: &Path| {
            write_json(&folder.join(CONFIG), &json!({"version": "0.1.0", "model": {}}))?;
            for place in ["0", "1"] {
                let own = folder.join(DICTIONARIES).join(place);
                fs::create_dir_all(&own).expect("makes");
                fill(&own, 1)?;
            }
            Ok(())
        };
        write_folder(&sweep, Folder::Run, several).expect("writes");
        assert!(is_finished(&sweep));
        write(&sweep.join("dictionaries/1/report.html"), "a page");
        write_folder(&sweep, Folder::Run, several).expect("writes again");
        for mine in ["dictionaries/1/codes.npy", "dictionaries/notes.txt", "dictionaries/2/x"] {
            write(&sweep.join(mine), "mine");
            let message = refusal(&sweep, Folder::Run);
            let top = mine.trim_end_matches("/x");
            assert!(message.contains(&format!("also holds '{top}'")), "{message}");
            fs::remove_file(sweep.join(mine)).expect("removes");
        }
        fs::remove_dir(sweep.join("dictionaries/2")).expect("removes");
        write_folder(&sweep, Folder::Run, |folder| fill(folder, 2)).expect("one replaces them");
        assert_eq!(mark(&sweep), 2);
    }

    #[test]
    fn a_folder_is_replaced_by_its_own_kind_only() {
        let home = tempfile::tempdir().expect("a folder");
        let run = home.path().join("run");
        write_folder(&run, Folder::Run, |folder| fill(folder, 1)).expect("writes");
        for kind in [Folder::Faces, Folder::FacesEvaluation, Folder::Pictures] {
            let message = refusal(&run, kind);
            assert!(message.contains("which is a run;"), "{message}");
        }
        // A training that was stopped has no weights yet.
        fs::remove_file(run.join(WEIGHTS)).expect("removes");
        assert!(refusal(&run, Folder::Run).contains("holds something else"));
        write(&run.join(CHECKPOINT).join("state"), "");
        write_folder(&run, Folder::Run, |folder| fill(folder, 2)).expect("writes");
        assert_eq!(mark(&run), 2);
    }

    #[test]
    fn pictures_are_replaced_unless_another_lies_among_them() {
        let home = tempfile::tempdir().expect("a folder");
        let album = home.path().join("album");
        let names = ["ada/1.png", "bob/1.png"].map(PathBuf::from);
        let fill = |folder: &Path| {
            names.iter().for_each(|name| write(&folder.join(name), "picture"));
            Ok(())
        };
        write_pictures(&album, &names, fill).expect("writes");
        write_pictures(&album, &names, fill).expect("writes again");
        write(&album.join("ada/2.png"), "the only one");
        let message = refusal(&album, Folder::Pictures);
        assert!(message.contains("also holds 'ada/2.png'"), "{message}");
    }
}
