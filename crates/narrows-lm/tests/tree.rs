//! Causes of features, against rows changed by hand.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use narrows::compute::Matrix;
use narrows::evaluate::Frame;
use narrows_lm::steer::next_token;
use narrows_lm::text::Windows;
use narrows_lm::tree::{Floor, causes};
use narrows_lm::{Basis, LanguageModel, Tap};

/// With a token that begins a text in the middle.
const TOKENS: [u32; 8] = [0, 5, 9, 0, 7, 3, 12, 8];
const BEGIN: u32 = 0;

fn model() -> LanguageModel {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/models/neox-parallel");
    LanguageModel::open(&folder).unwrap()
}

fn columns(model: &LanguageModel) -> Basis {
    let width = model.architecture.width;
    Basis::frame("columns", Frame::columns(vec![0.0; width]).unwrap(), width)
}

/// Rows after the second block, with a column after the first set to 0 wherever no text begins.
fn late_rows(model: &LanguageModel, tokens: &[u32], without: Option<usize>) -> Matrix {
    let mut late = Matrix::default();
    struct Hook<'a>(&'a [u32], Option<usize>, &'a mut Matrix);
    impl narrows_lm::model::Hook for Hook<'_> {
        fn wants(&self, tap: Tap) -> bool {
            tap == Tap::after(0) || tap == Tap::after(1)
        }
        fn at(&mut self, tap: Tap, rows: &mut Matrix) -> narrows::Result<()> {
            let width = rows.cols();
            if tap == Tap::after(1) {
                self.2.clone_from(rows);
            } else if let Some(column) = self.1 {
                for (place, _) in self.0.iter().enumerate().filter(|(_, token)| **token != BEGIN) {
                    rows.as_mut_slice()[place * width + column] = 0.0;
                }
            }
            Ok(())
        }
    }
    next_token(model, tokens, &mut Hook(tokens, without, &mut late)).unwrap();
    late
}

#[test]
fn an_effect_is_what_the_code_falls_by_where_the_cause_is_taken_away() {
    let model = model();
    let basis = columns(&model);
    let floors = [1, 0].map(|block| Floor { tap: Tap::after(block), basis: &basis });
    let windows = Windows::new(TOKENS.to_vec(), TOKENS.len());
    let plain = late_rows(&model, &TOKENS, None);
    let inside: Vec<usize> = (0..TOKENS.len()).filter(|&place| TOKENS[place] != BEGIN).collect();
    let feature = 4;
    let best = |a: &usize, b: &usize| plain.row(*a)[feature].total_cmp(&plain.row(*b)[feature]);
    let position = inside.iter().copied().max_by(best).unwrap();
    let code = plain.row(position)[feature];
    assert!(code > 0.0, "the feature is to be active");
    let tokens = &TOKENS[..=position];
    let effects: Vec<f32> = (0..model.architecture.width)
        .map(|column| code - late_rows(&model, tokens, Some(column)).row(position)[feature])
        .collect();
    let most = (0..effects.len()).max_by(|&a, &b| effects[a].total_cmp(&effects[b])).unwrap();
    let found = causes(&model, &windows, &floors, feature, 3).unwrap();
    assert!((found.code - f64::from(code)).abs() < 1e-5);
    assert_eq!(found.causes.len(), 3);
    assert_eq!(found.causes[0].feature, most);
    for cause in &found.causes {
        let [effect, _] = cause.effect.unwrap();
        assert!((effect - f64::from(effects[cause.feature])).abs() < 1e-4, "{cause:?}");
    }
}
