//! Features collected and exported, against a slow count over one window at a time.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flate2::read::GzDecoder;
use half::f16;
use narrows::compute::Matrix;
use narrows::evaluate::Frame;
use narrows::random::Random;
use narrows_lm::features::{
    CREATOR, DelphiOptions, DelphiWriter, Features, FeaturesOptions, Firing, Listener,
    NeuronpediaOptions, Silent, collect, write_browser, write_jsonl, write_neuronpedia,
};
use narrows_lm::model::Pass;
use narrows_lm::text::Windows;
use narrows_lm::{Basis, Error, LanguageModel, Result, Tap};
use serde_json::Value;

const LENGTH: usize = 12;
/// More than go through the model at once, twice.
const WINDOWS: usize = 21;
const LATENTS: usize = 48;
/// What a script must not hold, and what JSON has to escape.
const NASTY: [&str; 4] = ["</script>", "\"'&", "<!--", "\u{2028}"];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/models").join(name)
}

fn tap() -> Tap {
    Tap::after(0)
}

struct Case {
    model: LanguageModel,
    basis: Basis,
    windows: Windows,
}

/// A random model, random directions of which the five largest codes of a row are kept, with their signs, and random
/// tokens with some that begin a text.
fn case() -> Case {
    let model = LanguageModel::open(&golden("neox-parallel")).unwrap();
    let frame = Frame::random(LATENTS, vec![0.0; model.architecture.width], 3).unwrap();
    let mut random = Random::stream(5, "tokens");
    let tokens = (0..WINDOWS * LENGTH).map(|place| match place % 17 {
        0 => model.begin().unwrap(),
        _ => 1 + random.below(250) as u32,
    });
    let windows = Windows::new(tokens.collect(), LENGTH);
    Case { model, basis: Basis::frame("random", frame, 5), windows }
}

/// Every firing, from one window at a time and dense codes.
fn firings(case: &Case) -> Vec<Firing> {
    let mut found = Vec::new();
    for window in 0..case.windows.sequences() {
        let part = case.windows.part(window..window + 1);
        let mut rows = Matrix::default();
        let mut hook = (tap(), |at: &mut Matrix| {
            rows = at.clone();
            Ok(())
        });
        case.model.run_to(&part, Some(tap()), &mut Pass::default(), &mut hook).unwrap();
        let dense = case.basis.encode(&rows).unwrap().to_dense();
        for place in 0..LENGTH {
            if Some(part.tokens[place]) == case.model.begin() {
                continue;
            }
            let codes = dense.row(place).iter().enumerate().filter(|(_, code)| **code != 0.0);
            found.extend(codes.map(|(feature, &code)| Firing {
                feature: feature as u32,
                window: window as u32,
                place: place as u32,
                code,
            }));
        }
    }
    found
}

fn rows(case: &Case) -> usize {
    case.windows.tokens.iter().filter(|&&token| Some(token) != case.model.begin()).count()
}

fn collected(case: &Case, options: &FeaturesOptions) -> Features {
    let Case { model, basis, windows } = case;
    collect(model, tap(), basis, windows, options, &mut Silent).unwrap()
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-5 * (1.0 + a.abs())
}

#[test]
fn what_is_collected_is_what_a_slow_count_finds() {
    let case = case();
    let all = firings(&case);
    let found = collected(&case, &FeaturesOptions { top: 4, ..FeaturesOptions::default() });
    assert_eq!((found.tokens, found.together_one_in), (rows(&case), 1));
    assert_eq!(found.features.len(), LATENTS);
    let at: Vec<BTreeSet<(u32, u32)>> = (0..LATENTS as u32)
        .map(|j| all.iter().filter(|f| f.feature == j).map(|f| (f.window, f.place)).collect())
        .collect();
    for (feature, record) in found.features.iter().enumerate() {
        let own: Vec<&Firing> = all.iter().filter(|f| f.feature == feature as u32).collect();
        let codes: Vec<f64> = own.iter().map(|f| f64::from(f.code.abs())).collect();
        let largest = codes.iter().copied().fold(0.0, f64::max);
        assert!(near(record.density, own.len() as f64 / rows(&case) as f64));
        assert!(near(record.mean, codes.iter().sum::<f64>() / codes.len() as f64));
        assert!(near(f64::from(record.largest), largest));
        assert_eq!(record.histogram.iter().sum::<u32>() as usize, own.len());
        let in_bin = codes.iter().filter(|code| (*code / largest * 20.0) as usize == 7);
        assert_eq!(record.histogram[7] as usize, in_bin.count());
        // The largest of each window, in falling order.
        let mut best: BTreeMap<u32, f64> = BTreeMap::new();
        for firing in &own {
            let code = best.entry(firing.window).or_default();
            *code = code.max(f64::from(firing.code.abs()));
        }
        let mut best: Vec<(u32, f64)> = best.into_iter().collect();
        best.sort_by(|a, b| b.1.total_cmp(&a.1));
        assert_eq!(record.top.len(), best.len().min(4));
        for (context, (window, code)) in record.top.iter().zip(best) {
            assert_eq!(context.window, window as usize);
            assert!(near(f64::from(context.codes[context.peak]), code));
            let sequence = case.windows.sequence(context.window);
            assert_eq!(sequence[context.first..][..context.tokens.len()], context.tokens);
            for (place, code) in context.codes.iter().enumerate() {
                let fires = at[feature].contains(&(window, (context.first + place) as u32));
                assert_eq!(fires, *code > 0.0);
            }
            // No context goes beyond the token that begins the next text.
            let inner = &context.tokens[1..];
            assert!(!inner.contains(&case.model.begin().unwrap()));
        }
        for (band, contexts) in record.bands.iter().enumerate() {
            for context in contexts {
                let share = context.codes[context.peak] / record.largest;
                assert_eq!(4 - band, ((share * 5.0) as usize).min(4));
            }
        }
        let share = |other: usize| {
            let both = at[feature].intersection(&at[other]).count() as f64;
            both / at[feature].union(&at[other]).count() as f64
        };
        let mut others: Vec<(usize, f64)> =
            (0..LATENTS).filter(|o| *o != feature).map(|o| (o, share(o))).collect();
        others.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        for ((other, ours), (expected, slow)) in record.together.iter().zip(others) {
            assert_eq!((*other, near(f64::from(*ours), slow)), (expected, true));
        }
    }
}

#[test]
fn some_features_are_told_as_among_all() {
    let case = case();
    let all = collected(&case, &FeaturesOptions::default());
    let asked = vec![3, 17, 40];
    let some = collected(
        &case,
        &FeaturesOptions { features: asked.clone(), ..FeaturesOptions::default() },
    );
    let expected: Vec<_> = asked.iter().map(|&feature| all.features[feature].clone()).collect();
    assert_eq!(some.features, expected);
    let options = FeaturesOptions { features: vec![LATENTS], ..FeaturesOptions::default() };
    let Case { model, basis, windows } = &case;
    let error = collect(model, tap(), basis, windows, &options, &mut Silent).unwrap_err();
    assert!(error.to_string().contains("features 0 to 47"), "{error}");
}

/// Files of everything that is written, by their names.
fn everything(case: &Case, threads: usize) -> BTreeMap<PathBuf, Vec<u8>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    pool.install(|| {
        let (found, _) = exported(case, folder.path(), &[]);
        write_browser(&found, &case.model.tokenizer, folder.path()).unwrap();
        write_jsonl(&found, &case.model.tokenizer, &folder.path().join("f.jsonl")).unwrap();
    });
    files(folder.path())
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let name = path.strip_prefix(folder).unwrap().to_owned();
                    found.insert(name, fs::read(&path).unwrap());
                }
            }
        }
    }
    found
}

#[test]
fn one_thread_and_three_write_the_same_bytes() {
    let case = case();
    let (one, three) = (everything(&case, 1), everything(&case, 3));
    assert!(one.keys().eq(three.keys()) && one.len() > 10);
    for (name, bytes) in &one {
        assert!(*bytes == three[name], "{}", name.display());
    }
}

/// Passes firings on.
struct Kept<'a>(DelphiWriter<'a>);

impl Listener for Kept<'_> {
    fn firings(&mut self, firings: &[Firing]) -> Result<()> {
        self.0.push(firings)
    }
}

fn delphi(splits: usize) -> DelphiOptions {
    DelphiOptions {
        module: "blocks.0.residual_post".to_owned(),
        model_name: "models/tiny".to_owned(),
        dataset: "stories.txt".to_owned(),
        splits,
    }
}

/// Exports for delphi and for Neuronpedia.
fn exported(case: &Case, folder: &Path, asked: &[usize]) -> (Features, NeuronpediaOptions) {
    let Case { model, basis, windows } = case;
    let writer = DelphiWriter::create(&folder.join("delphi"), LATENTS, windows, delphi(5)).unwrap();
    let mut kept = Kept(writer);
    let options = FeaturesOptions { features: asked.to_vec(), ..FeaturesOptions::default() };
    let found = collect(model, tap(), basis, windows, &options, &mut kept).unwrap();
    kept.0.finish().unwrap();
    let options = NeuronpediaOptions {
        set: "res-48".to_owned(),
        creator: CREATOR.to_owned(),
        dataset: "stories.txt".to_owned(),
        created: SystemTime::UNIX_EPOCH,
    };
    let neuronpedia = folder.join("neuronpedia");
    write_neuronpedia(&found, model, tap(), windows, &options, &neuronpedia).unwrap();
    (found, options)
}

/// A tensor of a safetensors file: kind, shape and bytes.
fn tensor(bytes: &[u8], name: &str) -> (String, Vec<usize>, Vec<u8>) {
    let end = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..end]).unwrap();
    let about = &header[name];
    let number = |value: &Value| value.as_u64().unwrap() as usize;
    let place: Vec<usize> = about["data_offsets"].as_array().unwrap().iter().map(number).collect();
    let shape = about["shape"].as_array().unwrap().iter().map(number).collect();
    (
        about["dtype"].as_str().unwrap().to_owned(),
        shape,
        bytes[end + place[0]..end + place[1]].to_vec(),
    )
}

/// Firings of a file whose first latent is `first`, as delphi reads them.
fn delphi_firings(bytes: &[u8], first: u32) -> Vec<(u32, u32, u32, f32)> {
    let (kind, shape, locations) = tensor(bytes, "locations");
    let numbers: Vec<u32> = match &*kind {
        "U16" => locations.chunks(2).map(|b| u16::from_le_bytes([b[0], b[1]]).into()).collect(),
        "U32" => locations.chunks(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect(),
        kind => panic!("{kind}"),
    };
    let (kind, length, activations) = tensor(bytes, "activations");
    assert_eq!((&*kind, shape), ("F16", vec![length[0], 3]));
    let codes = activations.chunks(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32());
    numbers.chunks(3).zip(codes).map(|(at, code)| (at[0], at[1], at[2] + first, code)).collect()
}

#[test]
fn delphi_finds_every_firing() {
    let case = case();
    for asked in [vec![], vec![4, 30]] {
        let folder = tempfile::tempdir().unwrap();
        exported(&case, folder.path(), &asked);
        let module = folder.path().join("delphi/blocks.0.residual_post");
        let mut names: Vec<_> =
            files(&module).into_keys().map(|n| n.display().to_string()).collect();
        names.sort();
        let of =
            ["0_8", "19_27", "28_37", "38_47", "9_18"].map(|name| format!("{name}.safetensors"));
        assert_eq!(names, [&of[..], &["config.json".to_owned()]].concat());
        let mut found = Vec::new();
        for name in of {
            let first = name.split('_').next().unwrap().parse().unwrap();
            let bytes = fs::read(module.join(name)).unwrap();
            let own = delphi_firings(&bytes, first);
            assert!(own.is_sorted_by_key(|&(window, place, latent, _)| (window, place, latent)));
            found.extend(own);
            let (kind, shape, tokens) = tensor(&bytes, "tokens");
            assert_eq!((&*kind, shape), ("I64", vec![WINDOWS, LENGTH]));
            let tokens = tokens.chunks(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()));
            assert!(tokens.eq(case.windows.tokens.iter().map(|&token| i64::from(token))));
        }
        found.sort_by_key(|&(window, place, latent, _)| (window, place, latent));
        let slow = firings(&case);
        let slow: Vec<&Firing> = slow
            .iter()
            .filter(|f| asked.is_empty() || asked.contains(&(f.feature as usize)))
            .filter(|f| f.code.abs() > 1e-5)
            .collect();
        assert_eq!(found.len(), slow.len());
        assert!(slow.iter().any(|firing| firing.code < 0.0));
        for ((window, place, latent, code), slow) in found.into_iter().zip(slow) {
            assert_eq!((window, place, latent), (slow.window, slow.place, slow.feature));
            assert!((code - slow.code).abs() <= 1e-3 * slow.code.abs() + 1e-6);
        }
        let config = fs::read_to_string(module.join("config.json")).unwrap();
        let config: Value = serde_json::from_str(&config).unwrap();
        assert_eq!(
            (&config["cache_ctx_len"], &config["ctx_len"]),
            (&LENGTH.into(), &LENGTH.into())
        );
        assert_eq!(
            (&config["model_name"], &config["n_splits"]),
            (&"models/tiny".into(), &5.into())
        );
        for key in ["dataset_repo", "dataset_split", "dataset_name", "dataset_column"] {
            assert!(config[key].is_string(), "{key}");
        }
    }
}

#[test]
fn locations_are_wide_where_they_have_to_be() {
    let windows = Windows::new(vec![7; 70_000], 1);
    let firing = |window: u32, feature: u32| Firing { feature, window, place: 0, code: 2.0 };
    let folder = tempfile::tempdir().unwrap();
    let mut writer = DelphiWriter::create(folder.path(), 4, &windows, delphi(2)).unwrap();
    writer.push(&[firing(65_535, 1), firing(65_536, 3)]).unwrap();
    // Too small to be kept.
    writer.push(&[Firing { code: 1e-5, ..firing(65_537, 3) }]).unwrap();
    writer.finish().unwrap();
    for (name, first, kind, expected) in
        [("0_1", 0, "U16", (65_535, 0, 1, 2.0)), ("2_3", 2, "U32", (65_536, 0, 3, 2.0))]
    {
        let path = folder.path().join("blocks.0.residual_post").join(format!("{name}.safetensors"));
        let bytes = fs::read(path).unwrap();
        assert_eq!(tensor(&bytes, "locations").0, kind);
        assert_eq!(delphi_firings(&bytes, first), [expected]);
    }
}

#[test]
fn what_is_given_up_leaves_nothing() {
    let case = case();
    let folder = tempfile::tempdir().unwrap();
    /// Stops after the first part.
    struct Stops<'a>(DelphiWriter<'a>);
    impl Listener for Stops<'_> {
        fn firings(&mut self, firings: &[Firing]) -> Result<()> {
            self.0.push(firings)
        }
        fn done(&mut self, _: f64) -> bool {
            false
        }
    }
    let writer = DelphiWriter::create(folder.path(), LATENTS, &case.windows, delphi(3)).unwrap();
    let mut stops = Stops(writer);
    let options = FeaturesOptions::default();
    let Case { model, basis, windows } = &case;
    let error = collect(model, tap(), basis, windows, &options, &mut stops).unwrap_err();
    assert!(matches!(error, Error::Interrupted { .. }), "{error}");
    drop(stops);
    assert!(files(folder.path()).is_empty());
}

/// The third reading, that of the contexts, is not silent either.
#[test]
fn every_reading_tells_how_far_it_is_and_can_be_ended() {
    struct Told(Vec<f64>, f64);
    impl Listener for Told {
        fn done(&mut self, part: f64) -> bool {
            self.0.push(part);
            part < self.1
        }
    }
    let Case { model, basis, windows } = case();
    let told = |last: f64| {
        let mut told = Told(Vec::new(), last);
        let options = FeaturesOptions::default();
        let found = collect(&model, tap(), &basis, &windows, &options, &mut told);
        (found, told.0)
    };
    let (found, parts) = told(2.0);
    assert!(found.is_ok() && parts.is_sorted(), "{parts:?}");
    // 21 windows, 8 at a time, three times.
    assert_eq!(parts.len(), 9);
    let (found, until) = told(parts[7]);
    assert!(matches!(found, Err(Error::Interrupted { .. })));
    assert_eq!(until, parts[..8]);
}

fn lines(path: &Path) -> Vec<Value> {
    let bytes = fs::read(path).unwrap();
    let mut text = String::new();
    match path.extension().is_some_and(|kind| kind == "gz") {
        true => drop(GzDecoder::new(&*bytes).read_to_string(&mut text).unwrap()),
        false => text = String::from_utf8(bytes).unwrap(),
    }
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn neuronpedia_gets_rows_that_a_slow_count_finds() {
    let case = case();
    let folder = tempfile::tempdir().unwrap();
    let (found, options) = exported(&case, folder.path(), &[]);
    let source = folder.path().join("neuronpedia/neox-parallel/0-res-48");
    for (name, key, value) in [
        ("release", "name", "res-48"),
        ("model", "id", "neox-parallel"),
        ("sourceset", "releaseName", "res-48"),
        ("source", "id", "0-res-48"),
    ] {
        let rows = lines(&source.join(format!("{name}.jsonl")));
        assert_eq!((rows.len(), &rows[0][key]), (1, &value.into()), "{name}");
        assert_eq!(rows[0]["creatorId"], CREATOR);
    }
    let features = lines(&source.join("features/batch-0.jsonl.gz"));
    let activations = lines(&source.join("activations/batch-0.jsonl.gz"));
    assert_eq!(features.len(), LATENTS);
    // The importer takes the columns from the first line of a file.
    for rows in [&features, &activations] {
        let keys = |row: &Value| row.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert!(rows.iter().all(|row| keys(row) == keys(&rows[0])));
        assert!(rows.iter().all(|row| row["createdAt"] == "1970-01-01T00:00:00"));
    }
    let all = firings(&case);
    for (feature, row) in features.iter().enumerate() {
        assert_eq!((&row["modelId"], &row["layer"]), (&"neox-parallel".into(), &"0-res-48".into()));
        assert_eq!(
            (&row["index"], &row["hookName"]),
            (&feature.to_string().into(), &"blocks.0.hook_resid_post".into())
        );
        let own = all.iter().filter(|f| f.feature as usize == feature);
        assert!(near(
            row["frac_nonzero"].as_f64().unwrap(),
            own.clone().count() as f64 / rows(&case) as f64
        ));
        let heights = row["freq_hist_data_bar_heights"].as_array().unwrap();
        assert_eq!(heights.iter().map(|n| n.as_u64().unwrap()).sum::<u64>() as usize, own.count());
        let middles = row["freq_hist_data_bar_values"].as_array().unwrap();
        let largest = row["maxActApprox"].as_f64().unwrap();
        assert!(near(middles[19].as_f64().unwrap(), 0.975 * largest));
        // Every logit by hand: the direction less its mean, times the factors of the last norm, times the tokens.
        let direction = case.basis.directions().row(feature);
        let mean = direction.iter().sum::<f32>() / direction.len() as f32;
        let unembedding = case.model.unembedding();
        let factors = case.model.last_norm_factors();
        let mut logits: Vec<f64> = (0..unembedding.rows())
            .map(|token| {
                let parts = direction.iter().zip(factors).zip(unembedding.row(token));
                parts.map(|((d, g), u)| f64::from(d - mean) * f64::from(*g) * f64::from(*u)).sum()
            })
            .collect();
        logits.sort_by(f64::total_cmp);
        let close = |value: &Value, logit: f64| (value.as_f64().unwrap() - logit).abs() < 1e-4;
        assert!(close(&row["pos_values"][0], logits[logits.len() - 1]));
        assert!(close(&row["neg_values"][0], logits[0]));
        let counts = row["logits_hist_data_bar_heights"].as_array().unwrap();
        assert_eq!(counts.iter().map(|n| n.as_u64().unwrap()).sum::<u64>() as usize, logits.len());
        assert_eq!(row["topkCosSimIndices"].as_array().unwrap().len(), 8);
        for empty in [
            "neuron_alignment_l1",
            "correlated_neurons_pearson",
            "correlated_features_indices",
            "decoder_weights_dist",
            "vector",
        ] {
            assert_eq!(row[empty], serde_json::json!([]), "{empty}");
        }
    }
    let ids: BTreeSet<&str> = activations.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), activations.len());
    assert!(ids.iter().all(|id| id.len() == 25 && id.starts_with('c')));
    for row in &activations {
        let feature: usize = row["index"].as_str().unwrap().parse().unwrap();
        let values: Vec<f64> =
            row["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        assert_eq!(row["tokens"].as_array().unwrap().len(), values.len());
        let largest = values.iter().copied().fold(f64::MIN, f64::max);
        assert_eq!(row["maxValue"], largest);
        assert_eq!(values[row["maxValueTokenIndex"].as_u64().unwrap() as usize], largest);
        assert_eq!(
            (&row["dfaValues"], &row["lossValues"]),
            (&serde_json::json!([]), &serde_json::json!([]))
        );
        let at = values[row["qualifyingTokenIndex"].as_u64().unwrap() as usize];
        let [low, high, contains] =
            ["binMin", "binMax", "binContains"].map(|key| row[key].as_f64().unwrap());
        let top = f64::from(found.features[feature].largest);
        if low < 0.0 {
            assert_eq!((low, high, contains), (-1.0, top, -1.0));
            continue;
        }
        assert!(low - 1e-6 <= at && at <= high + 1e-6, "{low} {at} {high}");
        let inside = all.iter().filter(|f| {
            let code = f64::from(f.code.abs());
            f.feature as usize == feature && code >= low && (code < high || high >= top * 0.999)
        });
        assert!((contains - inside.count() as f64 / rows(&case) as f64).abs() < 1e-9);
    }
    let wrong = NeuronpediaOptions { set: "a/b".to_owned(), ..options };
    let Case { model, windows, .. } = &case;
    let error =
        write_neuronpedia(&found, model, tap(), windows, &wrong, folder.path()).unwrap_err();
    assert!(error.to_string().contains("give another --set-name"), "{error}");
}

/// The model with a vocabulary that has nasty tokens.
fn nasty_model(folder: &Path) -> LanguageModel {
    for file in ["config.json", "model.safetensors"] {
        fs::copy(golden("neox-parallel").join(file), folder.join(file)).unwrap();
    }
    let path = golden("neox-parallel").join("tokenizer.json");
    let mut tokenizer: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let vocabulary = tokenizer["model"]["vocab"].as_object_mut().unwrap();
    // Tokens of whole bytes are in no merge.
    for (token, nasty) in ["!", "#", "$", "%"].into_iter().zip(NASTY) {
        let id = vocabulary.remove(token).unwrap();
        // U+2028 as byte-level BPE writes its bytes E2 80 A8.
        let name = nasty.replace('\u{2028}', "\u{e2}\u{122}\u{a8}");
        vocabulary.insert(name, id);
    }
    fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    LanguageModel::open(folder).unwrap()
}

#[test]
fn scripts_hold_any_token() {
    let folder = tempfile::tempdir().unwrap();
    let model = nasty_model(folder.path());
    let ids: Vec<u32> = (0..model.architecture.vocabulary as u32)
        .filter(|&id| NASTY.contains(&&*model.tokenizer.token(id)))
        .collect();
    assert_eq!(ids.len(), NASTY.len());
    let mut case = case();
    case.windows.tokens.iter_mut().enumerate().for_each(|(place, token)| {
        if Some(*token) != model.begin() {
            *token = ids[place % ids.len()];
        }
    });
    case.model = model;
    let found = collected(&case, &FeaturesOptions::default());
    let page = folder.path().join("page");
    fs::create_dir(&page).unwrap();
    write_browser(&found, &case.model.tokenizer, &page).unwrap();
    let mut seen = BTreeSet::new();
    for (name, bytes) in files(&page.join("data")) {
        let text = String::from_utf8(bytes).unwrap();
        for wrong in ["</", "<!--", "\u{2028}"] {
            assert!(!text.contains(wrong), "{wrong:?} in {}", name.display());
        }
        let data = text.strip_prefix("narrows(").unwrap().strip_suffix(");\n").unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        for whole in data["whole"].as_array().into_iter().flatten() {
            for context in whole["top"].as_array().unwrap() {
                seen.extend(
                    context[0].as_array().unwrap().iter().map(|t| t.as_str().unwrap().to_owned()),
                );
            }
        }
    }
    assert!(NASTY.iter().all(|token| seen.contains(*token)), "{seen:?}");
}
