//! What dictionaries came to, as a table; seeds of one kind together with mean and deviation.

use narrows::evaluate::Spread;
use narrows::recipe::DictionaryRecipe;
use narrows::train::dictionary::{DictionaryOptions, DictionaryRecord, Kind};
use serde_json::{Value, json};

use crate::commands::dictionaries::ranged;
use crate::commands::table::{spread, table as table_of};

/// One line for each dictionary, or for each that differs in more than its seed; `names` are those of
/// their folders.
pub(super) fn table(
    options: &[DictionaryOptions],
    last: &[&DictionaryRecord],
    names: &[String],
) -> String {
    let mut groups: Vec<(&DictionaryOptions, Vec<&DictionaryRecord>)> = Vec::new();
    for (own, &record) in options.iter().zip(last) {
        let same = |other: &DictionaryOptions| {
            DictionaryOptions { seed: own.seed, ..other.clone() } == *own
        };
        match groups.iter_mut().find(|(other, _)| same(other)) {
            Some((_, records)) => records.push(record),
            None => groups.push((own, vec![record])),
        }
    }
    let with_threshold = last.iter().any(|record| record.l0_at_threshold.is_some());
    let mut headings = vec!["folder", "kind", "#latents", "#k or λ", "#FVU", "#L0", "#dead"];
    if with_threshold {
        headings.insert(6, "#L0 at τ");
    }
    let mut lines = Vec::new();
    for (own, records) in &groups {
        let column = |of: fn(&DictionaryRecord) -> f64, digits: usize| {
            let values: Vec<f64> = records.iter().map(|record| of(record)).collect();
            spread(Spread::of(&values), digits)
        };
        let members: Vec<&str> =
            records.iter().map(|record| names[record.dictionary].as_str()).collect();
        let mut line = vec![
            ranged(&members),
            word(own.kind),
            own.latents.to_string(),
            sparsity(own, records),
            column(|own| own.fraction_variance_unexplained, 4),
            column(|own| own.l0, 1),
            match records.first().is_some_and(|record| can_be_dead(own, record.rows)) {
                true => column(|own| own.dead as f64, 0),
                false => "–".to_owned(),
            },
        ];
        if with_threshold {
            let measured = records.iter().all(|record| record.l0_at_threshold.is_some());
            let of = |record: &DictionaryRecord| record.l0_at_threshold.unwrap_or(0.0);
            line.insert(6, if measured { column(of, 1) } else { "–".to_owned() });
        }
        lines.push(line);
    }
    // A dictionary alone lies in the run folder itself.
    if options.len() == 1 {
        lines.iter_mut().for_each(|line| drop(line.remove(0)));
        return table_of(&headings[1..], &lines);
    }
    table_of(&headings, &lines)
}

/// Whether a latent may have had no code for as many rows as make it dead.
pub(super) fn can_be_dead(own: &DictionaryOptions, rows: u64) -> bool {
    rows >= own.dead_after
}

fn word(kind: Kind) -> String {
    json!(kind).as_str().unwrap_or_default().to_owned()
}

/// What makes the codes sparse: k, or λ as it was in the end.
fn sparsity(own: &DictionaryOptions, records: &[&DictionaryRecord]) -> String {
    match own.penalised() {
        true => {
            records.first().map_or(String::new(), |last| format!("{:.3e}", last.sparsity_weight))
        }
        false => own.k.to_string(),
    }
}

/// Key and what it is.
const KEYS: &[(&str, &str)] = &[
    ("seed", "seed of everything random"),
    ("data.path", "a folder of shards, an activation cache, npy, safetensors, demo:superposition"),
    ("data.target", "rows that they are to be turned into: a transcoder"),
    (
        "data.lm",
        "or { model = \"DIR\", text = [\"FILE\"], tap = \"blocks.2.residual_post\" }: see --lm",
    ),
    ("sweep", "what each dictionary is made with in turn: \"k=16,32; width=4x,8x; seed=0..4\""),
    ("dictionary.kind", "batchtopk, topk, matryoshka, jumprelu, relu, gated"),
    ("dictionary.latents", "a number, or a multiple of the columns"),
    ("dictionary.k", "topk, batchtopk, matryoshka: codes of a row"),
    ("dictionary.sparsity_weight", "relu, jumprelu, gated: weight of the penalty"),
    (
        "dictionary.target_l0",
        "the L0 that the weight is steered to; of topk, batchtopk, matryoshka k",
    ),
    ("dictionary.tied", "relu: the decoder is the encoder, rows of length 1"),
    (
        "dictionary.decoder_norm",
        "weighted: free, counted with the codes; unit: by default of jumprelu, gated, tied",
    ),
    (
        "dictionary.centred",
        "take the decoder's bias from the input; by default true, but not of tied or a transcoder",
    ),
    ("dictionary.skip", "transcoders: pass the input to the output through a matrix of its own"),
    ("dictionary.penalty", "jumprelu: step, tanh, quadratic"),
    ("dictionary.threshold", "jumprelu: the thresholds at the start"),
    ("dictionary.bandwidth", "jumprelu: width over which a step counts as a slope"),
    ("dictionary.tanh_scale", "jumprelu: of the tanh penalty"),
    ("dictionary.slope_to_encoder", "jumprelu: that slope also moves the encoder"),
    ("dictionary.widths", "matryoshka: nested widths; by default n/16, n/8, n/4, n/2, n"),
    ("dictionary.revival_weight", "of the loss that revives dead latents; relu has none"),
    ("dictionary.revival_k", "dead latents of a row in it; by default half the columns"),
    ("dictionary.dead_after", "rows without a code that make a latent dead"),
    (
        "dictionary.resample_at",
        "numbers of rows, none below dead_after, after which dead latents are drawn anew",
    ),
    ("dictionary.seed", "of its first weights; by default that of all"),
    ("train.rows", "rows to learn from; by default all once"),
    ("train.batch_size", "rows of a step"),
    ("train.learning_rate", "by default 2e-4/√(latents/16384)"),
    ("train.warm_up", "the part of training in which it rises"),
    ("train.decay", "the part of training, its last, in which it falls to 0"),
    ("train.sparsity_warm_up", "the part in which the penalty rises, unless target_l0 steers it"),
    ("train.k_warm_up", "the part in which k falls from the columns to its value"),
    ("train.gradient_clip", "the largest length of all gradients together"),
    ("train.momentum", "β₁ of Adam"),
    ("train.second_momentum", "β₂ of Adam"),
    ("train.scale", "bring rows to length √d on average; undone in what is kept"),
    ("train.shuffle", "global, none, or { blocks = { rows = 4096 } } for slow disks"),
    (
        "train.log_every",
        "rows between two lines of the history; by default a fiftieth, at most 100000, at least 4 batches",
    ),
    ("train.checkpoint_seconds", "seconds between checkpoints"),
];

/// Every key with its default, as a recipe.
pub(super) fn printed_recipe() -> String {
    let mut recipe = json!(DictionaryRecipe::default());
    recipe["dictionary"] = json!(DictionaryOptions::default());
    recipe["dictionary"]["latents"] = json!("8x");
    let mut text = String::from(
        "# Every key with its default; what stands behind a # has none.\n# One [[dictionary]] for \
         each makes several.\n\n[model]\nkind = \"dictionary\"\n",
    );
    let usual = word(Kind::default());
    let mut above = String::new();
    let mut table = "";
    for (key, about) in KEYS {
        let (within, name) = key.rsplit_once('.').unwrap_or(("", key));
        let value = key.split('.').fold(&recipe, |table, part| &table[part]);
        let line = match value {
            Value::Null => format!("# {name} ="),
            Value::Array(none) if none.is_empty() => format!("# {name} = []"),
            value if within == "dictionary" && !DictionaryRecipe::reads(&usual, name) => {
                format!("# {name} = {value}")
            }
            value => format!("{name} = {value}"),
        };
        let line = format!("{line:<28} # {about}\n");
        if within.is_empty() {
            above += &line;
            continue;
        }
        if within != table {
            text += &format!("\n[{within}]\n");
            table = within;
        }
        text += &line;
    }
    above + "\n" + &text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_recipe_is_one_and_holds_every_key() {
        let read: Value = toml::from_str(&printed_recipe()).expect("legal TOML");
        let keys = |value: &Value| -> Vec<String> {
            let keys = value.as_object().into_iter().flatten().map(|(key, _)| key.clone());
            let mut keys: Vec<String> = keys.collect();
            keys.sort();
            keys
        };
        let told = |table: &str| -> Vec<String> {
            let own = KEYS.iter().filter_map(|(key, _)| key.strip_prefix(table));
            let mut own: Vec<String> = own.map(str::to_owned).collect();
            own.sort();
            own
        };
        assert_eq!(told("dictionary."), keys(&json!(DictionaryOptions::default())));
        assert_eq!(told("train."), keys(&json!(DictionaryRecipe::default())["train"]));
        let recipe = DictionaryRecipe::from_value(&read).expect("a legal recipe");
        let own = recipe.dictionaries(16).expect("legal dictionaries");
        assert_eq!(own, [DictionaryOptions { latents: 128, ..Default::default() }]);
    }

    #[test]
    fn the_book_has_every_key() {
        let book = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/settings.md");
        let book = std::fs::read_to_string(book).expect("the book");
        let (_, book) = book.split_once("## Dictionaries").expect("a section of dictionaries");
        for (key, _) in KEYS.iter().filter(|(key, _)| *key != "seed") {
            assert!(book.contains(&format!("| `{key}` |")), "{key}");
        }
    }
}
