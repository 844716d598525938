//! Section 13: noise put on, and taken away again.

use narrows::Result;
use narrows::compute::Activation;
use narrows::evaluate::{Cleaned, Denoising, Noise, clean, denoise};
use narrows::model::Model;
use narrows::model::network::NetworkOptions;
use narrows::objective::{Corruption, Loss};
use narrows::report::Html;
use narrows::report::page::{Block, Table};
use narrows::report::picture::Grid;
use narrows::train::Task;
use ndarray::Array2;
use serde_json::json;

use super::draw::picture;
use super::sets::chosen;
use super::told::Told;
use super::workshop::Workshop;

/// Pictures that are shown of each kind of noise.
const SHOWN: usize = 10;

pub(super) fn run(shop: &Workshop<'_>) -> Result<Told> {
    let digits = shop.digits()?;
    let kinds = [
        ("Gaussian, σ = 0.3", Corruption::Gaussian { sigma: 0.3 }),
        ("salt and pepper, 20 %", Corruption::SaltAndPepper { rate: 0.2 }),
        ("dropout, 40 %", Corruption::Masking { rate: 0.4 }),
    ];
    let wide = shop.overcomplete();
    let shape = NetworkOptions {
        layers: vec![wide, wide / 2],
        code_activation: Activation::Relu,
        output_activation: Activation::Sigmoid,
        ..Default::default()
    };
    let pca = shop.pca(usize::MAX)?;
    let few = chosen(&digits.test, &(0..SHOWN).collect::<Vec<_>>());
    let (mut found, mut grids) = (Vec::new(), Vec::new());
    for (name, corruption) in kinds {
        let loss = Loss::BinaryCrossEntropy;
        let task = Task { corruption, loss, ..Task::reconstruct(&digits.train) };
        let (network, _) =
            shop.learn(&format!("denoising: {name}"), &task, &shape, &shop.training(100, 4))?;
        let model = Model::Network(network);
        let noise = Noise {
            corruption,
            range: (0.0, 1.0),
            bounded: true,
            image: Some(digits.image),
            seed: shop.seed,
        };
        let measured = denoise(&digits.test, &model, &pca, &noise)?;
        let cleaned = clean(&few, &model, (&pca, measured.components), &noise)?;
        grids.push((name, cleaned));
        found.push((name, measured));
    }
    let row = |(name, found): &(&str, Denoising)| {
        let likeness = [found.noisy, found.projected, found.restored];
        let cells = likeness.map(|likeness| format!("{:.1}", likeness.psnr));
        std::iter::once((*name).to_owned()).chain(cells).collect::<Vec<_>>()
    };
    let told: Vec<String> = found
        .iter()
        .map(|(name, found)| {
            let kind = name.split([',', ' ']).next().unwrap_or(name).to_lowercase();
            format!(
                "{kind} {:.1} → {:.1} dB (projection {:.1})",
                found.noisy.psnr, found.restored.psnr, found.projected.psnr
            )
        })
        .collect();
    let drawn = |rows: &Array2<f64>, name: &str| -> Vec<Html> {
        let one = |(place, row): (usize, ndarray::ArrayView1<'_, f64>)| {
            let pixels: Vec<f32> = row.iter().map(|&value| value as f32).collect();
            picture(&pixels, digits.image, &format!("{name} {}", place + 1))
        };
        rows.outer_iter().enumerate().map(one).collect()
    };
    let mut lines = Vec::new();
    for (name, Cleaned { clean, noisy, restored, projected }) in &grids {
        if lines.is_empty() {
            lines.push(("Clean, held out".to_owned(), drawn(clean, "clean")));
        }
        lines.push(((*name).to_owned(), drawn(&noisy.0, "noisy")));
        lines.push(("taken away by the network".to_owned(), drawn(&restored.0, "restored")));
        lines.push((
            "projected on principal components".to_owned(),
            drawn(&projected.0, "projected"),
        ));
    }
    let names: Vec<Vec<String>> = found.iter().map(row).collect();
    Ok(Told {
        idea: "Spoil the picture, show it to the network, and ask for the clean one. The code may be wide: to \
               copy would be wrong here. What is learned is which way pictures lie, from wherever noise has \
               pushed them. Each kind of noise has its own network; beside it stands the best projection on \
               principal components, whose number is chosen in its favour."
            .to_owned(),
        formula: "min ‖x − d(e(x̃))‖²   Gaussian: x̃ = x + σε   salt and pepper: x̃ⱼ ∈ {0, 1} with probability p   \
                  dropout: x̃ⱼ = 0 with probability p"
            .to_owned(),
        figure: told.join("; "),
        measured: json!(found.iter().map(|(_, found)| found).collect::<Vec<_>>()),
        blocks: vec![
            Block::Figure(Grid { columns: Vec::new(), rows: lines }.render(), String::new()),
            Block::Table(Table {
                columns: ["PSNR of held-out pictures, dB", "#with noise", "#best projection", "#network"]
                    .map(String::from)
                    .into(),
                rows: names,
            }),
        ],
        command: format!(
            "narrows fit recipes/denoise-gaussian.toml --data {} --out runs/clean && narrows reconstruct \
             runs/clean --data noisy/ --out clean/",
            digits.arguments[0]
        ),
    })
}
