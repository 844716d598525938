//! Every key of a recipe with a word on it, printed as a recipe.

use narrows::recipe::{Kind, Recipe};
use serde_json::Value;

/// Key, what it is, and an example for those that have no default.
const KEYS: &[(&str, &str, &str)] = &[
    ("seed", "seed of everything random", ""),
    (
        "storey",
        "one [[storey]] per width, or none: kind (autoencoder, pca), corruption, sparsity, epochs, \
         learning_rate of its own",
        "[{ kind = \"pca\" }, { epochs = 5 }]",
    ),
    (
        "data.path",
        "a file, a folder of pictures, PATH#name in an npz, demo:digits",
        "\"train.npy\"",
    ),
    ("data.labels", "a file with one label per row", "\"labels.csv\""),
    ("data.label_column", "or the column of the table that holds them", "\"class\""),
    ("data.colour", "keep the colours of pictures", ""),
    ("data.resize", "width and height that pictures are brought to", "[92, 112]"),
    (
        "prepare.scale",
        "none, centre, standardise, unit_range; auto: 8-bit numbers / 255, tables standardised, \
         arrays as they are",
        "",
    ),
    ("prepare.row_norm", "divide each row by its length first", ""),
    ("prepare.missing", "mean: the column's mean; em: by expectation and maximisation (PCA)", ""),
    ("model.kind", "pca, linear, network or stack (layers learned one after the other)", ""),
    ("model.components", "a number, a share of the variance, all, mle, parallel, elbow", ""),
    ("model.solver", "covariance, gram, thin_svd, randomized, streaming", ""),
    ("model.whiten", "divide codes by the standard deviation of their component", ""),
    ("model.oversampling", "randomized: dimensions beyond those kept", ""),
    (
        "model.power_iterations",
        "randomized: passes; 7 below a tenth of all components, else 4",
        "7",
    ),
    ("model.latent_dim", "columns of a code; by default half of the rows', at most 32", "32"),
    ("model.layers", "columns of each layer of the encoder; the last is the code", ""),
    ("model.decoder_layers", "the decoder's, but the last; by default mirrored", "[64]"),
    ("model.tied", "the decoder has the encoder's weights, transposed", ""),
    (
        "model.activation",
        "identity, relu, leaky_relu, elu, gelu, gelu_tanh, silu, sigmoid, tanh, softplus",
        "",
    ),
    ("model.code_activation", "of the code", ""),
    (
        "model.output_activation",
        "of the output; by default sigmoid for data in 0 … 1, else identity",
        "\"sigmoid\"",
    ),
    (
        "model.initialisation",
        "he, glorot, orthogonal; auto: as suits the activation; pca: begin as PCA of the rows",
        "",
    ),
    ("model.normalisation", "between layers: none, batch, layer", ""),
    ("model.dropout", "the probability that a number between layers is dropped", ""),
    ("model.top_k", "how many numbers of a code are kept, if not all", "10"),
    ("model.fine_tune_epochs", "of the whole in the end; by default train.epochs, 0: none", "10"),
    ("model.fine_tune_corruption", "corrupt its input too, as that of the first storey", ""),
    (
        "objective.loss",
        "squared_error, binary_cross_entropy (default with a sigmoid output)",
        "\"squared_error\"",
    ),
    ("objective.corruption.kind", "of the input: none, gaussian, salt_and_pepper, masking", ""),
    ("objective.corruption.sigma", "gaussian: standard deviation", ""),
    ("objective.corruption.rate", "salt_and_pepper, masking: probability of each number", ""),
    (
        "objective.corruption.emphasis",
        "weights of corrupted and clean numbers in the loss",
        "[1.0, 0.5]",
    ),
    ("objective.sparsity.kind", "penalty on the code: none, l1, kl", ""),
    ("objective.sparsity.weight", "its weight in the loss", ""),
    ("objective.sparsity.target", "kl: the mean activation that is wanted", ""),
    ("objective.sparsity.memory", "kl: share of the running mean that is kept; 0: the batch", ""),
    ("train.optimizer", "sgd (with momentum), adam, adamw, lbfgs (small sets)", ""),
    ("train.learning_rate", "the step size", ""),
    ("train.momentum", "how much of its last step a step keeps", ""),
    ("train.second_momentum", "adam: how much of the mean square of the gradient is kept", ""),
    ("train.weight_decay", "how strongly weights are drawn to zero", ""),
    ("train.gradient_clip", "the largest norm of the gradient", "1.0"),
    ("train.batch_size", "rows of a step in the first epoch", ""),
    ("train.batch_growth", "what the batch is multiplied by after each epoch, up to all rows", ""),
    ("train.epochs", "passes over the rows", ""),
    ("train.schedule", "of the learning rate: constant, cosine, step, one_cycle", ""),
    ("train.warm_up", "the share of training in which the learning rate rises", ""),
    ("train.validation", "the share of the rows that is kept out to measure", ""),
    ("train.patience", "epochs without a better validation loss before it stops", "10"),
    ("train.average", "how much of itself the running average of the weights keeps; 0: none", ""),
    ("train.checkpoint_seconds", "seconds between checkpoints", ""),
    ("train.augmentation.share", "the share of the pictures that is changed in each epoch", ""),
    ("train.augmentation.shift", "the largest shift of a picture, in pixels", ""),
    ("train.augmentation.rotation", "the largest rotation of a picture, in degrees", ""),
    ("train.augmentation.elastic", "deviation of its elastic distortion, in pixels", ""),
    ("train.augmentation.undo", "the picture as it was is to come out: changes are noise", ""),
];

/// A recipe with every key that a kind of model reads, at its default.
pub(super) fn printed(kind: Kind) -> String {
    let defaults = serde_json::to_value(Recipe::of(kind)).expect("a recipe is plain data");
    let mut text = String::from(
        "# Every key with its default; what stands behind a # has none, or needs another value of a \
         key.\n",
    );
    let mut table = "";
    for &(key, about, example) in KEYS.iter().filter(|(key, ..)| Recipe::of(kind).may_read(key)) {
        let (within, name) = key.rsplit_once('.').unwrap_or(("", key));
        if within != table {
            text += &format!("\n[{within}]\n");
            table = within;
        }
        let value = key.split('.').fold(&defaults, |table, part| &table[part]);
        let line = match value {
            Value::Null => format!("# {name} = {example}"),
            Value::Array(none) if none.is_empty() => format!("# {name} = {example}"),
            value if Recipe::of(kind).reads(key) => format!("{name} = {value}"),
            value => format!("# {name} = {value}"),
        };
        text += &format!("{line:<28} # {about}\n");
    }
    text
}

/// Every key that a recipe reads, with its value, one a line.
pub(super) fn settings(recipe: &Recipe) -> String {
    let values = serde_json::to_value(recipe).expect("a recipe is plain data");
    let read = KEYS.iter().map(|&(key, ..)| key).filter(|key| recipe.reads(key));
    let lines = read.filter_map(|key| {
        let value = key.split('.').fold(&values, |table, part| &table[part]);
        (!value.is_null()).then(|| format!("{key} = {value}"))
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_recipe_holds_every_key_with_its_default() {
        for kind in Kind::ALL {
            let printed = printed(kind);
            let read = toml::from_str(&printed).expect("legal TOML");
            assert_eq!(Recipe::from_value(read).expect("legal recipe"), Recipe::of(kind));
        }
    }

    #[test]
    fn no_key_is_missing_and_none_is_made_up() {
        fn keys(value: &Value, path: String, all: &mut Vec<String>) {
            match value.as_object().filter(|table| !table.is_empty()) {
                Some(table) => {
                    for (key, value) in table {
                        let path =
                            if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                        keys(value, path, all);
                    }
                }
                None => all.push(path),
            }
        }
        let mut expected = Vec::new();
        let defaults = serde_json::to_value(Recipe::default()).expect("plain data");
        keys(&defaults, String::new(), &mut expected);
        let mut found: Vec<String> = KEYS.iter().map(|(key, ..)| (*key).to_owned()).collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_book_has_every_key() {
        let book = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/settings.md");
        let book = std::fs::read_to_string(book).expect("the book");
        let (book, _) = book.split_once("## Dictionaries").expect("a section of dictionaries");
        // It is what --model says.
        for (key, ..) in KEYS.iter().filter(|(key, ..)| *key != "model.kind") {
            assert!(book.contains(&format!("| `{key}` |")), "{key}");
        }
    }
}
