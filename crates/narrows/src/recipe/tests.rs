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
