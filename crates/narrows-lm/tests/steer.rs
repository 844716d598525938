//! Features changed at a tap, against rows changed by hand.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use narrows::compute::Matrix;
use narrows::evaluate::Frame;
use narrows_lm::model::NoHook;
use narrows_lm::steer::{Change, Edit, Places, Steering, divergence, next_token};
use narrows_lm::{Basis, LanguageModel, Tap};

const TOKENS: [u32; 6] = [1, 5, 9, 2, 7, 3];

fn model() -> LanguageModel {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/models/neox-parallel");
    LanguageModel::open(&folder).unwrap()
}

fn basis(model: &LanguageModel) -> Basis {
    let width = model.architecture.width;
    let frame = Frame::random(width, vec![0.0; width], 3).unwrap();
    Basis::frame("random", frame, width)
}

fn by_hand(model: &LanguageModel, tap: Tap, change: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    let mut hook = (tap, |rows: &mut Matrix| {
        let width = rows.cols();
        rows.as_mut_slice().chunks_mut(width).enumerate().for_each(|(p, row)| change(p, row));
        Ok(())
    });
    next_token(model, &TOKENS, &mut hook).unwrap()
}

#[test]
fn no_change_changes_no_bit() {
    let (model, tap) = (model(), Tap::after(0));
    let basis = basis(&model);
    let plain = next_token(&model, &TOKENS, &mut NoHook).unwrap();
    let edit = Edit { feature: 2, change: Change::Add(0.0) };
    let mut steering = Steering::new(&model, &basis, tap, vec![edit]).unwrap();
    assert_eq!(plain, next_token(&model, &TOKENS, &mut steering).unwrap());
    assert_eq!(divergence(&plain, &plain), 0.0);
}

#[test]
fn what_is_added_is_the_direction_and_the_begin_token_is_left() {
    let (model, tap) = (model(), Tap::after(0));
    let basis = basis(&model);
    let direction = basis.directions().row(2).to_vec();
    for (places, first) in [(Places::All, 1), (Places::Last, 5), (Places::Within(2..6), 2)] {
        let edit = "2=add:4".parse().unwrap();
        let mut steering = Steering::new(&model, &basis, tap, vec![edit]).unwrap();
        (steering.places, steering.begin) = (places, true);
        let ours = next_token(&model, &TOKENS, &mut steering).unwrap();
        let expected = by_hand(&model, tap, |place, row| {
            if place >= first {
                row.iter_mut().zip(&direction).for_each(|(x, d)| *x += 4.0 * d);
            }
        });
        let plain = next_token(&model, &TOKENS, &mut NoHook).unwrap();
        assert!(divergence(&plain, &expected) > 1e-6);
        assert!(ours.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4));
    }
}

#[test]
fn ablation_takes_the_code_times_the_direction_away() {
    let (model, tap) = (model(), Tap::after(0));
    let basis = basis(&model);
    let direction = basis.directions().row(3).to_vec();
    let edit = "3=ablate".parse().unwrap();
    let mut steering = Steering::new(&model, &basis, tap, vec![edit]).unwrap();
    let ours = next_token(&model, &TOKENS, &mut steering).unwrap();
    let expected = by_hand(&model, tap, |_, row| {
        let code: f32 = row.iter().zip(&direction).map(|(x, d)| x * d).sum();
        row.iter_mut().zip(&direction).for_each(|(x, d)| *x -= code * d);
    });
    assert!(ours.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4));
}

#[test]
fn mistakes_are_told() {
    let model = model();
    let basis = basis(&model);
    let edits = |text: &[&str]| text.iter().map(|text| text.parse().unwrap()).collect();
    let fails = |tap, list: &[&str]| Steering::new(&model, &basis, tap, edits(list)).is_err();
    assert!(fails(Tap::after(0), &["100000=ablate"]));
    assert!(fails(Tap::after(0), &["1=ablate", "1=clamp:2"]));
    assert!(!fails(Tap::after(0), &["1=ablate", "2=clamp:2"]));
    for wrong in ["1", "x=ablate", "1=clamp", "1=clamp:x", "1=add:inf", "1=double:2"] {
        assert!(wrong.parse::<Edit>().is_err(), "{wrong}");
    }
}
