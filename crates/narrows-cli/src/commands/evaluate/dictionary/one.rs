//! One dictionary: what it does to rows, beside PCA.

use std::io::Write;

use anyhow::Result;
use narrows::evaluate::{Baselines, DictionaryScores, Scores};
use narrows::model::{Autoencoder, Dictionary};
use narrows::report::count;
use serde_json::{Value, json};

use super::super::super::dictionaries::{Rows, Shelf, open, pca};
use super::super::super::report::dictionary_scores;
use super::super::super::table::table;
use super::super::super::{Screen, figure};
use super::super::{EvaluateArgs, remember};
use super::baselines::{baselines, print_baselines};
use super::beside::{Beside, FoundBeside, likeness, print_lines};

/// What one dictionary came to.
struct Found {
    scores: DictionaryScores,
    /// PCA with as many components as latents fire per row.
    pca: Option<(usize, Scores)>,
    beside: FoundBeside,
    baselines: Option<Baselines>,
}

pub(super) fn evaluate(args: &EvaluateArgs, shelf: &Shelf, rows: &Rows) -> Result<()> {
    let dictionary = open(&shelf.folder)?;
    // Before the rows are measured, which takes longer.
    let beside = Beside::new(args, rows)?;
    rows.check(&dictionary)?;
    let beside = beside.measure(&dictionary)?;
    let scores = rows.measure(&dictionary)?;
    let found = Found {
        pca: pca(shelf, rows, scores.l0)?.map(|(components, found)| (components, found.scores)),
        beside,
        baselines: args
            .baselines
            .then(|| baselines(rows, &[scores.l0], dictionary.latent_dim()))
            .transpose()?,
        scores,
    };
    let told = found.as_json(&dictionary);
    if shelf.is_own() {
        remember(&shelf.folder, "evaluate", &rows.dataset.name, &told)?;
    }
    if args.output.json {
        writeln!(Screen, "{told:#}")?;
    } else {
        found.print(&dictionary)?;
    }
    if found.scores.truth.is_some() && shelf.trained_on() == Some(args.on.data()) {
        args.output.say(
            "note: these are rows that it was trained on; `first=…` gives later ones of the same truth",
        );
    }
    Ok(())
}

impl Found {
    fn as_json(&self, dictionary: &Dictionary) -> Value {
        let mut told = json!(self.scores);
        told["input_dim"] = json!(dictionary.input_dim());
        told["latent_dim"] = json!(dictionary.latent_dim());
        if let Some((components, scores)) = &self.pca {
            told["pca"] = json!(scores);
            told["pca"]["components"] = json!(components);
        }
        self.beside.tell(&mut told);
        if let Some(baselines) = &self.baselines {
            told["baselines"] = json!(baselines);
        }
        told
    }

    fn print(&self, dictionary: &Dictionary) -> Result<()> {
        writeln!(
            Screen,
            "{} rows, {} columns through {} latents ({})\n",
            count(self.scores.rows),
            dictionary.input_dim(),
            dictionary.latent_dim(),
            dictionary.gate.name(),
        )?;
        let beside = |name: &str| {
            let (_, pca) = self.pca.as_ref()?;
            match name {
                "squared_error_per_row" => Some(pca.squared_error_per_row),
                "fraction_variance_unexplained" => Some(pca.fraction_variance_unexplained),
                "explained_variance" => Some(pca.explained_variance),
                _ => None,
            }
        };
        let lines = dictionary_scores(&self.scores).into_iter().map(|score| {
            let mut line = vec![score.name.clone(), figure(score.value)];
            if self.pca.is_some() {
                line.push(beside(&score.name).map_or_else(String::new, figure));
            }
            line
        });
        let lines: Vec<_> = lines.collect();
        let pca = self.pca.as_ref().map(|(components, _)| components);
        let pca = pca.map(|components| format!("#PCA, {components} components"));
        let headings: Vec<&str> =
            ["score", "#dictionary"].into_iter().chain(pca.as_deref()).collect();
        write!(Screen, "{}", table(&headings, &lines))?;
        if let Some(truth) = &self.scores.truth {
            let features = truth.likeness.latents_of_other;
            let l0 = figure(truth.true_l0);
            writeln!(Screen, "\nthe truth is known: {features} features, {l0} of them per row\n")?;
            let mut lines = vec![
                ("precision", truth.precision),
                ("recall", truth.recall),
                ("f1", truth.f1),
                ("accuracy", truth.accuracy),
            ];
            lines.extend(likeness(&truth.likeness, "truth"));
            print_lines("latents against features", &lines)?;
        }
        self.beside.print()?;
        self.baselines.iter().try_for_each(print_baselines)
    }
}
