//! Rows that are computed when they are asked for.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use narrows::compute::Matrix;
use narrows::data::{Order, Reading, Shuffle, Source, with_batches};
use narrows::random::Random;
use narrows_lm::harvest::Harvester;
use narrows_lm::source::{ActivationSource, SHUFFLED_ROWS};
use narrows_lm::text::Windows;
use narrows_lm::{LanguageModel, Tap};

const BLOCKS: usize = 70;

fn model() -> LanguageModel {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/models/neox-parallel");
    LanguageModel::open(&folder).unwrap()
}

fn windows(length: usize, tokens: usize) -> Windows {
    let mut random = Random::stream(3, "tokens");
    Windows::new((0..tokens).map(|_| random.below(40) as u32).collect(), length)
}

/// More blocks than are kept, whose edges are not those of the order: each is run about twice in an epoch at any length
/// of windows, and the rows that come are those of a harvest.
#[test]
fn short_windows_are_run_about_twice_too() {
    for length in [8, 64] {
        let windows = windows(length, BLOCKS * 2048);
        let model = model();
        let mut harvester = Harvester::new(&model, &[Tap::after(0)], false);
        let rows: Vec<Matrix> =
            windows.parts().map(|part| harvester.run(&part).unwrap().rows[0].clone()).collect();
        let width = model.architecture.width;
        let rows: Vec<f32> = rows.iter().flat_map(|rows| rows.as_slice().to_vec()).collect();
        let source = ActivationSource::new(model, windows, Tap::after(0), false);
        assert_eq!(source.rows() * width, rows.len());
        let order = Order::new(1, source.rows(), Shuffle::Blocks { rows: SHUFFLED_ROWS });
        let positions = 0..source.rows() as u64;
        let reading =
            Reading { source: &source, targets: None, order: &order, batch_size: 1024, positions };
        with_batches(&reading, |batches| {
            while let Some(batch) = batches.advance()? {
                for row in 0..batch.rows.rows() {
                    let place = order.place(batch.position + row as u64);
                    assert_eq!(batch.rows.row(row), &rows[place * width..(place + 1) * width]);
                }
            }
            Ok(())
        })
        .unwrap();
        let [blocks, runs] = source.blocks_and_runs();
        assert_eq!(blocks, BLOCKS);
        assert!(runs <= 2 * blocks + 8, "{runs} runs of {blocks} blocks of windows of {length}");
    }
}
