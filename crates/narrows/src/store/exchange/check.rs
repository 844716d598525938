//! What is likely to mislead in a dictionary that somebody else wrote.

use serde::Serialize;
use serde_json::Value;

use super::{About, Library};
use crate::compute::{Matrix, multiply, row_norms};
use crate::model::Dictionary;
use crate::model::dictionary::Gate;
use crate::random::Random;

/// Norms of the decoder of which the largest is longer than the least by more than this part of it are said
/// to be unfolded.
const EQUAL: f32 = 1e-3;
/// Unit rows nearer to each other than this are the same direction.
const SAME: f32 = 1e-4;

/// One thing that is likely to mislead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A name for programs.
    pub check: &'static str,
    /// What was found.
    pub found: String,
    /// What it means.
    pub meaning: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// Looks for what is likely to mislead: numbers that are none, norms and factors that were not folded,
/// thresholds that are rounded or unset, the bias of the decoder taken off twice, explained variance by
/// an older definition, directions that are zero or come twice.
pub fn check(dictionary: &Dictionary, about: &About) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(found) = not_finite(dictionary) {
        findings.push(Finding {
            check: "not_finite",
            found,
            meaning: "every code that it touches is not a number either",
            remedy: "fetch it again; if it is so at the source, it cannot be used",
        });
        // The other checks compare numbers.
        return findings;
    }
    findings.extend(activation_norm(about));
    findings.extend(decoder_norms(dictionary));
    findings.extend(thresholds(dictionary, about));
    findings.extend(decoder_bias(dictionary, about));
    findings.extend(explained_variance(about));
    findings.extend(directions(dictionary));
    findings
}

/// What is not a finite number, if anything is.
pub(super) fn not_finite(dictionary: &Dictionary) -> Option<String> {
    let gate: [&[f32]; 2] = match &dictionary.gate {
        Gate::Threshold(threshold) => [threshold, &[]],
        Gate::Gated { log_magnitude, magnitude_bias } => [log_magnitude, magnitude_bias],
        _ => [&[], &[]],
    };
    let parts: [(&str, &[f32]); 7] = [
        ("encoder", dictionary.encoder.as_slice()),
        ("bias of the encoder", &dictionary.encoder_bias),
        ("decoder", dictionary.decoder.as_slice()),
        ("bias of the decoder", &dictionary.decoder_bias),
        ("skip", dictionary.skip.as_ref().map_or(&[], Matrix::as_slice)),
        ("gate", gate[0]),
        ("gate", gate[1]),
    ];
    let count = |values: &[f32]| values.iter().filter(|value| !value.is_finite()).count();
    let (name, values) = parts.into_iter().find(|(_, values)| count(values) > 0)?;
    let (bad, all) = (count(values), values.len());
    Some(format!("{bad} of {all} numbers of the {name} are infinite or not a number"))
}

fn activation_norm(about: &About) -> Option<Finding> {
    let asked = about.config["normalize_activations"].as_str()?;
    let folded = about.notes.iter().any(|note| note.contains("of the rows folded"));
    let meant = ["expected_average_only_in", "covariance_whitening"].contains(&asked);
    (about.library == Library::SaeLens && meant && !folded).then(|| Finding {
        check: "unfolded_activation_norm",
        found: format!("normalize_activations is '{asked}', and what it multiplies rows by is not here"),
        meaning: "rows must be brought to the scale of training first, which no reader does: codes of rows \
                  as they are differ from those it was trained for",
        remedy: "save it for inference with SAELens (`save_inference_model`), or put the \
                 activation_scaler.json of its training beside it and convert it again",
    })
}

fn decoder_norms(dictionary: &Dictionary) -> Option<Finding> {
    let norms = row_norms(&dictionary.decoder);
    let alive = norms.iter().copied().filter(|norm| *norm > 0.0);
    let (low, high) =
        alive.fold((f32::INFINITY, 0.0_f32), |(low, high), n| (low.min(n), high.max(n)));
    let by_norm = matches!(
        dictionary.gate,
        Gate::TopK { by_norm: true, .. } | Gate::AbsTopK { by_norm: true, .. }
    );
    let counts = matches!(dictionary.gate, Gate::TopK { .. } | Gate::AbsTopK { .. });
    (high > low * (1.0 + EQUAL) && !by_norm).then(|| Finding {
        check: "unfolded_decoder_norms",
        found: format!("norms of decoder rows lie between {low} and {high}"),
        meaning: "how large a code is says nothing across latents, and scores that compare or add codes \
                  are in arbitrary units; rebuilt rows are not affected",
        remedy: match counts {
            true => "multiply each code by the norm of its decoder row when codes are compared; do not fold the \
                     norms into the encoder, which changes which latents win",
            false => "fold the norms into the encoder before codes are compared (`fold_W_dec_norm` in SAELens)",
        },
    })
}

fn thresholds(dictionary: &Dictionary, about: &About) -> Vec<Finding> {
    let Gate::Threshold(threshold) = &dictionary.gate else { return Vec::new() };
    let mut findings = Vec::new();
    // As the file keeps it: read, all are float32.
    let kind = about.kinds.iter().find(|(name, _)| name.contains("threshold"));
    if let Some((name, kind)) = kind.filter(|(_, kind)| kind.ends_with("float16")) {
        findings.push(Finding {
            check: "rounded_thresholds",
            found: format!("'{name}' is kept as {kind}"),
            meaning: "thresholds are rounded to two or three digits, and latents near theirs fire or do not \
                      fire otherwise than in training",
            remedy: "take a version whose thresholds are float32",
        });
    }
    let count = |matches: fn(&f32) -> bool| threshold.iter().filter(|t| matches(t)).count();
    let unset = count(|t| *t == -1.0);
    if unset > 0 || count(|t| *t == 0.0) == threshold.len() {
        findings.push(Finding {
            check: "unset_threshold",
            found: match (unset, threshold.len()) {
                (0, all) => format!("all {all} thresholds are 0"),
                (unset, all) => format!("{unset} of {all} thresholds are −1"),
            },
            meaning: "the threshold for inference was never learned: every positive pre-activation is a code, \
                      and codes are far denser than the k of training",
            remedy: "train beyond `threshold_start_step`, or set the threshold from data so that k codes \
                     a row remain",
        });
    }
    findings
}

/// A bias of the encoder that is `−E·c` already takes c from the rows; a centred dictionary takes it again.
fn decoder_bias(dictionary: &Dictionary, about: &About) -> Option<Finding> {
    let told = about.config["apply_b_dec_to_input"].is_null() && about.library == Library::SaeLens;
    let square = dictionary.encoder.cols() == dictionary.decoder.cols();
    let bias = &dictionary.encoder_bias;
    let c = Matrix::from_rows(dictionary.decoder_bias.len(), 1, dictionary.decoder_bias.clone())
        .ok()?;
    let mut share = Matrix::zeros(dictionary.encoder.rows(), 1);
    if square {
        multiply(dictionary.encoder.view(), c.view(), share.view_mut());
    }
    let squares = |values: &mut dyn Iterator<Item = f32>| -> f64 {
        values.map(|value| f64::from(value).powi(2)).sum()
    };
    let shift = squares(&mut share.as_slice().iter().copied());
    let sum = squares(&mut share.as_slice().iter().zip(bias).map(|(share, bias)| share + bias));
    if dictionary.centred && shift > 0.0 && sum < 0.01 * shift {
        return Some(Finding {
            check: "decoder_bias_twice",
            found: "the bias of the encoder is −E·c, and rows are centred by c as well".to_owned(),
            meaning: "the bias of the decoder is taken from the rows twice: somebody folded it and did not \
                      say so",
            remedy: "set apply_b_dec_to_input to false, and compare codes with the source",
        });
    }
    (told && !about.architecture.ends_with("transcoder")).then_some(Finding {
        check: "decoder_bias_unsaid",
        found: "cfg.json does not say apply_b_dec_to_input".to_owned(),
        meaning: "SAELens then takes the bias of the decoder from the rows; what wrote the file may not have",
        remedy: "compare codes with the source, and say it in cfg.json",
    })
}

fn explained_variance(about: &About) -> Option<Finding> {
    let mut within = vec![(String::new(), &about.metadata)];
    while let Some((name, value)) = within.pop() {
        match value {
            Value::Object(entries) => within.extend(entries.iter().map(|(k, v)| (k.clone(), v))),
            Value::Array(items) => within.extend(items.iter().map(|item| (name.clone(), item))),
            Value::Number(_) if name.contains("explained_variance") => {
                return Some(Finding {
                    check: "legacy_explained_variance",
                    found: format!("the metadata tell of {name} = {value}"),
                    meaning: "two definitions are in use: about the mean of the rows, and the older one that \
                              averages the ratios of single rows; for a year SAELens measured it about zero, \
                              where 0.98 can stand for 0.78",
                    remedy: "measure it again on rows of your own: `narrows evaluate`",
                });
            }
            _ => {}
        }
    }
    None
}

fn directions(dictionary: &Dictionary) -> Vec<Finding> {
    let norms = row_norms(&dictionary.decoder);
    let mut findings = Vec::new();
    let dead = norms.iter().filter(|norm| **norm == 0.0).count();
    if dead > 0 {
        findings.push(Finding {
            check: "dead_directions",
            found: format!("{dead} of {} decoder rows are zero", norms.len()),
            meaning: "these latents change nothing that is rebuilt",
            remedy: "leave them out when latents are counted",
        });
    }
    let pairs = duplicates(&dictionary.decoder, &norms);
    if let Some((a, b)) = pairs.first() {
        findings.push(Finding {
            check: "duplicate_directions",
            found: format!("{} pairs of decoder rows are the same, such as {a} and {b}", pairs.len()),
            meaning: "two latents stand for one direction: counts of latents and of what they find are too \
                      large",
            remedy: "count them once, or train again with another seed",
        });
    }
    findings
}

/// Pairs of rows in the same direction. Rows near each other have projections near each other, so only
/// neighbours along one random line are compared.
fn duplicates(decoder: &Matrix, norms: &[f32]) -> Vec<(usize, usize)> {
    let mut random = Random::stream(0, "line of duplicates");
    let line: Vec<f32> = (0..decoder.cols()).map(|_| random.normal() as f32).collect();
    let length = line.iter().map(|v| v * v).sum::<f32>().sqrt();
    let alive = (0..decoder.rows()).filter(|&row| norms[row] > 0.0);
    let mut placed: Vec<(f32, usize)> = alive
        .map(|row| {
            let product: f32 = decoder.row(row).iter().zip(&line).map(|(a, b)| a * b).sum();
            (product / (norms[row] * length), row)
        })
        .collect();
    placed.sort_by(|a, b| a.0.total_cmp(&b.0));
    let apart = |a: usize, b: usize| -> f32 {
        let (x, y) = (decoder.row(a).iter(), decoder.row(b));
        x.zip(y).map(|(x, y)| (x / norms[a] - y / norms[b]).powi(2)).sum::<f32>().sqrt()
    };
    let mut pairs = Vec::new();
    for (index, &(place, row)) in placed.iter().enumerate() {
        let near = placed[index + 1..].iter().take_while(|(other, _)| other - place <= SAME);
        // The first of many equal ones is enough, or equal rows would be compared all with all.
        pairs.extend(near.map(|&(_, other)| (row, other)).find(|&(a, b)| apart(a, b) <= SAME));
    }
    pairs.into_iter().map(|(a, b)| (a.min(b), a.max(b))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::compute::scale_rows;

    use serde_json::json;

    use super::*;
    use crate::model::dictionary::RowScale;

    /// A dictionary with nothing to find, of 6 latents on 4 columns.
    fn sound() -> (Dictionary, About) {
        let mut random = Random::stream(0, "sound");
        let mut draw =
            |count: usize| -> Vec<f32> { (0..count).map(|_| random.normal() as f32).collect() };
        let mut decoder = Matrix::from_rows(6, 4, draw(24)).expect("fits");
        let inverse: Vec<f32> = row_norms(&decoder).iter().map(|norm| 1.0 / norm).collect();
        crate::compute::scale_rows(&mut decoder, &inverse);
        let dictionary = Dictionary {
            encoder: Matrix::from_rows(6, 4, draw(24)).expect("fits"),
            encoder_bias: draw(6),
            decoder,
            decoder_bias: draw(4),
            skip: None,
            centred: true,
            gate: Gate::Threshold(vec![0.5; 6]),
            row_scale: RowScale::None,
        };
        let about = About {
            library: Library::SaeLens,
            architecture: "jumprelu".to_owned(),
            kinds: BTreeMap::from([("threshold".to_owned(), "float32".to_owned())]),
            config: json!({"apply_b_dec_to_input": true, "normalize_activations": "none"}),
            metadata: json!({"l0": 12.0}),
            notes: Vec::new(),
        };
        (dictionary, about)
    }

    fn found(mar: impl FnOnce(&mut Dictionary, &mut About)) -> Vec<&'static str> {
        let (mut dictionary, mut about) = sound();
        mar(&mut dictionary, &mut about);
        check(&dictionary, &about).iter().map(|finding| finding.check).collect()
    }

    #[test]
    fn nothing_is_found_where_nothing_is() {
        assert_eq!(found(|_, _| {}), [""; 0]);
    }

    #[test]
    fn each_flaw_is_found_and_nothing_beside_it() {
        let threshold = |value: f32| Gate::Threshold(vec![value; 6]);
        assert_eq!(found(|d, _| d.encoder.as_mut_slice()[3] = f32::NAN), ["not_finite"]);
        assert_eq!(found(|d, _| d.gate = threshold(f32::INFINITY)), ["not_finite"]);
        assert_eq!(found(|d, _| d.gate = threshold(-1.0)), ["unset_threshold"]);
        assert_eq!(found(|d, _| d.gate = threshold(0.0)), ["unset_threshold"]);
        let one_is_set = |d: &mut Dictionary, _: &mut About| {
            let Gate::Threshold(own) = &mut d.gate else { panic!("has thresholds") };
            own[1..].fill(0.0);
        };
        assert_eq!(found(one_is_set), [""; 0]);
        let rounded = |_: &mut Dictionary, about: &mut About| {
            about.kinds.insert("threshold".to_owned(), "bfloat16".to_owned());
        };
        assert_eq!(found(rounded), ["rounded_thresholds"]);
        assert_eq!(found(|d, _| d.decoder.as_mut_slice()[0] += 3.0), ["unfolded_decoder_norms"]);
        // To fold norms changes which latents are among the largest, and only there.
        for (gate, folds) in [(Gate::TopK { k: 2, by_norm: false }, false), (Gate::Relu, true)] {
            let (mut dictionary, about) = sound();
            dictionary.gate = gate;
            dictionary.decoder.as_mut_slice()[0] += 3.0;
            let remedy = check(&dictionary, &about)[0].remedy;
            assert_eq!(remedy.starts_with("fold the norms into the encoder"), folds, "{remedy}");
            assert_eq!(remedy.contains("do not fold"), !folds, "{remedy}");
        }
        let short = |d: &mut Dictionary, _: &mut About| {
            let norms = row_norms(&d.decoder).into_iter().map(|norm| 0.1 / norm);
            scale_rows(&mut d.decoder, &norms.collect::<Vec<_>>());
        };
        assert_eq!(found(short), [""; 0], "of one length, though it is not 1");
        assert_eq!(found(|d, _| d.decoder.as_mut_slice()[..4].fill(0.0)), ["dead_directions"]);
        let twice = |d: &mut Dictionary, _: &mut About| {
            let row = d.decoder.row(1).to_vec();
            d.decoder.as_mut_slice()[16..20].copy_from_slice(&row);
        };
        assert_eq!(found(twice), ["duplicate_directions"]);
        let folded = |d: &mut Dictionary, _: &mut About| {
            for j in 0..6 {
                let row = d.encoder.row(j).iter().zip(&d.decoder_bias);
                d.encoder_bias[j] = -row.map(|(e, c)| e * c).sum::<f32>();
            }
        };
        assert_eq!(found(folded), ["decoder_bias_twice"]);
        assert_eq!(
            found(|_, about| about.config["apply_b_dec_to_input"] = Value::Null),
            ["decoder_bias_unsaid"]
        );
        let scaled = json!("expected_average_only_in");
        assert_eq!(
            found(|_, about| about.config["normalize_activations"] = scaled),
            ["unfolded_activation_norm"]
        );
        let metrics = json!({"evals": [{"explained_variance_legacy": 0.98}]});
        assert_eq!(found(|_, about| about.metadata = metrics), ["legacy_explained_variance"]);
    }
}
