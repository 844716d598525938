//! Harvests that were stopped and went on.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use narrows::data::ShardElement;
use narrows::store::{ShardOptions, ShardWriter};
use narrows_lm::harvest::{COLUMNS, HarvestProgress, Harvester, harvest};
use narrows_lm::text::{Corpus, TextOptions};
use narrows_lm::{Error, LanguageModel, Result, Tap};

const LENGTH: usize = 24;
/// Rows of a shard of each tap, so that the stores are at different places when a harvest is stopped.
const TAPS: [(&str, usize); 2] = [("blocks.0.mlp_hidden", 90), ("blocks.1.residual_post", 250)];

struct Case {
    model: LanguageModel,
    taps: Vec<Tap>,
    text: TextOptions,
}

fn case(folder: &Path) -> Case {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/models/neox-parallel");
    let model = LanguageModel::open(&model).unwrap();
    let path = folder.join("text.txt");
    let document =
        |number| format!("The river narrows {number} times.\nThen it widens.<|endoftext|>");
    std::fs::write(&path, (0..120).map(document).collect::<String>()).unwrap();
    let taps = TAPS.map(|(name, _)| Tap::parse(name, &model.architecture).unwrap()).to_vec();
    Case { model, taps, text: TextOptions::new(vec![path]) }
}

fn begin(case: &Case, folder: &Path) -> Vec<ShardWriter> {
    let store = |(tap, (name, rows)): (&Tap, (&str, usize))| {
        let options = ShardOptions {
            columns: COLUMNS.map(str::to_owned).into(),
            rows_per_shard: Some(rows),
            ..ShardOptions::new(tap.width(&case.model.architecture), ShardElement::F32)
        };
        ShardWriter::create(&folder.join(name), options).unwrap()
    };
    case.taps.iter().zip(TAPS).map(store).collect()
}

/// Goes on until `last` rows are done. What is not whole then is lost, as it is after kill -9.
fn run(case: &Case, mut stores: Vec<ShardWriter>, last: usize) -> Result<HarvestProgress> {
    let mut corpus = Corpus::open(&case.model, &case.text, LENGTH, true)?;
    let mut harvester = Harvester::new(&case.model, &case.taps, false);
    let watch = &mut |progress: HarvestProgress| progress.rows < last;
    let done = harvest(&mut corpus, &mut harvester, &mut stores, usize::MAX, watch)?;
    stores.into_iter().try_for_each(|store| store.finish().map(|_| ()))?;
    Ok(done)
}

fn files(folder: &Path) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> =
        entries.map(|entry| (entry.file_name(), std::fs::read(entry.path()).unwrap())).collect();
    files.sort();
    files
}

#[test]
fn stores_of_two_taps_go_on_from_whole_shards_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let case = case(folder.path());
    let (whole, stopped) = (folder.path().join("whole"), folder.path().join("stopped"));
    let at_once = run(&case, begin(&case, &whole), usize::MAX).unwrap();
    assert!(at_once.rows > 2000, "{at_once:?}");
    let mut stores = begin(&case, &stopped);
    for last in [700, 1300] {
        let error = run(&case, stores, last).unwrap_err();
        assert!(matches!(error, Error::Interrupted { .. }), "{error}");
        stores = TAPS.map(|(name, _)| ShardWriter::resume(&stopped.join(name)).unwrap()).into();
        let written: Vec<usize> = stores.iter().map(ShardWriter::rows).collect();
        assert!(written[1] >= 500 && written[0] > written[1], "{written:?}");
    }
    let rest = run(&case, stores, usize::MAX).unwrap();
    assert_eq!(rest.rows, at_once.rows);
    assert!(rest.tokens + 1000 < at_once.tokens, "what is whole is not run again: {rest:?}");
    for (name, _) in TAPS {
        assert_eq!(files(&whole.join(name)), files(&stopped.join(name)), "{name}");
        assert!(files(&whole.join(name)).len() > 8);
    }
}
