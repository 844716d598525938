//! Activations in the files of others, written by `golden/make_activations.py` or bit by bit here.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use narrows::data::{Dataset, Element, OpenOptions, Precision, open, row_integers};

const WIDTH: usize = 3;
const ROWS: usize = 35;

fn golden(name: &str) -> String {
    format!("{}/tests/golden/activations/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn opened(name: &str) -> Dataset {
    open(&golden(name), &OpenOptions::default()).unwrap()
}

#[track_caller]
fn refused(spec: &str) -> String {
    let error = open(spec, &OpenOptions::default()).err().unwrap_or_else(|| panic!("{spec}: read"));
    assert_eq!(error.exit_code(), 2, "{error}");
    error.to_string()
}

/// The formula of the script.
fn activation(row: usize, column: usize) -> f64 {
    (((row * 7 + column * 3) % 255) as f64 - 127.0) / 8.0
}

/// Every row is that of the script from row `first` on, times `factor`: in one read of either
/// precision, and gathered.
fn assert_rows(set: &Dataset, first: usize, factor: f64) {
    let count = ROWS - first;
    assert_eq!((set.rows.rows(), set.rows.dim()), (count, WIDTH), "{}", set.name);
    let expected = |place: usize| factor * activation(first + place / WIDTH, place % WIDTH);
    let mut wide = vec![0.0_f64; count * WIDTH];
    set.rows.read_f64(0, &mut wide).unwrap();
    assert!(wide.iter().enumerate().all(|(i, &x)| x == expected(i)), "{}: {wide:?}", set.name);
    let mut narrow = vec![0.0_f32; (count - 9) * WIDTH];
    set.rows.read_f32(5, &mut narrow).unwrap();
    let mut places = narrow.iter().enumerate();
    assert!(places.all(|(i, &x)| f64::from(x) == expected(i + 5 * WIDTH)), "{}", set.name);
    let order = [count - 1, 0, 13, 13, 2, 20, 3];
    let mut gathered = vec![0.0_f32; order.len() * WIDTH];
    set.rows.gather_f32(&order, &mut gathered).unwrap();
    for (row, place) in gathered.chunks(WIDTH).zip(order) {
        let place = place * WIDTH;
        assert!((0..WIDTH).all(|j| f64::from(row[j]) == expected(place + j)), "{}", set.name);
    }
}

#[test]
fn tensors_are_rows_along_their_last_axis() {
    let kinds = [
        ("f16", Element::F16, Precision::F32),
        ("bf16", Element::Bf16, Precision::F32),
        ("f32", Element::F32, Precision::F32),
        ("f64", Element::F64, Precision::F64),
    ];
    for (name, element, precision) in kinds {
        let set = opened(&format!("tensors.safetensors#{name}"));
        assert_eq!((set.element, set.rows.precision()), (element, precision));
        assert_rows(&set, 0, 1.0);
    }
    assert_rows(&opened("one.safetensors"), 0, 1.0);
}

#[test]
fn arrays_of_half_precision_are_read() {
    for name in ["half.npy", "half_big.npy"] {
        let set = opened(name);
        assert_eq!((set.element, set.rows.precision()), (Element::F16, Precision::F32));
        assert_rows(&set, 0, 1.0);
    }
}

#[test]
fn a_tensor_is_named_where_several_could_be_meant() {
    let message = refused(&golden("tensors.safetensors"));
    assert!(
        message.contains("bf16 BF16 (7, 5, 3), f16 F16 (7, 5, 3), f32 F32 (35, 3)"),
        "{message}"
    );
    assert!(message.contains("name one: "), "{message}");
    let message = refused(&golden("tensors.safetensors#f1"));
    assert!(message.contains("'f1'; did you mean 'f16'?"), "{message}");
    for name in ["vector", "tokens"] {
        let message = refused(&golden(&format!("tensors.safetensors#{name}")));
        assert!(message.contains("with rows and columns"), "{message}");
    }
}

#[test]
fn caches_of_hugging_face_are_rows_of_tokens() {
    let set = opened("cache32");
    assert_eq!(set.element, Element::F32);
    assert_rows(&set, 0, 1.0);
    // Five sequences in the first file, of which the second row of the second file is looked up.
    assert!(set.rows.whereabouts(21).ends_with("data-00001-of-00002.arrow'"));
    assert!(set.rows.whereabouts(21).starts_with("row 2 of '"), "{}", set.rows.whereabouts(21));
    for (hook, factor) in [("blocks.0.hook", 1.0), ("blocks.1.hook", 2.0)] {
        let set = opened(&format!("cache16#{hook}"));
        assert_eq!(set.element, Element::F16);
        assert_rows(&set, 0, factor);
    }
    assert!(refused(&golden("cache16")).contains("name one: PATH#blocks.0.hook"));
    assert!(refused(&golden("cache16#blocks.1.hok")).contains("did you mean 'blocks.1.hook'"));
}

#[test]
fn token_ids_come_with_the_rows_of_a_cache() {
    for name in ["cache32", "cache16#blocks.1.hook"] {
        let integers = row_integers(&golden(name)).unwrap();
        assert_eq!(integers.keys().collect::<Vec<_>>(), ["token_ids"], "one for each row");
        let mut tokens = [0; ROWS];
        integers["token_ids"].read(0, &mut tokens).unwrap();
        assert!(tokens.into_iter().eq(0..ROWS as u32));
        let mut some = [0; 4];
        integers["token_ids"].read(18, &mut some).unwrap();
        assert_eq!(some, [18, 19, 20, 21]);
    }
}

#[test]
fn arrow_files_with_batches_and_lists_of_other_kinds_are_read() {
    let flat = opened("flat.arrow");
    assert_eq!(flat.element, Element::F64);
    assert_rows(&flat, 4, 1.0);
    assert_rows(&opened("fixed.arrow"), 0, 1.0);
}

#[test]
fn arrow_files_that_hold_no_rows_are_refused() {
    let cases = [
        ("ragged.arrow", "rows of 'x' differ in length: 2 and 1 numbers"),
        ("missing.arrow", "values of 'item' are missing"),
        ("words.arrow", "the columns x, y"),
        ("packed.arrow", "its batches are compressed"),
    ];
    for (name, problem) in cases {
        let message = refused(&golden(name));
        assert!(message.contains(problem), "{message}");
    }
}

/// A copy of a golden file with other bytes.
fn changed(folder: &Path, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let mut bytes = fs::read(golden(name)).unwrap();
    change(&mut bytes);
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn no_damage_to_a_header_is_more_than_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["fixed.arrow", "flat.arrow", "one.safetensors"] {
        let length = fs::metadata(golden(name)).unwrap().len() as usize;
        for place in 0..length.min(1200) {
            for value in [0, 0xff] {
                let path = changed(folder.path(), name, |bytes| bytes[place] = value);
                if let Ok(set) = open(path.to_str().unwrap(), &OpenOptions::default()) {
                    let mut values = vec![0.0; set.rows.rows() * set.rows.dim()];
                    let _ = set.rows.read_f32(0, &mut values);
                }
            }
        }
        for kept in [9, length / 3, length / 2] {
            let path = changed(folder.path(), name, |bytes| bytes.truncate(kept));
            refused(path.to_str().unwrap());
        }
    }
}

/// `(−1)^sign · 2^(exponent − bias) · (1 + fraction / 2^digits)`, of the smallest exponent without the 1.
fn decoded(bits: u16, digits: i32, bias: i32) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let exponent = i32::from((bits & 0x7fff) >> digits);
    let fraction = f64::from(bits & ((1 << digits) - 1)) / f64::powi(2.0, digits);
    let largest = (1 << (15 - digits)) - 1;
    match exponent {
        0 => sign * fraction * f64::powi(2.0, 1 - bias),
        _ if exponent == largest && fraction == 0.0 => sign * f64::INFINITY,
        _ if exponent == largest => f64::NAN,
        _ => sign * (1.0 + fraction) * f64::powi(2.0, exponent - bias),
    }
}

#[test]
fn all_numbers_of_two_bytes_are_decoded() {
    let folder = tempfile::tempdir().unwrap();
    for (dtype, digits, bias) in [("F16", 10, 15), ("BF16", 7, 127)] {
        // Odd lengths, so that the ends of what is widened together are passed too.
        let (rows, dim) = (331, 199);
        let header = format!(
            r#"{{"x":{{"dtype":"{dtype}","shape":[{rows},{dim}],"data_offsets":[0,{}]}}}}"#,
            rows * dim * 2
        );
        let numbers = (0..rows * dim).flat_map(|i| (i as u16).to_le_bytes());
        let length = (header.len() as u64).to_le_bytes();
        let bytes: Vec<u8> = length.into_iter().chain(header.bytes()).chain(numbers).collect();
        let path = folder.path().join("all");
        fs::write(&path, bytes).unwrap();
        let set = open(path.to_str().unwrap(), &OpenOptions::default()).unwrap();
        let (mut wide, mut narrow) = (vec![0.0_f64; rows * dim], vec![0.0_f32; rows * dim]);
        set.rows.read_f64(0, &mut wide).unwrap();
        set.rows.read_f32(0, &mut narrow).unwrap();
        for (bits, (wide, narrow)) in wide.into_iter().zip(narrow).enumerate() {
            let exact = decoded(bits as u16, digits, bias);
            assert!(wide == exact || wide.is_nan() && exact.is_nan(), "{dtype} {bits:x}: {wide}");
            assert!(f64::from(narrow) == exact || narrow.is_nan() && exact.is_nan(), "{bits:x}");
        }
    }
}
