//! Every reader against bytes written by someone else: by hand here, or by numpy and zlib in
//! `golden/make_readers.py`.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use narrows::Error;
use narrows::data::{
    Dataset, Element, ImageShape, OpenOptions, Precision, describe, doubtful_columns, open,
};
use narrows::store::{NpyWriter, write_image, write_npy};
use ndarray::{Array2, array};
use proptest::prelude::*;

// ---------------------------------------------------------------------------------- the means

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    /// Writes a file and gives its path as text.
    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }
    fn root(&self) -> String {
        self.0.path().to_str().unwrap().to_owned()
    }
}

fn golden(name: &str) -> String {
    format!("{}/tests/golden/readers/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn opened(spec: &str) -> Dataset {
    open(spec, &OpenOptions::default()).unwrap()
}

fn refused(spec: &str) -> String {
    refused_with(spec, &OpenOptions::default())
}

fn refused_with(spec: &str, options: &OpenOptions) -> String {
    let error = open(spec, options).err().unwrap_or_else(|| panic!("{spec} was read"));
    assert_eq!(error.exit_code(), 2, "{error}");
    error.to_string()
}

#[track_caller]
fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

fn all(set: &Dataset) -> Array2<f64> {
    let mut rows = Array2::zeros((set.rows.rows(), set.rows.dim()));
    set.rows.read_f64(0, rows.as_slice_mut().unwrap()).unwrap();
    rows
}

/// Blocks of any start and length hold the same numbers as the whole, in both precisions.
fn assert_blocks_agree(set: &Dataset) {
    let (whole, dim) = (all(set), set.rows.dim());
    for start in 0..set.rows.rows() {
        for count in 1..=(set.rows.rows() - start).min(3) {
            let expected = whole.slice(ndarray::s![start..start + count, ..]);
            let mut wide = vec![0.0_f64; count * dim];
            set.rows.read_f64(start, &mut wide).unwrap();
            assert!(same_bits(wide.iter().copied(), expected.iter().copied()));
            let mut narrow = vec![0.0_f32; count * dim];
            set.rows.read_f32(start, &mut narrow).unwrap();
            let rounded = expected.iter().map(|value| f64::from(*value as f32));
            assert!(same_bits(narrow.iter().map(|value| f64::from(*value)), rounded));
        }
    }
}

fn same_bits(a: impl Iterator<Item = f64>, b: impl Iterator<Item = f64>) -> bool {
    a.map(f64::to_bits).eq(b.map(f64::to_bits))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn npy(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
    let len = (text.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &len[..], text.as_bytes(), data].concat()
}

fn idx(kind: u8, shape: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, kind, shape.len() as u8];
    bytes.extend(shape.iter().flat_map(|axis| axis.to_be_bytes()));
    bytes.extend(data);
    bytes
}

fn pgm(width: usize, height: usize, pixels: &[u8]) -> Vec<u8> {
    [format!("P5\n{width} {height}\n255\n").as_bytes(), pixels].concat()
}

// ------------------------------------------------------------------------------- npy and npz

/// The number at `(i, j)` of the arrays that `make_readers.py` writes.
fn stored_value(kind: &str, i: usize, j: usize) -> f64 {
    let whole = |low: i128, high: i128| [low + j as i128, j as i128, high - j as i128][i] as f64;
    match kind {
        "b1" => ((i + j) % 2) as f64,
        "u1" => whole(0, u8::MAX.into()),
        "i1" => whole(i8::MIN.into(), i8::MAX.into()),
        "u2" => whole(0, u16::MAX.into()),
        "i2" => whole(i16::MIN.into(), i16::MAX.into()),
        "u4" => whole(0, u32::MAX.into()),
        "i4" => whole(i32::MIN.into(), i32::MAX.into()),
        "u8" => whole(0, u64::MAX.into()),
        "i8" => whole(i64::MIN.into(), i64::MAX.into()),
        "f4" => f64::from((stored_value("f8", i, j)) as f32),
        _ => [1.0, -1.0, 1.0][i] / (1 + 4 * i + j) as f64,
    }
}

#[test]
fn numpys_arrays_of_every_type_order_and_endianness() {
    let kinds = ["b1", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"];
    for kind in kinds {
        for layout in ["C_little", "C_big", "F_little", "F_big"] {
            let name = format!("{}#{kind}_{layout}", golden("arrays.npz"));
            let set = opened(&name);
            let expected = Array2::from_shape_fn((3, 4), |(i, j)| stored_value(kind, i, j));
            assert_eq!(all(&set), expected, "{name}");
            assert_blocks_agree(&set);
            let needs_f64 = ["u4", "i4", "u8", "i8", "f8"].contains(&kind);
            assert_eq!(set.rows.precision() == Precision::F64, needs_f64, "{name}");
            let element = match kind {
                "u1" => Element::U8,
                "f4" => Element::F32,
                "f8" => Element::F64,
                _ => Element::Integer,
            };
            assert_eq!((set.element, set.image), (element, None), "{name}");
        }
    }
}

#[test]
fn the_trailing_axes_of_numpys_arrays_become_columns() {
    for name in ["cube_C", "cube_F"] {
        let set = opened(&format!("{}#{name}", golden("arrays.npz")));
        let expected = Array2::from_shape_fn((2, 12), |(i, j)| (12 * i + j) as f64);
        assert_eq!(all(&set), expected, "{name}");
        assert_blocks_agree(&set);
        assert_eq!(set.image, Some(ImageShape { height: 3, width: 4, channels: 1 }), "{name}");
    }
    let vector = opened(&format!("{}#vector", golden("arrays.npz")));
    assert_eq!(all(&vector), array![[0.0], [1.0], [2.0], [3.0], [4.0]]);
}

#[test]
fn the_tiles_of_fortran_order_join() {
    let folder = Folder::new();
    let (rows, dim) = (700, 3);
    let data: Vec<u8> = (0..rows * dim).flat_map(|n| (n as f32).to_le_bytes()).collect();
    let set = opened(&folder.write("x.npy", npy("<f4", "True", "(700, 3)", &data)));
    assert_eq!(all(&set), Array2::from_shape_fn((rows, dim), |(i, j)| (j * rows + i) as f64));
}

#[test]
fn a_deflated_archive_gives_the_array_with_columns_unless_another_is_named() {
    let set = opened(&golden("deflated.npz"));
    assert_eq!(all(&set), Array2::from_shape_fn((3, 4), |(i, j)| stored_value("f8", i, j)));
    let options = OpenOptions {
        labels: Some(format!("{}#y", golden("deflated.npz"))),
        ..OpenOptions::default()
    };
    let labels = open(&golden("deflated.npz"), &options).unwrap().labels.unwrap();
    assert_eq!((labels.names, labels.classes), (vec!["1".into(), "3".into()], vec![1, 0, 1]));
}

#[test]
fn an_archive_says_what_it_holds() {
    let archive = golden("arrays.npz");
    assert_says(
        &refused(&archive),
        &["one array", "cube_F (2, 3, 4)", "vector (5,)", "words (not numbers)", "#NAME"],
    );
    assert_says(&refused(&format!("{archive}#cube_X")), &["'cube_X'", "did you mean 'cube_"]);
    assert_says(&refused(&format!("{archive}#complex")), &["'<c16'", "astype"]);
    assert_says(&refused(&format!("{archive}#words")), &["'<U2'", "astype"]);
    assert_says(&refused(&format!("{archive}#record")), &["[('x', '<f4')"]);
    assert_says(&refused(&format!("{archive}#empty")), &["at least one row", "(0, 4)"]);
    assert_says(&refused(&format!("{archive}#scalar")), &["shape ()"]);
}

#[test]
fn npy_files_plain_gzipped_and_of_later_versions() {
    let folder = Folder::new();
    let bytes = npy("<f4", "False", "(2, 2)", bytemuck::cast_slice(&[1.0_f32, f32::NAN, 3.0, 4.0]));
    for (name, bytes) in [("a.npy", bytes.clone()), ("a.npy.gz", gzip(&bytes)), ("odd", bytes)] {
        let set = opened(&folder.write(name, bytes));
        assert!(all(&set)[[0, 1]].is_nan());
        assert_eq!(all(&set).row(1), array![3.0, 4.0]);
        assert_blocks_agree(&set);
    }
    let text = b"{'descr': '|u1', 'fortran_order': False, 'shape': (2L,), }";
    for version in [2, 3] {
        let len = (text.len() as u32).to_le_bytes();
        let bytes = [b"\x93NUMPY", &[version, 0][..], &len, text, &[7, 8]].concat();
        assert_eq!(all(&opened(&folder.write("v.npy", bytes))), array![[7.0], [8.0]]);
    }
}

#[test]
fn npy_files_that_lie_about_their_length() {
    let folder = Folder::new();
    let refuse = |bytes: Vec<u8>| refused(&folder.write("x.npy", bytes));
    let whole = npy("<f4", "False", "(2, 2)", &[0; 16]);
    assert_says(&refuse(whole[..whole.len() - 3].to_vec()), &["needs 16 bytes, found 13", "x.npy"]);
    assert_says(&refuse([&whole[..], &[0]].concat()), &["needs 16 bytes, found 17"]);
    assert_says(&refuse(whole[..40].to_vec()), &["header is cut off"]);
    assert_says(&refuse(whole[..7].to_vec()), &["header is cut off"]);
    let huge = "(4294967296, 4294967296, 4294967296)";
    assert_says(&refuse(npy("<f8", "False", huge, &[0; 8])), &["more bytes than any memory"]);
    assert_says(&refuse(npy("<f8", "True", "(3, -1)", &[0; 8])), &["shape is not legal"]);
    assert_says(&refuse(npy("<f8", "False", "(0, 3)", &[])), &["at least one row"]);
    assert_says(&refuse(npy("<c8", "False", "(1, 1)", &[0; 8])), &["'<c8'", "astype('float32')"]);
    assert_says(&refused(&folder.write("x.npy.gz", &gzip(&whole)[..30])), &["damaged or cut off"]);
}

#[test]
fn npy_files_written_by_blocks_are_read_back_bit_by_bit() {
    let folder = Folder::new();
    let rows = Array2::from_shape_fn((50, 7), |(i, j)| 1.0 / (1.0 + (7 * i + j) as f64));
    let path = folder.path("x.npy");
    let mut writer = NpyWriter::create(&path, 50, 7, Precision::F64).unwrap();
    for block in rows.as_slice().unwrap().chunks(21) {
        writer.write_rows(block).unwrap();
    }
    assert!(!path.exists(), "the file takes its name when it is whole");
    writer.finish().unwrap();
    assert_eq!(all(&opened(path.to_str().unwrap())), rows);

    write_npy(&path, rows.t()).unwrap();
    assert_eq!(all(&opened(path.to_str().unwrap())), rows.t());
    write_npy(&path, rows.mapv(|value| value as f32).view()).unwrap();
    let set = opened(path.to_str().unwrap());
    assert_eq!((set.element, set.rows.precision()), (Element::F32, Precision::F32));
    assert_eq!(all(&set), rows.mapv(|value| f64::from(value as f32)));

    let mut writer = NpyWriter::create(&path, 1, 2, Precision::F32).unwrap();
    writer.write_rows(&[1.0_f64 / 3.0, 2.0]).unwrap();
    writer.finish().unwrap();
    assert_eq!(all(&opened(path.to_str().unwrap())), array![[f64::from(1.0_f32 / 3.0), 2.0]]);
}

#[test]
fn a_file_that_was_there_stays_until_the_new_one_is_whole() {
    let folder = Folder::new();
    let path = folder.write("x.npy", b"precious");
    let mut writer = NpyWriter::create(&path, 2, 2, Precision::F32).unwrap();
    writer.write_rows(&[1.0_f32, 2.0]).unwrap();
    assert_says(&writer.finish().unwrap_err().to_string(), &["2 × 2 numbers", "but got 2"]);
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    assert_eq!(fs::read_dir(folder.root()).unwrap().count(), 1, "nothing is left behind");
    let missing = NpyWriter::create(folder.path("no/x.npy"), 1, 1, Precision::F32).err().unwrap();
    assert_says(&missing.to_string(), &["write", "no/x.npy", "check the path"]);
}

#[cfg(unix)]
#[test]
fn written_files_are_as_readable_as_any_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let plain = folder.write("plain", b"");
    write_npy(folder.path("x.npy"), array![[1.0_f32]].view()).unwrap();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(folder.path("x.npy")), mode(plain.into()));
}

// --------------------------------------------------------------------------------------- idx

#[test]
fn idx_files_of_every_type() {
    let folder = Folder::new();
    let cases: [(u8, Vec<u8>, [f64; 2], Element); 6] = [
        (0x08, vec![0, 255], [0.0, 255.0], Element::U8),
        (0x09, vec![0x80, 0x7f], [-128.0, 127.0], Element::Integer),
        (0x0b, vec![0x80, 0, 0x01, 0x02], [-32768.0, 258.0], Element::Integer),
        (0x0c, vec![0xff, 0xff, 0xff, 0xfe, 0, 1, 0, 0], [-2.0, 65536.0], Element::Integer),
        (0x0d, vec![0x3f, 0x80, 0, 0, 0xc0, 0x20, 0, 0], [1.0, -2.5], Element::F32),
        (
            0x0e,
            vec![0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0xc0, 0x04, 0, 0, 0, 0, 0, 0],
            [1.0, -2.5],
            Element::F64,
        ),
    ];
    for (kind, data, expected, element) in cases {
        let set = opened(&folder.write("x", idx(kind, &[1, 2], &data)));
        assert_eq!(all(&set).row(0).to_vec(), expected, "type {kind}");
        assert_eq!(set.element, element);
        let set = opened(&folder.write("x.gz", gzip(&idx(kind, &[2], &data))));
        assert_eq!(all(&set).column(0).to_vec(), expected, "type {kind}");
    }
}

#[test]
fn idx_pictures_and_their_labels() {
    let folder = Folder::new();
    let images = folder.write("images.gz", gzip(&idx(8, &[3, 2, 2], &(0..12).collect::<Vec<_>>())));
    let labels = folder.write("labels", idx(8, &[3], &[9, 0, 9]));
    let options = OpenOptions { labels: Some(labels), ..OpenOptions::default() };
    let set = open(&images, &options).unwrap();
    assert_eq!(set.image, Some(ImageShape { height: 2, width: 2, channels: 1 }));
    assert_eq!(all(&set).row(2), array![8.0, 9.0, 10.0, 11.0]);
    let labels = set.labels.unwrap();
    assert_eq!((labels.names, labels.classes), (vec!["0".into(), "9".into()], vec![1, 0, 1]));
}

#[test]
fn idx_files_that_are_cut_off_or_boundless() {
    let folder = Folder::new();
    let refuse = |bytes: &[u8]| refused(&folder.write("x.idx", bytes));
    assert_says(&refuse(&idx(8, &[2, 3], &[0; 5])), &["needs 6 bytes, found 5"]);
    assert_says(&refuse(&idx(8, &[2, 3], &[0; 5])[..9]), &["idx header is cut off"]);
    assert_says(&refuse(&idx(14, &[u32::MAX; 3], &[0; 5])), &["more bytes than any memory"]);
    assert_says(&refuse(&idx(8, &[0, 4], &[])), &["at least one row"]);
}

// ------------------------------------------------------------------------------------ tables

fn table(text: impl AsRef<[u8]>) -> Dataset {
    let folder = Folder::new();
    opened(&folder.write("x.csv", text))
}

fn names(set: &Dataset) -> Vec<&str> {
    set.columns.iter().map(|column| column.name.as_str()).collect()
}

#[test]
fn a_table_with_quotes_a_mark_windows_lines_missing_cells_and_categories() {
    let set = table(
        b"\xef\xbb\xbfage,\"home, town\",height\r\n\
          3, Oslo ,1.5e0\r\n-4,\"Paris, \"\"F\"\"\",NA\r\n?,Berlin,+2\r\n5,,inf\r\n",
    );
    assert_eq!(names(&set), ["age", "home, town", "height"]);
    assert_eq!(set.columns[1].categories, ["Berlin", "Oslo", "Paris, \"F\""]);
    assert!(set.columns[0].categories.is_empty() && set.columns[2].categories.is_empty());
    let nan = f64::NAN;
    let expected = [3.0, 1.0, 1.5, -4.0, 2.0, nan, nan, 0.0, 2.0, 5.0, nan, f64::INFINITY];
    assert!(
        all(&set).iter().zip(expected).all(|(a, b)| *a == b || a.is_nan() && b.is_nan()),
        "{:?}",
        all(&set)
    );
    assert_eq!((set.element, set.rows.precision()), (Element::Text, Precision::F64));
}

#[test]
fn every_spelling_of_a_missing_cell() {
    let set = table("a,b\n1,2\n1,\n1,NA\n1,N/A\n1,NaN\n1,nan\n1,null\n1,?\n1,-\n1, \n");
    let column = all(&set).column(1).to_vec();
    assert_eq!(column[0], 2.0);
    assert!(column[1..].iter().all(|value| value.is_nan()) && column.len() == 10);
}

#[test]
fn delimiters_are_recognised() {
    let folder = Folder::new();
    let expected = array![[1.0, 2.0], [3.0, 4.5]];
    for (name, text) in [
        ("x.csv", "1,2\n3,4.5\n"),
        ("x.csv", "1;2\n3;4.5"),
        ("x.csv", "1\t2\n3\t4.5\n"),
        ("x.tsv", "1\t2\r\n3\t4.5\r\n"),
        ("x.txt", "1,2\n3,4.5\n"),
    ] {
        assert_eq!(all(&opened(&folder.write(name, text))), expected, "{text}");
    }
    let packed = folder.write("x.csv.gz", gzip(b"1,2\n3,4.5\n"));
    assert_eq!(all(&opened(&packed)), expected);
    let set = table("town;rate\nOslo, N;1\nParis, F;2\n");
    assert_eq!(names(&set), ["town", "rate"]);
    assert_eq!(all(&opened(&folder.write("one.tsv", "a,b\t1\nc\t2\n"))).dim(), (2, 2));
}

#[test]
fn headers_are_recognised() {
    assert_eq!(names(&table("a,b\n1,2\n")), ["a", "b"]);
    assert_eq!(names(&table("1,2\n3,4\n")), ["column 1", "column 2"]);
    assert_eq!(names(&table(",x\n0,2\n1,3\n")), ["column 1", "x"]);
    // Words below words: nothing tells the first line apart.
    assert_eq!(all(&table("red,green\nblue,red\n")).dim(), (2, 2));
    // Different names above columns that mix numbers and words.
    assert_eq!(names(&table("id,size\n7,big\nx,3\n")), ["id", "size"]);
    // The same, but a name twice: not a header.
    assert_eq!(all(&table("x,x\n7,big\nx,3\n")).dim(), (3, 2));
    // A first line with missing cells is data.
    assert_eq!(all(&table("NA,2\n1,3\n")).dim(), (2, 2));
}

#[test]
fn a_column_of_labels_leaves_the_data() {
    let folder = Folder::new();
    let path = folder.write("x.csv", "a,kind,b\n1,10,3\n4,9,6\n7,10,9\n");
    for name in ["kind", "2"] {
        let options = OpenOptions { label_column: Some(name.into()), ..OpenOptions::default() };
        let set = open(&path, &options).unwrap();
        assert_eq!(all(&set), array![[1.0, 3.0], [4.0, 6.0], [7.0, 9.0]]);
        assert_eq!(names(&set), ["a", "b"]);
        let labels = set.labels.unwrap();
        assert_eq!((labels.names, labels.classes), (vec!["9".into(), "10".into()], vec![1, 0, 1]));
    }
    let options =
        |name: &str| OpenOptions { label_column: Some(name.into()), ..Default::default() };
    assert_says(&refused_with(&path, &options("knid")), &["'knid'", "did you mean 'kind'?"]);
    assert_says(&refused_with(&path, &options("4")), &["1 to 3", "'4'"]);
    let only = folder.write("only.csv", "kind\n1\n2\n");
    assert_says(&refused_with(&only, &options("kind")), &["one column of data"]);
    let gap = folder.write("gap.csv", "a,kind\n1,x\n2,NA\n");
    assert_says(&refused_with(&gap, &options("kind")), &["none for row 2", "column kind"]);
}

#[test]
fn columns_that_a_slip_made_categories_are_told() {
    let folder = Folder::new();
    let line = |row: usize| {
        let weight = if row == 200 { "n.d.".to_owned() } else { format!("{}", row % 295) };
        let colour = ["red", "blue"][row % 2];
        format!("{row},{weight},{colour},person {row}\n")
    };
    let lines: String = (0..300).map(line).collect();
    let set = opened(&folder.write("x.csv", format!("a,b,c,name\n{lines}")));
    let told = doubtful_columns(&set).unwrap();
    assert_eq!(told.len(), 2, "{told:?}");
    let expected =
        "column 'b': 299 of 300 cells are numbers, row 201 is 'n.d.'; taken as 295 categories";
    assert!(told[0].starts_with(expected), "{told:?}");
    assert!(told[1].starts_with("column 'name': 300 categories in 300 cells"), "{told:?}");
    // Of few rows all may differ, and of categories some may be numbers.
    for text in ["a,city\n1,Bonn\n2,Ulm\n", "a,floor\n1,G\n2,1\n3,2\n4,G\n5,1\n"] {
        let set = opened(&folder.write("few.csv", text));
        assert_eq!(doubtful_columns(&set).unwrap(), [""; 0]);
    }
    // A dash is a missing cell, not a word.
    let missing: String = (0..30).map(|row| format!("{row},-\n{row},{row}\n")).collect();
    let set = opened(&folder.write("missing.csv", format!("a,b\n{missing}")));
    assert_eq!(doubtful_columns(&set).unwrap(), [""; 0]);
}

#[test]
fn tables_that_are_ragged_empty_or_no_text() {
    let folder = Folder::new();
    let refuse = |text: &[u8]| refused(&folder.write("x.csv", text));
    assert_says(&refuse(b"a,b\n1,2\n3\n"), &["line 3: expected 2 cells but got 1", "x.csv"]);
    assert_says(&refuse(b"a;b\n1;2\n3;4;5\n"), &["line 3: expected 2 cells but got 3"]);
    for empty in [&b""[..], b"\n\n", b"a,b\n"] {
        assert_says(&refuse(empty), &["at least one row"]);
    }
    assert_says(&refuse(b"\xff\xfea\0,\0b\0"), &["not UTF-8"]);
}

// -------------------------------------------------------------------------------------- labels

#[test]
fn labels_in_text_files() {
    let folder = Folder::new();
    let data = folder.write("x.csv", "1\n2\n3\n");
    let read = |labels: String| {
        let labels = open(&data, &OpenOptions { labels: Some(labels), ..Default::default() })
            .unwrap()
            .labels
            .unwrap();
        (labels.names, labels.classes)
    };
    let expected = (vec!["a cat".to_owned(), "dog".to_owned()], vec![1, 0, 1]);
    assert_eq!(read(folder.write("l.txt", "dog\n a cat\r\ndog\n\n")), expected);
    assert_eq!(read(folder.write("l.txt.gz", gzip(b"dog\na cat\ndog"))), expected);
    assert_eq!(read(folder.write("l.csv", "kind\ndog\n\"a cat\"\ndog\n")), expected);
    let mixed = (vec!["2".into(), "10".into(), "x".into()], vec![1, 2, 0]);
    assert_eq!(read(folder.write("l.txt", "10\nx\n2\n")), mixed);
    let floats = npy("<f4", "False", "(3,)", bytemuck::cast_slice(&[1.0_f32, 0.0, 1.0]));
    assert_eq!(read(folder.write("l.npy", floats)).0, ["0", "1"]);
}

#[test]
fn labels_that_do_not_belong_to_the_rows() {
    let folder = Folder::new();
    let data = folder.write("x.csv", "1\n2\n3\n");
    let refuse = |name: &str, bytes: &[u8]| {
        let labels = Some(folder.write(name, bytes));
        refused_with(&data, &OpenOptions { labels, ..Default::default() })
    };
    assert_says(&refuse("l.txt", b"a\nb\n"), &["3 labels", "but got 2", "l.txt"]);
    assert_says(&refuse("l.txt", b"1\n2\n3\n4\n"), &["3 labels", "but got 4"]);
    assert_says(&refuse("l.txt", b"a\n\nb\n"), &["none for row 2"]);
    assert_says(&refuse("l.csv", b"a,b\nc,d\ne,f\n"), &["one column", "2 columns"]);
    let nan = npy("<f4", "False", "(3,)", bytemuck::cast_slice(&[1.0, f32::NAN, 0.0]));
    assert_says(&refuse("l.npy", &nan), &["none for row 2"]);
    let wide = npy("|u1", "False", "(3, 2)", &[0; 6]);
    assert_says(&refuse("l.npy", &wide), &["one column", "2 columns"]);
    let ids = npy("<u8", "False", "(3,)", &[255; 24]);
    assert_says(&refuse("l.npy", &ids), &["18446744073709552000"]);
    let both = OpenOptions {
        labels: Some("l".into()),
        label_column: Some("1".into()),
        ..Default::default()
    };
    assert_says(&refused_with(&data, &both), &["not both"]);
}

// -------------------------------------------------------------------------------------- images

#[test]
fn pictures_written_by_the_letter_of_their_formats() {
    let colour = OpenOptions { colour: true, ..OpenOptions::default() };
    let grey = |r: u32, g: u32, b: u32| f64::from((2126 * r + 7152 * g + 722 * b) / 10_000);
    let row = |set: &Dataset| all(set).row(0).to_vec();

    let set = opened(&golden("grey.png"));
    assert_eq!(row(&set), [0.0, 10.0, 255.0, 1.0, 2.0, 3.0]);
    assert_eq!(set.image, Some(ImageShape { height: 2, width: 3, channels: 1 }));
    assert_eq!((set.element, &set.row_names[..]), (Element::U8, &["grey.png".to_owned()][..]));
    for name in ["coloured.png", "transparent.png"] {
        assert_eq!(row(&opened(&golden(name))), [grey(255, 0, 0), grey(10, 200, 30)], "{name}");
        let set = open(&golden(name), &colour).unwrap();
        assert_eq!(row(&set), [255.0, 0.0, 0.0, 10.0, 200.0, 30.0], "{name}");
        assert_eq!(set.image, Some(ImageShape { height: 1, width: 2, channels: 3 }));
    }
    assert_eq!(row(&opened(&golden("grey16.png"))), [0.0, 1.0, 255.0, 1.0]);

    let folder = Folder::new();
    let set = opened(&folder.write("x.ppm", b"P6 2 1 255\n\xff\x00\x00\x0a\xc8\x1e"));
    assert_eq!(row(&set), [grey(255, 0, 0), grey(10, 200, 30)]);
    assert_eq!(
        row(&opened(&folder.write("x.pgm", b"P2\n# by hand\n2 1\n255\n7 250\n"))),
        [7.0, 250.0]
    );
    let deep = b"P5 2 1 65535\n\x01\x01\xff\xff";
    assert_eq!(row(&opened(&folder.write("x.pgm", deep))), [1.0, 255.0]);
}

#[test]
fn a_jpeg_of_one_grey_keeps_it() {
    let folder = Folder::new();
    let path = folder.path("x.jpg");
    image::GrayImage::from_pixel(20, 10, image::Luma([100])).save(&path).unwrap();
    let set = opened(path.to_str().unwrap());
    assert_eq!(set.image, Some(ImageShape { height: 10, width: 20, channels: 1 }));
    assert!(all(&set).iter().all(|value| (value - 100.0).abs() <= 1.0));
}

#[test]
fn a_photograph_taken_sideways_is_turned_upright() {
    let folder = Folder::new();
    // Dark on the left; orientation 6 asks for a quarter turn to the right, so dark on the top.
    let sideways = image::GrayImage::from_fn(32, 16, |x, _| image::Luma([x as u8 / 16 * 200]));
    let mut jpeg = std::io::Cursor::new(Vec::new());
    sideways.write_to(&mut jpeg, image::ImageFormat::Jpeg).unwrap();
    let tiff = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let length = (tiff.len() as u16 + 2).to_be_bytes();
    let (start, rest) = jpeg.get_ref().split_at(2);
    let bytes = [start, b"\xff\xe1", &length, tiff, rest].concat();
    let set = opened(&folder.write("x.jpg", bytes));
    assert_eq!(set.image, Some(ImageShape { height: 32, width: 16, channels: 1 }));
    let row = all(&set).row(0).to_vec();
    assert!(row[..100].iter().all(|v| *v < 10.0) && row[412..].iter().all(|v| *v > 190.0));
}

#[test]
fn a_folder_of_pictures_in_natural_order() {
    let folder = Folder::new();
    for name in ["10.pgm", "2.pgm", "1.PGM"] {
        folder.write(name, pgm(2, 1, &[name.len() as u8, 5]));
    }
    folder.write("README", "not a picture");
    folder.write(".DS_Store", "neither");
    folder.write("._1.pgm", "nor this");
    let set = opened(&folder.root());
    assert_eq!(set.row_names, ["1.PGM", "2.pgm", "10.pgm"]);
    assert_eq!(all(&set), array![[5.0, 5.0], [5.0, 5.0], [6.0, 5.0]]);
    assert!(set.labels.is_none());
    let before = set.content_hash;
    folder.write("2.pgm", pgm(2, 1, &[0, 0]));
    assert_ne!(opened(&folder.root()).content_hash, before);
}

#[test]
fn the_sub_folders_are_the_classes() {
    let folder = Folder::new();
    for (place, name) in ["s10/1.pgm", "s2/10.pgm", "s2/9.pgm"].iter().enumerate() {
        folder.write(name, pgm(1, 1, &[place as u8]));
    }
    fs::create_dir(folder.path("without")).unwrap();
    let set = opened(&folder.root());
    assert_eq!(set.row_names, ["s2/9.pgm", "s2/10.pgm", "s10/1.pgm"]);
    assert_eq!(all(&set), array![[2.0], [1.0], [0.0]]);
    let labels = set.labels.unwrap();
    assert_eq!((labels.names, labels.classes), (vec!["s10".into(), "s2".into()], vec![1, 1, 0]));
    folder.write("stray.pgm", pgm(1, 1, &[0]));
    assert_says(&refused(&folder.root()), &["beside sub-folders", "stray.pgm"]);
}

#[test]
fn pictures_of_different_sizes_are_resized_or_refused() {
    let folder = Folder::new();
    folder.write("1.pgm", pgm(2, 2, &[10, 20, 30, 40]));
    folder.write("2.pgm", pgm(2, 2, &[0; 4]));
    folder.write("3.pgm", pgm(4, 4, &[80; 16]));
    folder.write("4.pgm", pgm(1, 1, &[9]));
    assert_says(&refused(&folder.root()), &["'1.pgm', 2x2", "'3.pgm', 4x4", "--resize 2x2"]);
    let resized = |size| OpenOptions { resize: Some(size), ..OpenOptions::default() };
    let set = open(&folder.root(), &resized((2, 2))).unwrap();
    assert_eq!(all(&set).row(0), array![10.0, 20.0, 30.0, 40.0]);
    assert!(all(&set).row(2).iter().all(|value| *value == 80.0));
    let set = open(&folder.root(), &resized((3, 1))).unwrap();
    assert_eq!(set.image, Some(ImageShape { height: 1, width: 3, channels: 1 }));
    for size in [(0, 2), (1 << 40, 1), (1 << 20, 1 << 20)] {
        assert_says(&refused_with(&folder.root(), &resized(size)), &["resize images"]);
    }
}

#[test]
fn shrinking_weighs_by_a_triangle_and_keeps_the_mean() {
    let folder = Folder::new();
    let pixels: Vec<u8> = (0..64).map(|n| if n % 2 == 0 { 0 } else { 200 }).collect();
    let path = folder.write("x.pgm", pgm(8, 8, &pixels));
    let options = OpenOptions { resize: Some((2, 2)), ..OpenOptions::default() };
    let mean = all(&open(&path, &options).unwrap()).mean().unwrap();
    assert!((mean - 100.0).abs() <= 1.0, "{mean}");
}

#[test]
fn pictures_that_are_broken_or_not_there() {
    let folder = Folder::new();
    assert_says(&refused(&folder.root()), &["a folder without images"]);
    folder.write("1.pgm", pgm(2, 2, &[0; 4]));
    folder.write("2.pgm", &pgm(2, 2, &[0; 4])[..10]);
    folder.write("3.png", b"no picture at all");
    assert_says(&refused(&folder.root()), &["2.pgm", "cannot be decoded"]);
    folder.write("2.pgm", b"P5\n60000 60000\n255\n");
    assert_says(&refused(&folder.root()), &["2.pgm", "cannot be decoded"]);
    folder.write("2.pgm", b"P5\n4294967295 4294967295\n255\n");
    assert_says(&refused(&folder.root()), &["2.pgm", "cannot be decoded"]);
}

#[test]
fn written_pictures_are_read_back() {
    let folder = Folder::new();
    let pixels: Vec<u8> = (0..24).map(|n| n * 10).collect();
    let grey = ImageShape { height: 4, width: 6, channels: 1 };
    let coloured = ImageShape { height: 4, width: 2, channels: 3 };
    for (name, shape) in
        [("a.png", grey), ("a.pgm", grey), ("b.png", coloured), ("b.ppm", coloured)]
    {
        write_image(folder.path(name), &pixels, shape).unwrap();
        let options = OpenOptions { colour: shape.channels == 3, ..OpenOptions::default() };
        let set = open(folder.path(name).to_str().unwrap(), &options).unwrap();
        assert_eq!(set.image, Some(shape), "{name}");
        assert!(all(&set).iter().copied().eq(pixels.iter().map(|p| f64::from(*p))), "{name}");
    }
    let refuse =
        |name: &str, shape| write_image(folder.path(name), &pixels, shape).unwrap_err().to_string();
    assert_says(&refuse("b.pgm", coloured), &["b.pgm", "3 channels"]);
    assert_says(&refuse("b.gif", grey), &[".png", "b.gif"]);
    assert_says(&refuse("b.png", ImageShape { width: 5, ..grey }), &["4 × 5 × 1", "but got 24"]);
}

// ---------------------------------------------------------------------------------------- open

#[test]
fn paths_that_lead_nowhere() {
    let folder = Folder::new();
    let file = folder.write("faces.npy", npy("|u1", "False", "(1, 1)", &[0]));
    let typo = folder.path("face.npy").to_str().unwrap().to_owned();
    assert_says(&refused(&typo), &["no 'face.npy'", &folder.root(), "did you mean 'faces.npy'?"]);
    let deep = folder.path("a/b/c.npy").to_str().unwrap().to_owned();
    assert_says(&refused(&deep), &["no 'a' in", &folder.root()]);
    assert_says(&refused("nowhere-at-all.npz#x"), &["no 'nowhere-at-all.npz' in '.'"]);
    assert_says(
        &refused(&format!("{file}#x")),
        &["npz, safetensors or a data set of Arrow before '#'"],
    );
    assert_says(&refused(&folder.write("x.parquet", b"PAR1")), &["npy", "csv", "which is none"]);
    assert_says(&refused(&folder.write("x.npy", b"hello")), &["which is none"]);
    #[cfg(unix)]
    assert_says(&refused("/dev/zero"), &["a pipe or a device"]);
    let hash = folder.write("a#b.csv", "1,2\n");
    assert_eq!(all(&opened(&hash)), array![[1.0, 2.0]]);
}

#[test]
fn options_that_would_do_nothing_are_refused() {
    let folder = Folder::new();
    let file = folder.write("x.npy", npy("|u1", "False", "(1, 1)", &[0]));
    let cases = [
        (OpenOptions { colour: true, ..Default::default() }, "--colour"),
        (OpenOptions { resize: Some((1, 1)), ..Default::default() }, "--resize"),
        (OpenOptions { label_column: Some("a".into()), ..Default::default() }, "--label-column"),
    ];
    for (options, name) in cases {
        assert_says(&refused_with(&file, &options), &[&format!("leave {name} out")]);
    }
}

// ------------------------------------------------------------------------------------ describe

#[test]
fn a_description_counts_what_is_there() {
    let folder = Folder::new();
    let text = "a,b,c,d\n1,0,x,7\n2,,y,7\n-6,0,x,7\n3,inf,x,7\n";
    let set = opened(&folder.write("x.csv", text));
    let found = describe(&set).unwrap();
    assert_eq!((found.rows, found.dim, found.bytes_as_f32), (4, 4, 64));
    assert_eq!((found.minimum, found.maximum), (Some(-6.0), Some(7.0)));
    // a: 1 + 2 − 6 + 3; b: 0 + 0; d: 28; of 10 finite values. c holds categories, not quantities.
    assert_eq!((found.mean, found.zeros), (Some(28.0 / 10.0), 2.0 / 12.0));
    assert_eq!((found.missing, found.infinite), (1, 1));
    let place = |p: Option<narrows::data::Place>| p.map(|p| (p.row, p.column));
    assert_eq!(place(found.first_missing), Some((2, 2)));
    assert_eq!(place(found.first_infinite), Some((4, 2)));
    assert_eq!((found.constant_columns, &found.constant_names[..]), (1, &["d".to_owned()][..]));
    let a = &found.columns[0];
    assert_eq!((a.minimum, a.maximum, a.mean, a.missing), (Some(-6.0), Some(3.0), Some(0.0), 0));
    assert_eq!((found.columns[1].mean, found.columns[1].missing), (Some(0.0), 1));
    assert_eq!(
        (found.columns[2].mean, &found.columns[2].categories[..]),
        (None, &["x".to_owned(), "y".into()][..])
    );
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["first_missing"]["row"], 2);
}

#[test]
fn a_description_as_a_screen() {
    let folder = Folder::new();
    let path = folder.write("x.csv", "size,colour,kind\n1.25,red,a\n,blue,b\n3,red,a\n");
    let options = OpenOptions { label_column: Some("kind".into()), ..Default::default() };
    let mut set = open(&path, &options).unwrap();
    set.name = "x.csv".into();
    insta::assert_snapshot!(describe(&set).unwrap().screen(), @r"
    x.csv

      rows       3
      columns    2
      numbers    read from text
      range      1.25 to 3, mean 2.125
      zeros      0.0 %
      names      in 1 of the columns
      missing    1, the first in row 2, column 1
      infinite   none
      constant   none
      classes    2: a (2), b (1)
      memory     24 bytes as f32
      content    34f9cc6cff34b44c

      column  minimum  maximum   mean  missing  categories
      size       1.25        3  2.125        1
      colour                                    blue, red
    ");
}

#[test]
fn a_description_joins_its_blocks() {
    let folder = Folder::new();
    let mut data: Vec<f32> = (0..600_000).map(|n| (n % 1000) as f32).collect();
    data[599_999] = f32::NAN;
    let bytes = npy("<f4", "False", "(300000, 2)", bytemuck::cast_slice(&data));
    let found = describe(&opened(&folder.write("x.npy", bytes))).unwrap();
    assert_eq!((found.minimum, found.maximum, found.missing), (Some(0.0), Some(999.0), 1));
    assert_eq!(found.first_missing.map(|p| (p.row, p.column)), Some((300_000, 2)));
    let expected = (499.5 * 600_000.0 - 999.0) / 599_999.0;
    assert!((found.mean.unwrap() - expected).abs() < 1e-12 * expected);
}

// ------------------------------------------------------------------------------- damaged files

/// Every kind of file that is read, small and whole.
fn whole_files() -> Vec<(&'static str, Vec<u8>)> {
    let floats: Vec<u8> = (0..12_u8).flat_map(|n| f32::from(n).to_le_bytes()).collect();
    let plain = npy("<f4", "False", "(3, 4)", &floats);
    let images = idx(8, &[2, 2, 3], &(0..12).collect::<Vec<_>>());
    let text = b"a,b,kind\n1,2.5,x\n3,,y\n\"4\",NA,x\n".to_vec();
    let golden = |name| fs::read(golden(name)).unwrap();
    let mut jpeg = std::io::Cursor::new(Vec::new());
    let picture =
        image::RgbImage::from_fn(9, 9, |x, y| image::Rgb([x as u8 * 20, y as u8 * 20, 7]));
    picture.write_to(&mut jpeg, image::ImageFormat::Jpeg).unwrap();
    vec![
        ("npy", npy("<i2", "True", "(3, 2, 2)", &floats[..24])),
        ("npy.gz", gzip(&plain)),
        ("npy", plain),
        ("npz", golden("deflated.npz")),
        ("npz", golden("arrays.npz")),
        ("idx.gz", gzip(&images)),
        ("idx", images),
        ("csv.gz", gzip(&text)),
        ("csv", text),
        ("tsv", b"1\t2\n3\t4\n".to_vec()),
        ("txt", b"cat\ndog\n".to_vec()),
        ("png", golden("coloured.png")),
        ("png", golden("grey16.png")),
        ("jpg", jpeg.into_inner()),
        ("pgm", pgm(3, 2, &[1, 2, 3, 4, 5, 6])),
        ("ppm", b"P3 1 1 255 1 2 3".to_vec()),
    ]
}

/// Opens a file in every way there is and reads all of it: what must hold is that nothing panics,
/// and that a set which opens has rows that can be read.
fn open_every_way(extension: &str, bytes: &[u8]) -> Result<(), TestCaseError> {
    let folder = Folder::new();
    let path = folder.write(&format!("x.{extension}"), bytes);
    let data = folder.write("data.csv", "1\n2\n3\n");
    let attempts = [
        (path.clone(), OpenOptions::default()),
        (format!("{path}#X"), OpenOptions::default()),
        (path.clone(), OpenOptions { label_column: Some("1".into()), ..Default::default() }),
        (path.clone(), OpenOptions { colour: true, resize: Some((2, 3)), ..Default::default() }),
        (folder.root(), OpenOptions::default()),
        (data, OpenOptions { labels: Some(path), ..Default::default() }),
    ];
    for (spec, options) in attempts {
        match open(&spec, &options) {
            Ok(set) => {
                let found = describe(&set).unwrap();
                prop_assert!(found.rows > 0 && found.dim > 0);
                prop_assert!(!found.screen().is_empty());
                let mut rows = vec![0.0_f32; found.rows * found.dim];
                set.rows.read_f32(0, &mut rows).unwrap();
                if let Some(labels) = set.labels {
                    prop_assert_eq!(labels.classes.len(), found.rows);
                    prop_assert!(labels.classes.iter().all(|class| *class < labels.names.len()));
                }
            }
            Err(error) => {
                let shown = error.to_string();
                prop_assert!(
                    matches!(error, Error::Mistake { .. } | Error::BadFile { .. }),
                    "{shown}"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn whole_files_open_and_files_cut_anywhere_never_panic() {
    for (extension, bytes) in whole_files() {
        let step = bytes.len().div_ceil(40);
        for len in (0..bytes.len()).step_by(step) {
            open_every_way(extension, &bytes[..len]).unwrap();
        }
        let folder = Folder::new();
        let spec = folder.write(&format!("x.{extension}"), &bytes);
        let arrays = bytes.len() > 10_000;
        assert_eq!(open(&spec, &OpenOptions::default()).is_ok(), !arrays, "{extension}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn random_bytes_never_panic(
        magic in proptest::sample::select(vec![
            &b""[..], b"\x93NUMPY\x01\x00", b"\x93NUMPY\x02\x00", b"PK\x03\x04", b"PK\x05\x06",
            b"\x1f\x8b\x08", b"\0\0\x08\x02", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"P5 ", b"P6\n",
        ]),
        rest in proptest::collection::vec(any::<u8>(), 0..300),
        extension in proptest::sample::select(vec!["npy", "npz", "csv", "tsv", "txt", "png", "gz"]),
    ) {
        open_every_way(extension, &[magic, &rest].concat())?;
    }

    #[test]
    fn random_text_never_panics(text in "([a-z0-9.,;\t\"\n?-]|NA|\r\n|-?[0-9]{1,3},){0,60}") {
        open_every_way("csv", text.as_bytes())?;
    }

    #[test]
    fn damaged_files_never_panic(
        file in 0..whole_files().len(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let (extension, mut bytes) = whole_files().swap_remove(file);
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        open_every_way(extension, &bytes)?;
    }

    #[test]
    fn headers_of_any_shape_never_panic(
        descr in proptest::sample::select(vec!["<f4", ">i8", "|b1", "|O", "", "<", "é4", "<m8[ns]"]),
        fortran in proptest::sample::select(vec!["True", "False", "None"]),
        shape in "\\((([0-9]{0,20}|-1|18446744073709551615),? ?){0,6}\\)?",
        data in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        open_every_way("npy", &npy(descr, fortran, &shape, &data))?;
    }

    #[test]
    fn tables_are_read_as_they_were_written(
        rows in (1_usize..6).prop_flat_map(|dim| {
            proptest::collection::vec(proptest::collection::vec(any::<f64>(), dim), 1..20)
        }),
    ) {
        let line = |row: &Vec<f64>| row.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
        let set = table(rows.iter().map(line).collect::<Vec<_>>().join("\n"));
        // The bits of a NaN are not written out.
        let plain = |value: &f64| if value.is_nan() { f64::NAN } else { *value };
        let agree = same_bits(all(&set).iter().map(plain), rows.iter().flatten().map(plain));
        prop_assert!(agree);
    }
}

// ----------------------------------------------------------------------------------- real data

/// The folder of the real sets.
fn real(name: &str) -> Option<String> {
    match std::env::var("NARROWS_DATA") {
        Ok(folder) => Some(Path::new(&folder).join(name).to_str().unwrap().to_owned()),
        Err(_) => {
            println!("skipped: NARROWS_DATA is not set");
            None
        }
    }
}

#[test]
fn mnist_has_its_known_counts() {
    let Some(images) = real("mnist/train-images-idx3-ubyte.gz") else { return };
    let labels = real("mnist/train-labels-idx1-ubyte.gz");
    let set = open(&images, &OpenOptions { labels, ..Default::default() }).unwrap();
    assert_eq!(set.image, Some(ImageShape { height: 28, width: 28, channels: 1 }));
    let found = describe(&set).unwrap();
    assert_eq!((found.rows, found.dim, found.element), (60_000, 784, Element::U8));
    assert_eq!((found.minimum, found.maximum), (Some(0.0), Some(255.0)));
    // 0.1307 of 255 is the mean that every tutorial subtracts.
    assert!((found.mean.unwrap() / 255.0 - 0.1307).abs() < 5e-5);
    let counts: Vec<usize> = found.classes.iter().map(|class| class.rows).collect();
    assert_eq!(counts, [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
    // 67 pixels at the border are never inked.
    assert_eq!(found.constant_columns, 67);
}

#[test]
fn the_faces_are_forty_people_with_ten_pictures_each() {
    let Some(folder) = real("orl-faces") else { return };
    let set = opened(&folder);
    assert_eq!(set.image, Some(ImageShape { height: 112, width: 92, channels: 1 }));
    assert_eq!((set.rows.rows(), set.rows.dim()), (400, 10_304));
    assert_eq!(set.row_names[..2], ["s1/1.pgm", "s1/2.pgm"]);
    assert_eq!(
        (set.row_names[9].as_str(), set.row_names[399].as_str()),
        ("s1/10.pgm", "s40/10.pgm")
    );
    assert!(describe(&set).unwrap().classes.iter().all(|class| class.rows == 10));
    // The last 10 304 bytes of a binary pgm are its pixels.
    let file = fs::read(Path::new(&folder).join("s7/3.pgm")).unwrap();
    let mut row = vec![0.0_f32; 10_304];
    set.rows.read_f32(62, &mut row).unwrap();
    assert!(row.iter().zip(&file[file.len() - 10_304..]).all(|(a, b)| *a == f32::from(*b)));
}

#[test]
fn the_outlier_sets_have_their_known_shapes() {
    let known = [
        ("10_cover", 286_048, 10, 2747, Element::Integer),
        ("17_InternetAds", 1966, 1555, 368, Element::F64),
        ("20_letter", 1600, 32, 100, Element::U8),
        ("42_WBC", 223, 9, 10, Element::F64),
        ("8_celeba", 202_599, 39, 4547, Element::Integer),
    ];
    for (name, rows, dim, anomalies, element) in known {
        let Some(path) = real(&format!("adbench/{name}.npz")) else { return };
        let labels = Some(format!("{path}#y"));
        let set = open(&path, &OpenOptions { labels, ..Default::default() }).unwrap();
        let found = describe(&set).unwrap();
        assert_eq!((found.rows, found.dim, found.element), (rows, dim, element), "{name}");
        assert_eq!((found.missing, found.infinite), (0, 0), "{name}");
        assert_eq!(found.classes[1].rows, anomalies, "{name}");
    }
}
