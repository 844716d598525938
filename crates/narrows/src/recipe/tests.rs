//! Recipes that are refused, and fits from recipes.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::reading::{at, plain};
use super::tables::READ_WHERE;
use super::*;
use crate::model::Model;
use crate::train::Epoch;

#[test]
fn a_key_that_would_not_be_read_is_refused() {
    let refused = |recipe: Value| Recipe::from_value(recipe).expect_err("refused").to_string();
    let message = refused(json!({"model": {"latent_dim": 32}}));
    assert!(message.contains("`model.kind` to be linear where `model.latent_dim`"), "{message}");
    assert!(message.contains("`pca`, which does not read it"), "{message}");
    assert!(message.contains("`pca` reads model.components, model.solver,"), "{message}");
    refused(json!({"train": {"epochs": 3}}));
    refused(json!({"model": {"kind": "linear", "components": 30}}));
    refused(json!({"model": {"solver": "gram", "oversampling": 5}}));
    let sgd = json!({"optimizer": "sgd", "second_momentum": 0.9});
    refused(json!({"model": {"kind": "linear"}, "train": sgd}));
    let legal = json!({"model": {"kind": "linear", "tied": true}, "train": {"momentum": 0.8}});
    assert!(Recipe::from_value(legal).is_ok());
    assert!(Recipe::from_value(json!({"model": {"oversampling": 5}})).is_ok());
}

#[test]
fn a_key_that_the_numbers_leave_without_effect_is_refused() {
    let read = |model: Value, train: Value| {
        let mut recipe = json!({"model": {"kind": "network"}, "train": train});
        let keys = model.as_object().unwrap().clone();
        keys.into_iter().for_each(|(key, value)| recipe["model"][key] = value);
        Recipe::from_value(recipe).map_err(|error| error.to_string())
    };
    for key in [("activation", json!("tanh")), ("dropout", json!(0.1))] {
        let (name, value) = key;
        let message = read(json!({"layers": [32], name: value}), json!({})).unwrap_err();
        assert!(message.contains(&format!("where `model.{name}` is given")), "{message}");
        assert!(message.contains("model.layers=[32], the code alone"), "{message}");
        read(json!({"layers": [64, 32], name: value}), json!({})).unwrap();
        read(json!({"layers": [32], "decoder_layers": [64], name: value}), json!({})).unwrap();
    }
    read(json!({"layers": [32], "normalisation": "batch"}), json!({})).unwrap_err();
    for (name, value) in [("undo", json!(true)), ("share", json!(0.5))] {
        let message = read(json!({}), json!({"augmentation": {name: value}})).unwrap_err();
        assert!(message.contains(&format!("`train.augmentation.{name}`")), "{message}");
        for change in ["shift", "rotation", "elastic"] {
            let augmentation = json!({name: value, change: 1.0});
            read(json!({}), json!({ "augmentation": augmentation })).unwrap();
        }
    }
    let narrow = read(json!({"layers": [32]}), json!({})).unwrap();
    assert!(!narrow.reads("model.dropout") && !narrow.reads("train.augmentation.undo"));
    assert!(narrow.may_read("model.dropout") && narrow.reads("train.augmentation.shift"));
}

/// Of noise that touches every number or none, no number is clean and none corrupted.
#[test]
fn tables_that_read_a_key_for_some_of_their_kinds_refuse_it_for_others() {
    let refused = |recipe: Value| Recipe::from_value(recipe).expect_err("refused").to_string();
    let network = json!({"kind": "network"});
    for kind in ["none", "gaussian"] {
        let noise = json!({"kind": kind, "emphasis": [1.0, 0.5]});
        let message = refused(json!({"model": network, "objective": {"corruption": noise}}));
        assert!(message.contains("salt_and_pepper or masking where"), "{message}");
        refused(json!({"model": {"kind": "stack"}, "storey": [{"corruption": noise}, {}]}));
    }
    let kl = |optimizer: &str| {
        let sparsity = json!({"kind": "kl", "memory": 0.9});
        let model = json!({"kind": "network", "code_activation": "sigmoid"});
        json!({"model": model, "objective": {"sparsity": sparsity}, "train": {"optimizer": optimizer}})
    };
    assert!(refused(kl("lbfgs")).contains("where `objective.sparsity.memory` is given"));
    Recipe::from_value(kl("adam")).unwrap();
    let shifted = json!({"augmentation": {"shift": 1.0}});
    let message = refused(json!({"model": {"kind": "linear"}, "train": shifted}));
    assert!(message.contains("where `train.augmentation` is given"), "{message}");
}

/// A pixel that moves keeps the mean and the scale of the place that it left.
#[test]
fn pictures_whose_pixels_are_scaled_one_by_one_are_not_changed() {
    let augmentation = |scale: &str| {
        let recipe = json!({
            "data": {"path": "demo:faces?people=4&images=4&size=16"},
            "model": {"kind": "network"},
            "prepare": {"scale": scale},
            "train": {"augmentation": {"shift": 1.0}},
        });
        let recipe = Recipe::from_value(recipe).unwrap();
        let preparation = Preparation::fit(&recipe.open().unwrap(), &recipe.prepare).unwrap();
        recipe.train.augmentation.of(&preparation).map_err(|error| error.to_string())
    };
    for scale in ["standardise", "centre"] {
        let message = augmentation(scale).unwrap_err();
        assert!(message.contains("pixels that are all scaled alike"), "{message}");
    }
    for scale in ["auto", "none"] {
        assert!(augmentation(scale).unwrap().is_some(), "{scale}");
    }
}

/// A slip in the table would refuse nothing, or everything.
#[test]
fn the_table_of_keys_names_keys_and_values_that_there_are() {
    let default = plain(&Recipe::default());
    for (key, by, values) in READ_WHERE {
        let known = |key| at(&default, key).is_some();
        assert!(known(key) && known(by), "{key} {by}");
        for value in *values {
            let nested = by.rsplit('.').fold(json!(value), |inner, key| json!({key: inner}));
            let recipe = nested;
            assert!(serde_json::from_value::<Recipe>(recipe).is_ok(), "{by} = {value}");
        }
    }
}

#[test]
fn a_width_that_cannot_be_had_is_told_before_the_training() {
    let rows = ndarray::Array2::from_shape_fn((5, 10), |(i, j)| ((i * j) as f64).sin());
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rows.npy");
    crate::store::write_npy(&path, rows.view()).expect("writes");
    let fit = |latent_dim: usize| {
        let recipe = json!({
            "data": {"path": path.to_str()},
            "model": {"kind": "linear", "latent_dim": latent_dim},
            "train": {"epochs": 2},
        });
        let recipe = Recipe::from_value(recipe).expect("legal");
        let dataset = recipe.open().expect("opens");
        let mut epochs = 0;
        let fitted = recipe.fit(&dataset, None, &mut |_: &Epoch| {
            epochs += 1;
            std::ops::ControlFlow::Continue(())
        });
        (fitted.map(|_| ()), epochs)
    };
    let (refused, epochs) = fit(8);
    let message = refused.expect_err("too wide").to_string();
    assert!(message.contains("`latent_dim` from 1 to 5 (the smaller of 5 rows"), "{message}");
    assert_eq!(epochs, 0);
    assert!(matches!(fit(3), (Ok(()), 2)));
}

#[test]
fn an_unknown_key_names_the_nearest() {
    let error = Recipe::from_value(json!({"model": {"componets": 3}})).expect_err("unknown");
    let message = error.to_string();
    assert!(message.contains("a key of [model]"), "{message}");
    assert!(message.contains("did you mean 'components'?"), "{message}");
    let error = Recipe::from_value(json!({"components": 3})).expect_err("in no table");
    let message = error.to_string();
    assert!(message.contains("'components'; did you mean 'model.components'?"), "{message}");
}

#[test]
fn the_digits_are_fitted_kept_and_opened_again() {
    let recipe = json!({"data": {"path": "demo:digits"}, "model": {"components": 10}});
    let recipe = Recipe::from_value(recipe).expect("legal");
    let run = recipe.open().expect("opens");
    let run = recipe
        .fit(&run, None, &mut |_: &Epoch| std::ops::ControlFlow::Continue(()))
        .expect("fits")
        .run;
    let folder = tempfile::tempdir().expect("a folder");
    run.write_into(folder.path()).expect("writes");
    let again = Run::open(folder.path()).expect("opens");
    let (Model::Pca(before), Model::Pca(after)) = (&run.model, &again.model) else {
        panic!("another kind of model");
    };
    assert_eq!(before, after);
    assert_eq!(run.preparation, again.preparation);
}
