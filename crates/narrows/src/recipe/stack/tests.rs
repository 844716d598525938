#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;
use crate::model::Model;
use crate::objective::{Corruption, Sparsity};
use crate::train::Epoch;

/// What a recipe makes of 16 pictures, whose values lie between 0 and 1.
fn with_stack<T>(mut recipe: Value, look: impl FnOnce(Result<Stack<'_>>) -> T) -> T {
    recipe["data"] = json!({ "path": "demo:faces?people=4&images=4&size=16" });
    recipe["model"]["kind"] = json!("stack");
    let recipe = Recipe::from_value(recipe).unwrap();
    let dataset = recipe.open().unwrap();
    let preparation = Preparation::fit(&dataset, &recipe.prepare).unwrap();
    let held = Matrix::zeros(dataset.rows.rows(), preparation.output_dim());
    look(recipe.stack(&held, &preparation))
}

fn refused(recipe: Value) -> String {
    with_stack(recipe, |stack| stack.unwrap_err().to_string())
}

/// Code and output activation, loss and range of a storey; nothing of the last two where it is PCA.
type Decision = (Activation, Activation, Option<Loss>, Option<(f64, f64)>);

fn decided(stack: &Stack<'_>) -> Vec<Decision> {
    let of = |storey: &Storey<'_>| {
        let shape = &storey.shape;
        let task = storey.training.as_ref().map(|(task, _)| task);
        let (loss, range) = (task.map(|task| task.loss), task.map(|task| task.range));
        (shape.code_activation, shape.output_activation, loss, range)
    };
    stack.storeys.iter().map(of).collect()
}

const ENTROPY: Option<Loss> = Some(Loss::BinaryCrossEntropy);
const SQUARES: Option<Loss> = Some(Loss::SquaredError);
const SHARES: Option<(f64, f64)> = Some((0.0, 1.0));

#[test]
fn each_storey_is_decided_by_what_it_gives_back() {
    use Activation::{Identity, Relu, Sigmoid, Tanh};
    let of = |model: Value, storey: Value, objective: Value| {
        let recipe = json!({ "model": model, "storey": storey, "objective": objective });
        with_stack(recipe, |stack| decided(&stack.unwrap()))
    };
    assert_eq!(
        of(json!({"layers": [9, 5]}), json!([]), json!({})),
        [(Sigmoid, Sigmoid, ENTROPY, SHARES); 2]
    );
    assert_eq!(
        of(json!({"layers": [9, 5]}), json!([]), json!({"loss": "squared_error"})),
        [(Sigmoid, Sigmoid, SQUARES, SHARES); 2]
    );
    let tanh = json!({"layers": [9, 5, 3], "activation": "tanh", "code_activation": "identity"});
    let upon_tanh = Some((-1.0, 1.0));
    assert_eq!(
        of(tanh, json!([]), json!({})),
        [
            (Tanh, Sigmoid, ENTROPY, SHARES),
            (Tanh, Identity, SQUARES, upon_tanh),
            (Identity, Identity, SQUARES, upon_tanh),
        ]
    );
    let relu = json!({"layers": [9, 5, 3], "activation": "relu"});
    assert_eq!(
        of(relu, json!([{}, {"kind": "pca"}, {}]), json!({"loss": "binary_cross_entropy"})),
        [
            (Relu, Sigmoid, ENTROPY, SHARES),
            (Identity, Identity, None, None),
            (Sigmoid, Identity, SQUARES, SHARES),
        ]
    );
    let linear = json!([{"kind": "pca"}, {}]);
    assert_eq!(
        of(json!({"layers": [9, 5]}), linear, json!({})),
        [(Identity, Identity, None, None), (Sigmoid, Identity, SQUARES, SHARES)]
    );
}

#[test]
fn a_storey_has_what_is_its_own_and_else_what_all_have() {
    let recipe = json!({
        "model": {"layers": [9, 5, 4], "fine_tune_epochs": 7, "fine_tune_corruption": true},
        "objective": {
            "corruption": {"kind": "masking", "rate": 0.1},
            "sparsity": {"kind": "kl", "weight": 2.0, "target": 0.1},
        },
        "train": {"epochs": 3, "learning_rate": 0.5, "augmentation": {"share": 1.0, "shift": 1.0}},
        "storey": [
            {"corruption": {"kind": "salt_and_pepper", "rate": 0.2, "emphasis": [1.0, 0.5]}},
            {"epochs": 9, "learning_rate": 0.25, "sparsity": {"kind": "none"}},
            {},
        ],
    });
    with_stack(recipe, |stack| {
        let stack = stack.unwrap();
        let told = |place: usize| stack.storeys[place].training.clone().unwrap();
        let numbers = |place| (told(place).1.epochs, told(place).1.learning_rate);
        assert_eq!([0, 1, 2].map(numbers), [(3, 0.5), (9, 0.25), (3, 0.5)]);
        let (own, all) =
            (Corruption::SaltAndPepper { rate: 0.2 }, Corruption::Masking { rate: 0.1 });
        assert_eq!([0, 1, 2].map(|place| told(place).0.corruption), [own, all, all]);
        let kl = Sparsity::Kl { weight: 2.0, target: 0.1, memory: 0.0 };
        assert_eq!([0, 1, 2].map(|place| told(place).0.sparsity), [kl, Sparsity::None, kl]);
        // Only rows are pictures.
        let bent = [0, 1, 2].map(|place| told(place).0.augmentation.is_some());
        assert_eq!(bent, [true, false, false]);
        let (task, options) = stack.fine_tuning.clone().unwrap();
        assert_eq!((options.epochs, options.learning_rate), (7, 0.5));
        assert_eq!((task.corruption, task.emphasis), (own, Some([1.0, 0.5])));
        assert_eq!((task.sparsity, task.augmentation.is_some()), (Sparsity::None, true));
    });
    let clean = json!({"objective": {"corruption": {"kind": "masking"}}, "train": {"epochs": 3}});
    with_stack(clean, |stack| {
        let (task, options) = stack.unwrap().fine_tuning.unwrap();
        assert_eq!((task.corruption, options.epochs), (Corruption::None, 3));
    });
    let none = json!({"model": {"fine_tune_epochs": 0}});
    with_stack(none, |stack| assert!(stack.unwrap().fine_tuning.is_none()));
}

#[test]
fn storeys_that_cannot_be_are_refused() {
    let message = refused(json!({"model": {"layers": [9, 5]}, "storey": [{}]}));
    assert!(message.contains("no [[storey]] or 2, one for each width"), "{message}");
    let noisy = json!({"kind": "pca", "corruption": {"kind": "masking"}});
    let message = refused(json!({"model": {"layers": [9, 5]}, "storey": [{}, noisy]}));
    assert!(message.contains("storey 2 to have no other key"), "{message}");
    let linear = json!([{"kind": "pca"}]);
    let message = refused(json!({
        "model": {"layers": [9]}, "storey": linear, "objective": {"loss": "binary_cross_entropy"},
    }));
    assert!(message.contains("an identity output, as the first storey is PCA"), "{message}");
    let message = refused(json!({
        "model": {"layers": [9], "code_activation": "relu"},
        "objective": {"sparsity": {"kind": "kl"}},
    }));
    assert!(message.contains("set model.code_activation"), "{message}");
    assert!(refused(json!({"model": {"layers": []}})).contains("one storey or more"));
    let weightless = json!({"corruption": {"kind": "masking", "emphasis": [0.0, 0.0]}});
    let message = refused(json!({"model": {"layers": [9, 5]}, "storey": [{}, weightless]}));
    assert!(message.contains("not both 0"), "{message}");
}

#[test]
fn keys_of_storeys_are_checked_as_those_of_the_objective() {
    let refused = |storey: Value| {
        let recipe = json!({"model": {"kind": "stack", "layers": [9]}, "storey": [storey]});
        Recipe::from_value(recipe).expect_err("refused").to_string()
    };
    let message = refused(json!({"epoch": 3}));
    assert!(message.contains("a key of [storey]"), "{message}");
    assert!(message.contains("did you mean 'epochs'?"), "{message}");
    let message = refused(json!({"corruption": {"kind": "masking", "rat": 0.3}}));
    assert!(message.contains("did you mean 'rate'?"), "{message}");
    let message = refused(json!({"corruption": {"kind": "masking", "sigma": 0.3}}));
    assert!(message.contains("`masking`, which does not read it"), "{message}");
    refused(json!({"kind": "umap"}));
    let by_lbfgs = |storey: Value| {
        let recipe = json!({
            "model": {"kind": "stack", "layers": [9, 5]},
            "train": {"optimizer": "lbfgs"},
            "storey": [{}, storey],
        });
        Recipe::from_value(recipe)
    };
    let message = by_lbfgs(json!({"learning_rate": 0.1})).expect_err("refused").to_string();
    assert!(message.contains("read [[storey]] 2 of the recipe"), "{message}");
    assert!(message.contains("`lbfgs`, which does not read it"), "{message}");
    assert!(by_lbfgs(json!({"epochs": 5, "learning_rate": null})).is_ok());
    let elsewhere = json!({"model": {"kind": "network"}, "storey": [{}]});
    assert!(Recipe::from_value(elsewhere).is_err());
}

/// What no storey and no fine-tuning would read.
#[test]
fn a_key_that_no_stage_reads_is_refused() {
    let read = |tables: Value| {
        let mut recipe = json!({"model": {"kind": "stack", "layers": [9, 5]}});
        for (table, keys) in tables.as_object().unwrap() {
            match keys.as_object() {
                Some(keys) => {
                    keys.iter().for_each(|(key, value)| recipe[table][key] = value.clone());
                }
                None => recipe[table] = keys.clone(),
            }
        }
        Recipe::from_value(recipe).map(|_| ()).map_err(|error| error.to_string())
    };
    let alone = json!({"fine_tune_epochs": 0});
    let pca = json!({"kind": "pca"});
    let own = json!({"epochs": 2, "learning_rate": 0.1, "sparsity": {"kind": "l1"},
        "corruption": {"kind": "masking"}});
    let sparse = json!({"sparsity": {"kind": "kl"}});
    let noisy = json!({"corruption": {"kind": "gaussian"}});
    for (key, tables) in [
        ("train", json!({"model": alone, "storey": [pca, pca], "train": {"epochs": 3}})),
        ("objective", json!({"model": alone, "storey": [pca, pca], "objective": sparse})),
        (
            "model.initialisation",
            json!({
            "model": {"initialisation": "he"}, "storey": [pca, pca]}),
        ),
        ("model.activation", json!({"model": {"activation": "tanh"}, "storey": [pca, {}]})),
        (
            "model.code_activation",
            json!({
            "model": {"code_activation": "tanh"}, "storey": [{}, pca]}),
        ),
        (
            "model.fine_tune_corruption",
            json!({
            "model": {"fine_tune_epochs": 0, "fine_tune_corruption": true}}),
        ),
        (
            "train.epochs",
            json!({
            "model": {"fine_tune_epochs": 4}, "storey": [own, pca], "train": {"epochs": 3}}),
        ),
        (
            "train.learning_rate",
            json!({
            "model": alone, "storey": [own, own], "train": {"learning_rate": 0.3}}),
        ),
        ("objective.sparsity", json!({"storey": [own, pca], "objective": sparse})),
        ("objective.corruption", json!({"storey": [own, pca], "objective": noisy})),
    ] {
        let message = read(tables).unwrap_err();
        assert!(message.contains(&format!("that reads `{key}`")), "{message}");
    }
    for tables in [
        json!({"storey": [pca, pca], "train": {"epochs": 3}}),
        json!({"storey": [own, {}], "objective": sparse}),
        json!({"storey": [own, own], "train": {"epochs": 3, "learning_rate": 0.2}}),
        json!({"model": {"fine_tune_corruption": true}, "storey": [pca, own], "objective": noisy}),
    ] {
        read(tables).unwrap();
    }
}

#[test]
fn a_stack_is_fitted_kept_and_opened_again() {
    let recipe = json!({
        "data": {"path": "demo:digits"},
        "model": {"kind": "stack", "layers": [12, 9, 5]},
        "train": {"epochs": 2},
        "storey": [{}, {"kind": "pca"}, {"epochs": 1}],
    });
    let recipe = Recipe::from_value(recipe).unwrap();
    let dataset = recipe.open().unwrap();
    let mut go_on = |_: &Epoch| std::ops::ControlFlow::Continue(());
    let fitted = recipe.fit(&dataset, None, &mut go_on).unwrap();
    let epochs: Vec<usize> = fitted.storeys.iter().map(|storey| storey.history.len()).collect();
    assert_eq!((epochs, fitted.history.len()), (vec![2, 0, 1], 2));
    let folder = tempfile::tempdir().unwrap();
    fitted.run.write_into(folder.path()).unwrap();
    let again = crate::store::Run::open(folder.path()).unwrap();
    let (Model::Network(before), Model::Network(after)) = (&fitted.run.model, &again.model) else {
        panic!("another kind of model");
    };
    assert_eq!(before, after);
    assert_eq!(again.config["model"]["kind"], "stack");
    let widths: Vec<usize> =
        after.layers().iter().map(crate::model::network::Layer::output_dim).collect();
    assert_eq!(widths, [12, 9, 5, 9, 12, 64]);
}
