#![allow(clippy::unwrap_used)]

use std::borrow::Cow;

use super::*;
use ndarray::{Array2, array};
use proptest::prelude::*;

/// Rows in memory.
struct Held(Array2<f64>);

impl Source for Held {
    fn rows(&self) -> usize {
        self.0.nrows()
    }
    fn dim(&self) -> usize {
        self.0.ncols()
    }
    fn precision(&self) -> Precision {
        Precision::F64
    }
    fn read_f32(&self, start: usize, out: &mut [f32]) -> Result<()> {
        self.0.view().read_f32(start, out)
    }
    fn read_f64(&self, start: usize, out: &mut [f64]) -> Result<()> {
        self.0.view().read_f64(start, out)
    }
}

/// A source that must not be read.
struct Untouchable;

impl Source for Untouchable {
    fn rows(&self) -> usize {
        5
    }
    fn dim(&self) -> usize {
        3
    }
    fn precision(&self) -> Precision {
        Precision::F32
    }
    fn read_f32(&self, _: usize, _: &mut [f32]) -> Result<()> {
        panic!("there is nothing to learn from the rows")
    }
    fn read_f64(&self, _: usize, _: &mut [f64]) -> Result<()> {
        panic!("there is nothing to learn from the rows")
    }
}

fn dataset(rows: impl Source + 'static, element: Element, columns: Vec<Column>) -> Dataset {
    Dataset {
        name: "set".into(),
        rows: Box::new(rows),
        element,
        image: None,
        labels: None,
        columns,
        row_names: vec![],
        content_hash: String::new(),
    }
}

fn numbers(rows: &Array2<f64>) -> Dataset {
    dataset(Held(rows.clone()), Element::F64, vec![])
}

fn column(name: &str, categories: &[&str]) -> Column {
    let categories = categories.iter().map(|&name| name.into()).collect();
    Column { name: name.into(), categories }
}

/// Columns: age (a number), colour (3 categories), weight (a number).
fn table(rows: &Array2<f64>) -> Dataset {
    let colour = column("colour", &["blue", "green", "red"]);
    let columns = vec![column("age", &[]), colour, column("weight", &[])];
    dataset(Held(rows.clone()), Element::Text, columns)
}

fn config(scale: Scale) -> PrepareConfig {
    PrepareConfig { scale, ..PrepareConfig::default() }
}

fn filled(scale: Scale) -> PrepareConfig {
    PrepareConfig { missing: Missing::Mean, ..config(scale) }
}

fn prepared(preparation: &Preparation, source: &dyn Source) -> Array2<f64> {
    let rows = Prepared { source, preparation };
    let mut out = Array2::zeros((rows.rows(), rows.dim()));
    rows.read_f64(0, out.as_slice_mut().unwrap()).unwrap();
    out
}

fn fit_and_prepare(dataset: &Dataset, config: &PrepareConfig) -> Array2<f64> {
    prepared(&Preparation::fit(dataset, config).unwrap(), &*dataset.rows)
}

fn message(result: Result<impl Sized>) -> String {
    result.err().expect("a mistake").to_string()
}

#[test]
fn standardise_divides_by_the_population_deviation() {
    // Mean 5 and deviation 2 (a textbook set); mean 1 and deviation sqrt(1/2).
    let x = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
    let y = [0.0, 2.0, 1.0, 1.0, 0.0, 2.0, 1.0, 1.0];
    let rows = Array2::from_shape_fn((8, 2), |(i, j)| [x, y][j][i]);
    let out = fit_and_prepare(&numbers(&rows), &config(Scale::Standardise));
    for i in 0..8 {
        assert_eq!(out[[i, 0]], (x[i] - 5.0) / 2.0);
        assert!((out[[i, 1]] - (y[i] - 1.0) / 0.5_f64.sqrt()).abs() < 1e-15);
    }
}

#[test]
fn a_large_mean_costs_no_digits() {
    let rows = Array2::from_shape_fn((10_000, 1), |(i, _)| 1e9 + (i % 2) as f64);
    let fitted = Preparation::fit(&numbers(&rows), &config(Scale::Standardise)).unwrap();
    assert!((fitted.shift[0] - (1e9 + 0.5)).abs() < 1e-6);
    assert!((fitted.scale[0] - 0.5).abs() < 1e-9, "{}", fitted.scale[0]);
    // In f32 too: the shift is not rounded to f32 before it is subtracted.
    let fitted = Preparation { shift: vec![16_777_216.5], ..fitted };
    let mut out = [0.0_f32];
    fitted.prepare(&[16_777_216.0_f32], 0, &mut out).unwrap();
    assert!((out[0] + 1.0).abs() < 1e-6, "{}", out[0]);
}

#[test]
fn centre_and_unit_range() {
    let rows = array![[1.0, 10.0], [2.0, 30.0], [6.0, 20.0]];
    let centred = fit_and_prepare(&numbers(&rows), &config(Scale::Centre));
    assert_eq!(centred, array![[-2.0, -10.0], [-1.0, 10.0], [3.0, 0.0]]);
    let ranged = fit_and_prepare(&numbers(&rows), &config(Scale::UnitRange));
    assert_eq!(ranged, array![[0.0, 0.0], [0.2, 1.0], [1.0, 0.5]]);
}

#[test]
fn a_constant_column_becomes_zero_and_comes_back() {
    let rows = Array2::from_shape_fn((7, 2), |(i, j)| if j == 0 { 0.1 } else { i as f64 });
    for scale in [Scale::Centre, Scale::Standardise, Scale::UnitRange] {
        let fitted = Preparation::fit(&numbers(&rows), &config(scale)).unwrap();
        let out = prepared(&fitted, &rows.view());
        assert!(out.column(0).iter().all(|&x| x == 0.0), "{scale:?}");
        let mut back = rows.clone();
        back.fill(f64::NAN);
        fitted.invert(out.as_slice().unwrap(), back.as_slice_mut().unwrap());
        assert!(back.column(0).iter().all(|&x| x == 0.1), "{scale:?}");
    }
}

#[test]
fn bytes_are_divided_by_255_without_a_pass_and_come_back_exactly() {
    let set = dataset(Untouchable, Element::U8, vec![]);
    for scale in [Scale::Auto, Scale::UnitRange] {
        let fitted = Preparation::fit(&set, &config(scale)).unwrap();
        assert_eq!(fitted.bounds(), Some((0.0, 1.0)));
        let raw: Vec<f32> = (0..258).map(|x| x.min(255) as f32).collect();
        let mut out = vec![0.0; raw.len()];
        fitted.prepare(&raw, 0, &mut out).unwrap();
        assert!(raw.iter().zip(&out).all(|(x, y)| *y == x / 255.0));
        let mut back = vec![0.0; raw.len()];
        fitted.invert(&out, &mut back);
        assert_eq!(back, raw);
    }
}

#[test]
fn what_has_no_need_of_the_rows_does_not_read_them() {
    for element in [Element::F32, Element::F64, Element::Integer] {
        let set = dataset(Untouchable, element, vec![]);
        let fitted = Preparation::fit(&set, &PrepareConfig::default()).unwrap();
        assert!(fitted.is_identity());
        assert_eq!(fitted.bounds(), None);
    }
    let set = dataset(Untouchable, Element::U8, vec![]);
    let none = Preparation::fit(&set, &config(Scale::None)).unwrap();
    assert_eq!(none.bounds(), Some((0.0, 255.0)));
}

#[test]
fn auto_standardises_tables() {
    let rows = array![[1.0, 0.0, 5.0], [3.0, 2.0, 9.0]];
    let set = table(&rows);
    let auto = Preparation::fit(&set, &PrepareConfig::default()).unwrap();
    assert_eq!(auto, Preparation::fit(&set, &config(Scale::Standardise)).unwrap());
    assert_eq!(auto.config().scale, Scale::Standardise);
}

#[test]
fn categories_become_one_hot_and_come_back() {
    let rows = array![[1.0, 0.0, 5.0], [3.0, 2.0, 9.0], [5.0, 2.0, 7.0], [3.0, 2.0, 7.0]];
    let set = table(&rows);
    let one_hot = array![
        [1.0, 1.0, 0.0, 0.0, 5.0],
        [3.0, 0.0, 0.0, 1.0, 9.0],
        [5.0, 0.0, 0.0, 1.0, 7.0],
        [3.0, 0.0, 0.0, 1.0, 7.0]
    ];
    assert_eq!(fit_and_prepare(&set, &config(Scale::None)), one_hot);
    let standard = fit_and_prepare(&set, &config(Scale::Standardise));
    assert_eq!(standard.row(0).to_vec()[1..4], [1.0, 0.0, 0.0]);
    assert!((standard[[0, 0]] + 2.0_f64.sqrt()).abs() < 1e-15);
    let centred = fit_and_prepare(&set, &config(Scale::Centre));
    assert_eq!(centred.row(0).to_vec(), [-2.0, 0.75, 0.0, -0.75, -2.0]);
    for scale in [Scale::None, Scale::Centre, Scale::Standardise, Scale::UnitRange] {
        let fitted = Preparation::fit(&set, &config(scale)).unwrap();
        let mut back = Array2::zeros(rows.dim());
        let out = prepared(&fitted, &rows.view());
        fitted.invert(out.as_slice().unwrap(), back.as_slice_mut().unwrap());
        assert!((&back - &rows).iter().all(|d| d.abs() < 1e-14), "{scale:?}: {back}");
    }
}

#[test]
fn missing_values_take_the_training_mean() {
    let nan = f64::NAN;
    let rows = array![[1.0, 0.0, 5.0], [nan, 2.0, 9.0], [5.0, nan, nan], [3.0, 2.0, 7.0]];
    let out = fit_and_prepare(&table(&rows), &filled(Scale::None));
    assert_eq!(out.row(1).to_vec(), [3.0, 0.0, 0.0, 1.0, 9.0]);
    let third = 1.0 / 3.0;
    for (got, want) in out.row(2).iter().zip([5.0, third, 0.0, 2.0 * third, 7.0]) {
        assert!((got - want).abs() < 1e-15, "{got} {want}");
    }
    let standard = fit_and_prepare(&table(&rows), &filled(Scale::Standardise));
    assert_eq!((standard[[1, 0]], standard[[2, 4]]), (0.0, 0.0));
}

#[test]
fn filled_values_can_be_told_from_observed_ones() {
    let rows = array![[1.0, 0.0, 60.0], [f64::NAN, f64::NAN, 60.0], [3.0, 1.0, 90.0]];
    let set = table(&rows);
    let mean = PrepareConfig { missing: Missing::Mean, ..config(Scale::Standardise) };
    let preparation = Preparation::fit(&set, &mean).unwrap();
    let prepared = Prepared { source: &*set.rows, preparation: &preparation };
    let mut marks = [true; 10];
    assert!(prepared.mark_filled(1, &mut marks).unwrap());
    assert_eq!(marks, [[true, true, true, true, false], [false; 5]].concat()[..]);
    assert!(!prepared.mark_filled(2, &mut marks[..5]).unwrap());
}

#[test]
fn em_leaves_missing_values_to_the_model() {
    let rows = array![[1.0, f64::NAN], [3.0, 4.0], [5.0, 8.0]];
    let em = PrepareConfig { missing: Missing::Em, ..config(Scale::Centre) };
    let out = fit_and_prepare(&numbers(&rows), &em);
    assert!(out[[0, 1]].is_nan());
    assert_eq!((out[[0, 0]], out[[1, 1]], out[[2, 1]]), (-2.0, -2.0, 2.0));
}

#[test]
fn rows_are_divided_by_their_length_and_come_back() {
    let rows = array![[3.0, 4.0], [0.0, 0.0], [-6.0, 8.0]];
    let normed = PrepareConfig { row_norm: true, ..config(Scale::None) };
    let fitted = Preparation::fit(&numbers(&rows), &normed).unwrap();
    let out = prepared(&fitted, &rows.view());
    assert_eq!(out, array![[0.6, 0.8], [0.0, 0.0], [-0.6, 0.8]]);
    let mut norms = [0.0; 3];
    fitted.row_norms(rows.as_slice().unwrap(), &mut norms);
    assert_eq!(norms, [5.0, 1.0, 10.0]);
    let mut back = Array2::zeros((3, 2));
    let (flat, back_flat) = (out.as_slice().unwrap(), back.as_slice_mut().unwrap());
    fitted.invert_with_norms(flat, &norms, back_flat);
    assert!((&back - &rows).iter().all(|d| d.abs() < 1e-14), "{back}");
}

#[test]
fn row_norm_leaves_categories_alone() {
    let rows = array![[3.0, 2.0, 4.0], [6.0, 0.0, 8.0]];
    let normed = PrepareConfig { row_norm: true, ..config(Scale::None) };
    let out = fit_and_prepare(&table(&rows), &normed);
    assert_eq!(out, array![[0.6, 0.0, 0.0, 1.0, 0.8], [0.6, 1.0, 0.0, 0.0, 0.8]]);
}

#[test]
fn the_first_bad_value_is_named() {
    // Large enough to be worked on by several threads.
    let mut rows = Array2::<f64>::zeros((3000, 100));
    rows[[2900, 7]] = f64::NAN;
    rows[[1234, 56]] = f64::NAN;
    rows[[1234, 57]] = f64::INFINITY;
    let set = numbers(&rows);
    let standardise = config(Scale::Standardise);
    assert_eq!(
        message(Preparation::fit(&set, &standardise)),
        "prepare rows: expected a number but got a missing value (NaN) in row 1235, column 57; \
         fit with `--missing mean` or, for PCA, `--missing em`; for a dictionary \
         leave such rows out"
    );
    assert_eq!(
        message(Preparation::fit(&set, &filled(Scale::Standardise))),
        "prepare rows: expected finite numbers but got inf in row 1235, column 58; \
         correct the value, or leave the row out"
    );
    let identity = Preparation::fit(&set, &config(Scale::None)).unwrap();
    let mut out = vec![0.0; rows.len()];
    let refused = identity.prepare(rows.as_slice().unwrap(), 10_000, &mut out);
    assert!(message(refused).contains("row 11235, column 57"));
    let named = table(&array![[1.0, 1.0, f64::NAN]]);
    let refused = Preparation::fit(&named, &config(Scale::Auto));
    assert!(message(refused).contains("row 1, column 3 (`weight`)"));
}

#[test]
fn sets_without_values_are_refused() {
    let empty = numbers(&Array2::zeros((0, 4)));
    assert!(message(Preparation::fit(&empty, &config(Scale::None))).contains("0 rows of 4"));
    let rows = array![[1.0, 1.0, f64::NAN], [1.0, 0.0, f64::NAN]];
    let refused = message(Preparation::fit(&table(&rows), &filled(Scale::None)));
    assert!(refused.contains("only missing values in column 3 (`weight`)"), "{refused}");
    let huge = array![[1e200], [-1e200]];
    let refused = message(Preparation::fit(&numbers(&huge), &config(Scale::Standardise)));
    assert!(refused.contains("larger ones in column 1"), "{refused}");
}

#[test]
fn other_tables_are_compared_with_the_training_table() {
    let rows = array![[1.0, 0.0, 5.0], [3.0, 2.0, 9.0]];
    let fitted = Preparation::fit(&table(&rows), &config(Scale::Standardise)).unwrap();
    assert!(matches!(fitted.check(&table(&rows)).unwrap(), Cow::Borrowed(_)));
    let with = |columns: Vec<Column>| {
        let set = dataset(Held(rows.clone()), Element::Text, columns);
        message(fitted.check(&set))
    };
    let (age, weight) = (column("age", &[]), column("weight", &[]));
    let colour = column("colour", &["blue", "red"]);
    assert!(
        with(vec![weight.clone(), colour.clone(), age.clone()])
            .contains("expected column 1 to be `age` but got `weight` (`age` is column 3 here)")
    );
    let pink = column("colour", &["blue", "pink"]);
    assert!(with(vec![age.clone(), pink, weight.clone()]).contains(
        "expected the categories blue, green, red in column 2 (`colour`) but got `pink` as well"
    ));
    let number = column("colour", &[]);
    assert!(
        with(vec![age.clone(), number, weight])
            .contains("expected categories in column 2 (`colour`) but got numbers")
    );
    assert!(
        message(fitted.check(&numbers(&array![[1.0]])))
            .contains("expected 3 columns, which the model was fitted on, but got 1 columns")
    );
}

#[test]
fn categories_are_found_by_name() {
    let rows = array![[1.0, 0.0, 5.0], [3.0, 2.0, 9.0]];
    let fitted = Preparation::fit(&table(&rows), &config(Scale::None)).unwrap();
    let colour = column("colour", &["green", "red"]);
    let columns = vec![column("age", &[]), colour, column("weight", &[])];
    let other = array![[7.0, 1.0, 8.0], [7.0, 0.0, 8.0]];
    let other = dataset(Held(other), Element::Text, columns);
    let out = prepared(&fitted.check(&other).unwrap(), &*other.rows);
    assert_eq!(out, array![[7.0, 0.0, 0.0, 1.0, 8.0], [7.0, 0.0, 1.0, 0.0, 8.0]]);
    let unknown = array![[7.0, 3.0, 8.0]];
    let mut out = vec![0.0; 5];
    let refused = fitted.prepare(unknown.as_slice().unwrap(), 0, &mut out);
    assert!(message(refused).contains("the index of one of 3 categories but got 3 in row 1"));
}

#[test]
fn a_damaged_plan_is_refused() {
    let rows = array![[1.0, 2.0], [3.0, 4.0]];
    let fitted = Preparation::fit(&numbers(&rows), &config(Scale::Centre)).unwrap();
    let mut json = serde_json::to_value(&fitted).unwrap();
    json["shift"] = serde_json::json!([1.0]);
    let damaged: Preparation = serde_json::from_value(json).unwrap();
    assert!(message(damaged.check(&numbers(&rows))).contains("2 numbers each"));
}

#[test]
fn the_plan_is_kept_as_text() {
    let rows = array![[1.0, 0.0, 5.0], [3.0, 2.0, 9.25]];
    let fitted = Preparation::fit(&table(&rows), &filled(Scale::Standardise)).unwrap();
    let text = serde_json::to_string(&fitted).unwrap();
    assert!(text.contains(r#""scale":"standardise""#), "{text}");
    assert_eq!(serde_json::from_str::<Preparation>(&text).unwrap(), fitted);
    let config: PrepareConfig = serde_json::from_str(r#"{"scale":"unit_range"}"#).unwrap();
    assert_eq!(config, super::tests::config(Scale::UnitRange));
    assert!(serde_json::from_str::<PrepareConfig>(r#"{"scall":"none"}"#).is_err());
}

#[test]
fn kept_numbers_keep_their_last_bit() {
    let rows = Array2::from_shape_fn((3, 500), |(i, j)| ((i * 500 + j) as f64).sqrt());
    let fitted = Preparation::fit(&numbers(&rows), &config(Scale::Standardise)).unwrap();
    let text = serde_json::to_string(&fitted).unwrap();
    assert_eq!(serde_json::from_str::<Preparation>(&text).unwrap(), fitted);
}

#[test]
fn neither_blocks_nor_threads_change_a_bit() {
    let mut rows = Array2::from_shape_fn((997, 130), |(i, j)| {
        ((i * 7919 + j * 104_729) % 1013) as f64 / 7.0 + 1e6 * j as f64
    });
    rows[[13, 2]] = f64::NAN;
    let set = numbers(&rows);
    let fit = |block| Preparation::fit_by_blocks(&set, &filled(Scale::Standardise), block).unwrap();
    let reference = fit(1024);
    for block in [1, 2, 63, 500, 997] {
        assert_eq!(fit(block), reference, "blocks of {block}");
    }
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(one_thread.install(|| fit(100)), reference);
}

proptest! {
    #[test]
    fn invert_undoes_prepare(
        values in prop::collection::vec(-1e4..1e4_f64, 12),
        offset in -1e5..1e5_f64,
        scale in prop::sample::select(vec![
            Scale::Auto, Scale::None, Scale::Centre, Scale::Standardise, Scale::UnitRange,
        ]),
        row_norm: bool,
    ) {
        let mut rows = Array2::from_shape_vec((4, 3), values).unwrap() + offset;
        rows.column_mut(1).mapv_inplace(|x| x.abs() % 3.0);
        rows.column_mut(1).mapv_inplace(f64::floor);
        let set = table(&rows);
        let fitted = Preparation::fit(&set, &PrepareConfig { row_norm, ..config(scale) })?;
        let out = prepared(&fitted, &*set.rows);
        let (mut norms, mut back) = (vec![0.0; 4], Array2::zeros((4, 3)));
        fitted.row_norms(rows.as_slice().unwrap(), &mut norms);
        let flat = back.as_slice_mut().unwrap();
        fitted.invert_with_norms(out.as_slice().unwrap(), &norms, flat);
        for (got, want) in back.iter().zip(&rows) {
            // Rounding is relative to the largest number in play.
            prop_assert!((got - want).abs() <= 1e-10 * (1.0 + offset.abs() / 1e4), "{got} {want}");
        }
    }
}

#[test]
fn prepared_columns_have_names() {
    let set = table(&array![[30.0, 1.0, 60.0], [40.0, 0.0, 70.0]]);
    let fitted = Preparation::fit(&set, &config(Scale::Auto)).unwrap();
    let names = ["age", "colour = blue", "colour = green", "colour = red", "weight"];
    assert_eq!(fitted.column_names(), names);
    assert_eq!(fitted.column_names().len(), fitted.output_dim());
    let unnamed = Preparation::fit(&numbers(&array![[1.0], [2.0]]), &config(Scale::Auto)).unwrap();
    assert!(unnamed.column_names().is_empty());
}
