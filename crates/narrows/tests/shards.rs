//! Stores of activations: what is kept of a number, what stays after an interruption, and batches.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use narrows::compute::Matrix;
use narrows::data::{
    Manifest, OpenOptions, Order, Reading, ShardElement, Shards, Shuffle, Source, open,
    verify_shards, with_batches,
};
use narrows::random::Random;
use narrows::store::{ShardOptions, ShardWriter};
use narrows::{Error, Result};
use serde_json::{Map, Value, json};

const DIM: usize = 19;

/// Normal numbers of many sizes, a row of zeros, and the smallest and largest of single precision.
fn rows(count: usize) -> Vec<f32> {
    let mut random = Random::stream(1, "rows");
    let mut rows: Vec<f32> = (0..count * DIM)
        .map(|i| (random.normal() * f64::powi(2.0, (i / DIM % 24) as i32 - 12)) as f32)
        .collect();
    rows[DIM..2 * DIM].fill(0.0);
    rows[3 * DIM] = 1e-45;
    rows
}

fn options(element: ShardElement, rows_per_shard: usize) -> ShardOptions {
    let metadata = Map::from_iter([("tap".to_owned(), json!({"layer": 3}))]);
    let rows_per_shard = Some(rows_per_shard);
    ShardOptions { rows_per_shard, metadata, ..ShardOptions::new(DIM, element) }
}

fn write(folder: &Path, rows: &[f32], options: ShardOptions) -> Manifest {
    let mut writer = ShardWriter::create(folder, options).unwrap();
    // In pieces that end anywhere.
    rows.chunks(7 * DIM).for_each(|rows| writer.push(rows).unwrap());
    writer.finish().unwrap()
}

fn read(source: &dyn Source) -> Vec<f32> {
    let mut values = vec![0.0; source.rows() * source.dim()];
    source.read_f32(0, &mut values).unwrap();
    values
}

fn message<T>(result: Result<T>) -> String {
    let error = result.err().expect("refused");
    assert_eq!(error.exit_code(), 2, "{error}");
    error.to_string()
}

/// The bytes of a tensor, found in the file without the library.
fn tensor(path: &Path, name: &str) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..start]).unwrap();
    let place = |i: usize| start + header[name]["data_offsets"][i].as_u64().unwrap() as usize;
    bytes[place(0)..place(1)].to_vec()
}

/// All files of a folder, with their bytes.
fn everything(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap())).collect()
}

#[test]
fn single_precision_is_kept_bit_by_bit() {
    let folder = tempfile::tempdir().unwrap();
    let rows = rows(50);
    let manifest = write(folder.path(), &rows, options(ShardElement::F32, 16));
    assert_eq!(manifest.shards.iter().map(|s| s.rows).collect::<Vec<_>>(), [16, 16, 16, 2]);
    assert_eq!((manifest.rows, manifest.dim), (50, DIM));
    let kept: Vec<u8> = manifest
        .shards
        .iter()
        .flat_map(|shard| tensor(&folder.path().join(&shard.file), "activations"))
        .collect();
    assert_eq!(kept, rows.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>());
    for shard in &manifest.shards {
        let bytes = fs::read(folder.path().join(&shard.file)).unwrap();
        assert_eq!(bytes.len() as u64, shard.bytes);
        assert_eq!(blake3::hash(&bytes).to_hex().as_str(), shard.blake3);
    }
    let store = Shards::open(folder.path()).unwrap();
    assert_eq!(read(&store), rows);
    assert_eq!(store.manifest().metadata["tap"]["layer"], 3);
    let set = open(folder.path().to_str().unwrap(), &OpenOptions::default()).unwrap();
    assert_eq!(read(&*set.rows), rows);
}

#[test]
fn two_bytes_hold_the_nearest_number() {
    let rows = rows(50);
    for (element, digits, smallest) in [(ShardElement::Bf16, 8, -126), (ShardElement::F16, 11, -14)]
    {
        let folder = tempfile::tempdir().unwrap();
        let manifest = write(folder.path(), &rows, options(element, 16));
        let store = read(&Shards::open(folder.path()).unwrap());
        let mut bits = Vec::new();
        for shard in &manifest.shards {
            bits.extend(tensor(&folder.path().join(&shard.file), "activations"));
        }
        for ((&x, &kept), bits) in rows.iter().zip(&store).zip(bits.as_chunks::<2>().0) {
            // A step between neighbours of the kind at the size of `x`.
            let exponent =
                if x == 0.0 { smallest } else { f64::from(x.abs()).log2().floor() as i32 };
            let step = f64::powi(2.0, exponent.max(smallest) + 1 - digits);
            assert!(
                (f64::from(kept) - f64::from(x)).abs() <= step / 2.0,
                "{element}: {x} as {kept}"
            );
            if element == ShardElement::Bf16 {
                let shifted = f32::from_bits(u32::from(u16::from_le_bytes(*bits)) << 16);
                assert_eq!(kept.to_bits(), shifted.to_bits());
            }
        }
        // What is kept is kept again as it is.
        let again = tempfile::tempdir().unwrap();
        let second = write(again.path(), &store, options(element, 16));
        assert_eq!(second.shards, manifest.shards);
    }
}

#[test]
fn int8_errs_by_half_a_step_of_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let rows = rows(50);
    let manifest = write(folder.path(), &rows, options(ShardElement::Int8, 16));
    let store = Shards::open(folder.path()).unwrap();
    let kept = read(&store);
    let file = |shard: usize| folder.path().join(&manifest.shards[shard].file);
    for (place, (row, kept)) in rows.chunks(DIM).zip(kept.chunks(DIM)).enumerate() {
        let largest = row.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
        let scales = tensor(&file(place / 16), "scales");
        let scale = f32::from_le_bytes(scales.as_chunks::<4>().0[place % 16]);
        assert_eq!(scale, largest / 127.0);
        let whole = tensor(&file(place / 16), "activations");
        let whole = &whole[place % 16 * DIM..][..DIM];
        for ((&x, &kept), &whole) in row.iter().zip(kept).zip(whole) {
            assert_eq!(kept, f32::from(whole as i8) * scale);
            let half = f64::from(scale) * 0.5 * (1.0 + 1e-5);
            assert!((f64::from(kept) - f64::from(x)).abs() <= half, "{x} as {kept}");
        }
    }
    let mut wide = vec![0.0_f64; kept.len()];
    store.read_f64(0, &mut wide).unwrap();
    assert!(
        wide.iter()
            .zip(&kept)
            .all(|(wide, &kept)| (*wide as f32 - kept).abs() <= 1e-6 * kept.abs())
    );
}

#[test]
fn rows_are_gathered_from_anywhere_in_the_order_asked_for() {
    for element in ShardElement::ALL {
        let folder = tempfile::tempdir().unwrap();
        // Longer than a piece that a thread gathers, with rows near and far.
        write(folder.path(), &rows(3000), options(element, 700));
        let store = Shards::open(folder.path()).unwrap();
        let all = read(&store);
        let mut random = Random::stream(2, "places");
        let mut places: Vec<usize> = (0..900).map(|_| random.below(3000)).collect();
        places.extend([0, 2999, 699, 700, 700]);
        let mut out = vec![0.0; places.len() * DIM];
        store.gather_f32(&places, &mut out).unwrap();
        for (row, &place) in out.chunks(DIM).zip(&places) {
            assert_eq!(row, &all[place * DIM..][..DIM], "{element}, row {place}");
        }
        let mut some = vec![0.0; 1500 * DIM];
        store.read_f32(650, &mut some).unwrap();
        assert_eq!(some, all[650 * DIM..][..1500 * DIM]);
    }
}

#[test]
fn columns_are_kept_beside_the_rows() {
    let folder = tempfile::tempdir().unwrap();
    let columns = vec!["token_ids".to_owned(), "positions".to_owned()];
    let options = ShardOptions { columns, ..options(ShardElement::Int8, 16) };
    let mut writer = ShardWriter::create(folder.path(), options).unwrap();
    let (rows, tokens) = (rows(50), (0..50).map(|i| u32::MAX - i * i).collect::<Vec<u32>>());
    let positions: Vec<u32> = (0..50).map(|i| i % 8).collect();
    writer.push_with(&rows[..20 * DIM], &[&tokens[..20], &positions[..20]]).unwrap();
    writer.push_with(&rows[20 * DIM..], &[&tokens[20..], &positions[20..]]).unwrap();
    let manifest = writer.finish().unwrap();
    let store = Shards::open(folder.path()).unwrap();
    let mut found = [0; 40];
    store.column("token_ids").unwrap().read(5, &mut found).unwrap();
    assert_eq!(found, tokens[5..45]);
    store.column("positions").unwrap().read(5, &mut found).unwrap();
    assert_eq!(found, positions[5..45]);
    assert!(store.column("words").is_none());
    let last = tensor(&folder.path().join(&manifest.shards[3].file), "positions");
    assert_eq!(last, [48_u32 % 8, 49 % 8].iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>());
}

#[test]
fn what_was_interrupted_is_no_store_and_is_gone_on_with() {
    let home = tempfile::tempdir().unwrap();
    let (whole, part) = (home.path().join("whole"), home.path().join("part"));
    let rows = rows(50);
    write(&whole, &rows, options(ShardElement::Bf16, 16));
    for stop in [0, 5, 16, 31, 32, 49, 50] {
        let mut writer = ShardWriter::create(&part, options(ShardElement::Bf16, 16)).unwrap();
        writer.push(&rows[..stop * DIM]).unwrap();
        drop(writer);
        // What kill -9 leaves of a file that was being written.
        fs::write(part.join(".narrows-rest"), "half").unwrap();
        let unfinished = message(Shards::open(&part));
        assert!(unfinished.contains("rows were written so far"), "{unfinished}");
        assert!(
            message(open(part.to_str().unwrap(), &OpenOptions::default())).contains("--resume")
        );
        let mut writer = ShardWriter::resume(&part).unwrap();
        assert_eq!(writer.rows(), stop / 16 * 16);
        writer.push(&rows[writer.rows() * DIM..]).unwrap();
        writer.finish().unwrap();
        assert_eq!(everything(&part), everything(&whole), "stopped after {stop} rows");
        fs::remove_dir_all(&part).unwrap();
    }
    assert!(message(ShardWriter::resume(&whole)).contains("which is none"));
    let again = ShardWriter::create(&whole, options(ShardElement::Bf16, 16)).err().unwrap();
    assert!(again.to_string().contains("which is a store"), "{again}");
}

#[test]
fn every_damage_is_found_and_named() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("store");
    write(&folder, &rows(50), options(ShardElement::F32, 16));
    let second = folder.join("shard-00001.safetensors");
    let good = fs::read(&second).unwrap();
    let problems = || -> Vec<Option<String>> {
        verify_shards(&folder).unwrap().into_iter().map(|check| check.problem).collect()
    };
    assert_eq!(problems(), [None, None, None, None]);

    let mut flipped = good.clone();
    flipped[good.len() - 40] ^= 1;
    fs::write(&second, &flipped).unwrap();
    let found = problems();
    assert!(found[1].as_ref().unwrap().contains("blake3"), "{found:?}");
    assert_eq!([&found[0], &found[2], &found[3]], [&None; 3]);

    fs::write(&second, &good[..good.len() - 4]).unwrap();
    assert!(problems()[1].as_ref().unwrap().contains("bytes where the manifest says"));
    assert!(message(Shards::open(&folder)).contains("shard-00001.safetensors"));

    fs::remove_file(&second).unwrap();
    assert!(problems()[1].as_ref().unwrap().contains("the shard is missing"));
    assert!(message(Shards::open(&folder)).contains("shard-00001.safetensors"));

    // A shard of another store that happens to be as long.
    let other = home.path().join("other");
    let narrow = ShardOptions { dim: DIM * 2, ..options(ShardElement::F32, 8) };
    let mut writer = ShardWriter::create(&other, narrow).unwrap();
    writer.push(&rows(50)).unwrap();
    writer.finish().unwrap();
    let mut bytes = fs::read(other.join("shard-00000.safetensors")).unwrap();
    let space = good.len() as i64 - bytes.len() as i64;
    assert_eq!(space, 0, "headers are of one length");
    fs::write(&second, &bytes).unwrap();
    assert!(message(Shards::open(&folder)).contains("no 'activations' of F32 [16, 19]"));

    // NaN behind a hash that fits, as another program might write it.
    let place = good.len() - 4 * DIM;
    bytes = good;
    bytes[place..place + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&second, &bytes).unwrap();
    let mut manifest: Value =
        serde_json::from_slice(&fs::read(folder.join("shards.json")).unwrap()).unwrap();
    manifest["shards"][1]["blake3"] = json!(blake3::hash(&bytes).to_hex().as_str());
    fs::write(folder.join("shards.json"), manifest.to_string()).unwrap();
    assert!(problems()[1].as_ref().unwrap().contains("row 16 holds a number that is not finite"));
    let store = Shards::open(&folder).unwrap();
    let order = Order::new(1, 50, Shuffle::Global);
    let read = stream(&store, &order, 8, 0..50);
    let read = message(read);
    assert!(read.contains("NaN in row 16 of '"), "{read}");
    assert!(read.contains("shard-00001.safetensors', column 1"), "{read}");

    for (key, value) in [("rows", json!(51)), ("version", json!(2)), ("dim", json!(0))] {
        let mut wrong = manifest.clone();
        wrong[key] = value;
        fs::write(folder.join("shards.json"), wrong.to_string()).unwrap();
        assert!(message(Shards::open(&folder)).contains("shards.json"));
    }
    manifest["shards"][0]["file"] = json!("../other/shard-00000.safetensors");
    fs::write(folder.join("shards.json"), manifest.to_string()).unwrap();
    assert!(message(Shards::open(&folder)).contains("not the name of a file in the folder"));
}

#[test]
fn numbers_that_cannot_be_kept_are_refused_with_their_row() {
    // The largest that are rounded down, and what lies next to them.
    let edges = [
        (ShardElement::F16, 65_504.0, 65_519.996, 65_520.0),
        (ShardElement::Bf16, 3.389_531_4e38, 3.396_177_3e38, 3.396_177_5e38),
    ];
    for (element, kept, last, first) in edges {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = ShardWriter::create(folder.path(), options(element, 16)).unwrap();
        let mut row = vec![0.5_f32; DIM];
        row[4] = last;
        writer.push(&row).unwrap();
        for wrong in [first, -first, f32::INFINITY, f32::NAN] {
            row[4] = wrong;
            let refused = message(writer.push(&row));
            assert!(refused.contains("in row 2, column 5"), "{refused}");
        }
        writer.finish().unwrap();
        assert_eq!(read(&Shards::open(folder.path()).unwrap())[4], kept, "{element}");
    }
}

/// Positions and rows of all batches.
fn stream(
    source: &dyn Source,
    order: &Order,
    batch_size: usize,
    positions: std::ops::Range<u64>,
) -> Result<Vec<(u64, Vec<f32>)>> {
    let reading = Reading { source, targets: None, order, batch_size, positions };
    with_batches(&reading, |batches| {
        let mut all = Vec::new();
        while let Some(batch) = batches.advance()? {
            let rows = batch.rows.as_slice().chunks(source.dim()).map(<[f32]>::to_vec);
            all.extend((batch.position..).zip(rows));
        }
        Ok(all)
    })
}

#[test]
fn a_stream_goes_on_at_any_row_as_if_it_had_not_stopped() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &rows(301), options(ShardElement::Bf16, 64));
    let store = Shards::open(folder.path()).unwrap();
    let all = read(&store);
    for shuffle in [Shuffle::None, Shuffle::Global, Shuffle::Blocks { rows: 4 }] {
        let order = Order::new(4, 301, shuffle);
        let whole = stream(&store, &order, 32, 0..903).unwrap();
        assert!(whole.iter().map(|(position, _)| *position).eq(0..903));
        for (position, row) in &whole {
            let place = order.place(*position);
            assert_eq!(row, &all[place * DIM..][..DIM]);
        }
        for first in [1, 31, 300, 301, 500, 902] {
            let rest = stream(&store, &order, 32, first..903).unwrap();
            assert_eq!(rest, whole[first as usize..], "{shuffle:?} from {first}");
        }
        assert!(stream(&store, &order, 32, 903..903).unwrap().is_empty());
    }
}

#[test]
fn batches_are_of_one_size_but_the_last_and_bytes_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &rows(100), options(ShardElement::Bf16, 64));
    let store = Shards::open(folder.path()).unwrap();
    let order = Order::new(4, 100, Shuffle::None);
    let reading =
        Reading { source: &store, targets: None, order: &order, batch_size: 32, positions: 0..100 };
    let before = store.bytes_read();
    let bytes = with_batches(&reading, |batches| {
        for rows in [32, 32, 32, 4] {
            assert_eq!(batches.advance()?.unwrap().rows.rows(), rows);
        }
        assert!(batches.advance()?.is_none());
        assert!(batches.advance()?.is_none(), "and so it stays");
        Ok(batches.bytes_read())
    });
    assert_eq!(bytes.unwrap(), 100 * DIM as u64 * 2);
    assert_eq!(store.bytes_read() - before, 100 * DIM as u64 * 2);
    // Whoever stops early is not kept waiting.
    with_batches(&reading, |batches| batches.advance().map(|_| ())).unwrap();
    let failed: Result<()> = with_batches(&reading, |_| Err(Error::failure("fit", "no", "none")));
    assert!(failed.is_err());
}

#[test]
fn targets_come_with_their_rows() {
    let inputs = Matrix::from_rows(50, 2, (0..100_u8).map(f32::from).collect()).unwrap();
    let outputs = Matrix::from_rows(50, 1, (0..50_u8).map(|i| -f32::from(i)).collect()).unwrap();
    let order = Order::new(1, 50, Shuffle::Global);
    let reading = |targets| Reading {
        source: &inputs,
        targets: Some(targets),
        order: &order,
        batch_size: 8,
        positions: 0..70,
    };
    let seen = with_batches(&reading(&outputs), |batches| {
        let mut seen = 0;
        while let Some(batch) = batches.advance()? {
            let targets = batch.targets.unwrap();
            for row in 0..batch.rows.rows() {
                assert_eq!(batch.rows.row(row)[0], -2.0 * targets.row(row)[0]);
                seen += 1;
            }
        }
        Ok(seen)
    });
    assert_eq!(seen.unwrap(), 70);
    let few = Matrix::zeros(49, 1);
    assert!(message(with_batches(&reading(&few), |_| Ok(()))).contains("49 targets"));
}
