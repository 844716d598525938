//! Features in the layout from which Neuronpedia imports them.
//!
//! ```text
//! MODEL/LAYER-SET/
//!   release.jsonl  model.jsonl  sourceset.jsonl  source.jsonl    a row each
//!   features/batch-0.jsonl.gz, …       128 features each         table Neuron
//!   activations/batch-0.jsonl.gz, …    their contexts            table Activation
//! ```
//!
//! Every row has all keys that SAEDashboard's exporter writes, for the importer takes the columns of a file from its first
//! line. What they hold here:
//!
//! ```text
//! layer                    the source, LAYER-SET        index         the number of the feature, as text
//! hookName                 TransformerLens' name of the place, such as blocks.2.hook_resid_post; our own of mlp_in
//! frac_nonzero             share of tokens with a code  maxActApprox  the largest code of the text
//! freq_hist_data_*         codes that are not 0: counts and middles of 20 equal bins up to the largest
//! logits_hist_data_*       of all tokens: counts and middles of 40 equal bins
//! pos_*, neg_*             tokens that it promotes, from the most on, and that it suppresses
//! topkCosSim*              the nearest directions
//! binMin, binMax, binContains
//!   of largest codes       −1, the largest code, −1
//!   of a band              its ends, and the share of tokens with a code in it (0 is not in the lowest)
//! qualifyingTokenIndex     the token for which the context was taken
//! ```
//!
//! Left empty: vectors, `neuron_alignment_*`, `correlated_*`, `decoder_weights_dist`, direct attribution (`dfa*`),
//! `lossValues`, `logitContributions`.
//!
//! Source: `neuronpedia_export.py` of SAEDashboard, and `importJsonlString` of Neuronpedia, by which every file goes into a
//! table. Read, not run: no import into a Neuronpedia was made.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use narrows::store::write_aside;
use narrows::{Error, Result};
use serde_json::{Value, json};

use super::collect::{BANDS, Context, FeatureRecord, Features, TokenWeight};
use super::lens::LogitHistogram;
use crate::model::{LanguageModel, Site, Tap};
use crate::text::Windows;

/// Features of a file.
const BATCH: usize = 128;
/// Whom SAEDashboard lets rows belong to where nobody is named.
pub const CREATOR: &str = "clkht01d40000jv08hvalcvly";

/// What is said beside the features.
#[derive(Debug, Clone, PartialEq)]
pub struct NeuronpediaOptions {
    /// The set of sources, such as `res-4k`; the source is called LAYER-SET.
    pub set: String,
    /// Whom the rows belong to: an id that the Neuronpedia has.
    pub creator: String,
    /// The text.
    pub dataset: String,
    /// When they were made.
    pub created: SystemTime,
}

/// All rows of a source.
struct Rows<'a> {
    features: &'a Features,
    model: &'a LanguageModel,
    tap: Tap,
    windows: &'a Windows,
    options: &'a NeuronpediaOptions,
    source: String,
    created: String,
}

/// Refuses a name of a set that cannot be one of a folder.
///
/// # Errors
/// If it is none.
pub fn check_set(set: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !set.is_empty() && set.chars().all(fits) {
        return Ok(());
    }
    Err(Error::mistake(
        "write features for Neuronpedia",
        "a set of letters, digits, '-', '_' and '.'",
        format!("'{set}'"),
        "give another --set-name",
    ))
}

/// Writes MODEL/LAYER-SET into a folder.
///
/// # Errors
/// If the name of the set cannot be one of a folder, or a file cannot be written.
pub fn write_neuronpedia(
    features: &Features,
    model: &LanguageModel,
    tap: Tap,
    windows: &Windows,
    options: &NeuronpediaOptions,
    folder: &Path,
) -> Result<()> {
    check_set(&options.set)?;
    let source = format!("{}-{}", tap.block, options.set);
    let created = timestamp(options.created);
    let folder = folder.join(&features.model).join(&source);
    let rows = Rows { features, model, tap, windows, options, source, created };
    for part in ["features", "activations"] {
        let part = folder.join(part);
        std::fs::create_dir_all(&part).map_err(|error| Error::write(&part, error))?;
    }
    let about = [
        ("release", rows.release()),
        ("model", rows.about_model()),
        ("sourceset", rows.source_set()),
        ("source", rows.about_source()),
    ];
    for (name, row) in about {
        write_aside(&folder.join(format!("{name}.jsonl")), format!("{row}\n").as_bytes())?;
    }
    for (place, records) in features.features.chunks(BATCH).enumerate() {
        let name = format!("batch-{place}.jsonl.gz");
        write_lines(&folder.join("features").join(&name), records.iter().map(|r| rows.feature(r)))?;
        let activations = records.iter().flat_map(|record| rows.activations(record));
        write_lines(&folder.join("activations").join(&name), activations)?;
    }
    Ok(())
}

fn write_lines(path: &Path, rows: impl Iterator<Item = Value>) -> Result<()> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    for row in rows {
        writeln!(gzip, "{row}").map_err(|error| Error::write(path, error))?;
    }
    let bytes = gzip.finish().map_err(|error| Error::write(path, error))?;
    write_aside(path, &bytes)
}

/// A moment in UTC, as 2026-01-31T23:59:59.
fn timestamp(moment: SystemTime) -> String {
    let seconds = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let (day, second) = (seconds / 86_400, seconds % 86_400);
    let [year, month, day] = date(day);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}", second % 60)
}

/// Year, month and day so many days after 1970-01-01.
fn date(mut day: u64) -> [u64; 3] {
    let leap = |year: u64| {
        year.is_multiple_of(400) || (year.is_multiple_of(4) && !year.is_multiple_of(100))
    };
    let mut year = 1970;
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    [year, month, day + 1]
}

/// What TransformerLens calls a place.
fn hook_name(tap: Tap) -> String {
    let name = match tap.site {
        Site::ResidualPre => "hook_resid_pre",
        Site::AttentionOut => "hook_attn_out",
        Site::ResidualMid => "hook_resid_mid",
        // There it is normed rows before the factors of the norm that have a name.
        Site::MlpIn => return tap.to_string(),
        Site::MlpHidden => "mlp.hook_post",
        Site::MlpOut => "hook_mlp_out",
        Site::ResidualPost => "hook_resid_post",
    };
    format!("blocks.{}.{name}", tap.block)
}

/// The middles of equal bins.
fn middles(low: f32, high: f32, bins: usize) -> Vec<f32> {
    let width = (high - low) / bins as f32;
    (0..bins).map(|bin| low + width * (bin as f32 + 0.5)).collect()
}

impl Rows<'_> {
    fn release(&self) -> Value {
        json!({
            "name": self.options.set,
            "description": self.features.basis,
            "creatorName": "narrows",
            "creatorId": self.options.creator,
            "visibility": "PUBLIC",
            "isNewUi": false,
            "featured": false,
            "descriptionShort": self.features.basis,
            "urls": [],
            "creatorEmail": null,
            "creatorNameShort": "narrows",
            "defaultSourceSetName": null,
            "defaultSourceId": null,
            "defaultUmapSourceIds": [],
            "createdAt": self.created,
        })
    }

    fn about_model(&self) -> Value {
        let architecture = &self.model.architecture;
        json!({
            "id": self.features.model,
            "instruct": false,
            "creatorId": self.options.creator,
            "displayNameShort": self.features.model,
            "displayName": self.features.model,
            "tlensId": null,
            "dimension": architecture.width,
            "visibility": "PUBLIC",
            "defaultSourceSetName": null,
            "defaultSourceId": null,
            "inferenceEnabled": false,
            "layers": architecture.layers,
            "neuronsPerLayer": architecture.hidden,
            "createdAt": self.created,
            "owner": "",
            "updatedAt": self.created,
            "website": null,
        })
    }

    fn source_set(&self) -> Value {
        json!({
            "modelId": self.features.model,
            "name": self.options.set,
            "creatorId": self.options.creator,
            "hasDashboards": true,
            "visibility": "PUBLIC",
            "description": format!("{} at {}", self.features.basis, self.features.tap),
            "type": "",
            "creatorName": "narrows",
            "urls": [],
            "creatorEmail": null,
            "releaseName": self.options.set,
            "defaultOfModelId": null,
            "defaultRange": 1,
            "defaultShowBreaks": true,
            "showDfa": false,
            "showCorrelated": false,
            "showHeadAttribution": false,
            "showUmap": false,
            "createdAt": self.created,
        })
    }

    fn about_source(&self) -> Value {
        json!({
            "id": self.source,
            "modelId": self.features.model,
            "setName": self.options.set,
            "creatorId": self.options.creator,
            "hasDashboards": true,
            "inferenceEnabled": false,
            "inferenceHosts": [],
            "saelensConfig": null,
            "saelensRelease": null,
            "saelensSaeId": null,
            "hfRepoId": null,
            "hfFolderId": null,
            "visibility": "PUBLIC",
            "defaultOfModelId": null,
            "hasUmap": false,
            "hasUmapLogSparsity": false,
            "hasUmapClusters": false,
            "num_prompts": self.windows.sequences(),
            "num_tokens_in_prompt": self.windows.length,
            "dataset": self.options.dataset,
            "notes": null,
            "createdAt": self.created,
        })
    }

    fn words(&self, weights: &[TokenWeight]) -> Vec<String> {
        weights.iter().map(|own| self.model.tokenizer.token(own.token)).collect()
    }

    fn feature(&self, record: &FeatureRecord) -> Value {
        let values = |weights: &[TokenWeight]| weights.iter().map(|w| w.weight).collect::<Vec<_>>();
        let (near, cosines): (Vec<usize>, Vec<f32>) = record.near.iter().copied().unzip();
        let middles_of = |logits: &LogitHistogram| {
            let LogitHistogram { least, most, counts } = logits;
            (counts.clone(), middles(*least, *most, counts.len()))
        };
        let (logit_counts, logit_middles) =
            record.logits.as_ref().map(middles_of).unwrap_or_default();
        json!({
            "modelId": self.features.model,
            "layer": self.source,
            "index": record.feature.to_string(),
            "creatorId": self.options.creator,
            "createdAt": self.created,
            "maxActApprox": record.largest,
            "hasVector": false,
            "vector": [],
            "vectorLabel": null,
            "vectorDefaultSteerStrength": 10,
            "hookName": hook_name(self.tap),
            "topkCosSimIndices": near,
            "topkCosSimValues": cosines,
            "neuron_alignment_indices": [],
            "neuron_alignment_values": [],
            "neuron_alignment_l1": [],
            "correlated_neurons_indices": [],
            "correlated_neurons_pearson": [],
            "correlated_neurons_l1": [],
            "correlated_features_indices": [],
            "correlated_features_pearson": [],
            "correlated_features_l1": [],
            "neg_str": self.words(&record.suppressed),
            "neg_values": values(&record.suppressed),
            "pos_str": self.words(&record.promoted),
            "pos_values": values(&record.promoted),
            "frac_nonzero": record.density,
            "freq_hist_data_bar_heights": record.histogram,
            "freq_hist_data_bar_values": middles(0.0, record.largest, record.histogram.len()),
            "logits_hist_data_bar_heights": logit_counts,
            "logits_hist_data_bar_values": logit_middles,
            "decoder_weights_dist": [],
            "sourceSetName": self.options.set,
        })
    }

    fn activations(&self, record: &FeatureRecord) -> Vec<Value> {
        let mut all: Vec<(&Context, [f64; 3])> = Vec::new();
        let largest = f64::from(record.largest);
        all.extend(record.top.iter().map(|context| (context, [-1.0, largest, -1.0])));
        for (from_top, band) in record.bands.iter().enumerate() {
            let place = BANDS - 1 - from_top;
            let end = |place: usize| largest * place as f64 / BANDS as f64;
            // Bins divide a band evenly.
            let bins = record.histogram.len() / BANDS;
            let codes: u32 = record.histogram[place * bins..(place + 1) * bins].iter().sum();
            let share = f64::from(codes) / self.features.tokens.max(1) as f64;
            let bin = [end(place), end(place + 1), share];
            all.extend(band.iter().map(|context| (context, bin)));
        }
        let numbered = all.into_iter().enumerate();
        numbered
            .map(|(number, (context, bin))| self.activation(record, number, context, bin))
            .collect()
    }

    fn activation(
        &self,
        record: &FeatureRecord,
        number: usize,
        context: &Context,
        [low, high, contains]: [f64; 3],
    ) -> Value {
        let codes = &context.codes;
        let largest = codes.iter().copied().fold(0.0, f32::max);
        let tokens: Vec<String> =
            context.tokens.iter().map(|&token| self.model.tokenizer.token(token)).collect();
        json!({
            "id": self.id(record.feature, number),
            "tokens": tokens,
            "index": record.feature.to_string(),
            "layer": self.source,
            "modelId": self.features.model,
            "maxValue": largest,
            "maxValueTokenIndex": codes.iter().position(|code| *code == largest),
            "minValue": codes.iter().copied().fold(f32::INFINITY, f32::min),
            "values": codes,
            "creatorId": self.options.creator,
            "dataSource": null,
            "dataIndex": null,
            "dfaValues": [],
            "dfaTargetIndex": null,
            "dfaMaxValue": null,
            "createdAt": self.created,
            "lossValues": [],
            "logitContributions": null,
            "binMin": low,
            "binMax": high,
            "binContains": contains,
            "qualifyingTokenIndex": context.peak,
        })
    }

    /// An id of 25 letters as cuid has them, the same whenever the same is exported.
    fn id(&self, feature: usize, number: usize) -> String {
        let of = format!("{}\0{}\0{feature}\0{number}", self.features.model, self.source);
        format!("c{}", &blake3::hash(of.as_bytes()).to_hex()[..24])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_in_utc() {
        // As `date -u -d @… +%FT%T` tells them.
        for (seconds, told) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_399, "2000-02-28T23:59:59"),
            (951_782_400, "2000-02-29T00:00:00"),
            (1_735_689_599, "2024-12-31T23:59:59"),
            (4_107_542_400, "2100-03-01T00:00:00"),
        ] {
            let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(timestamp(moment), told);
        }
    }
}
