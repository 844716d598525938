//! The figures to know first.

use super::{Pca, RunReport};
use crate::evaluate::{Denoising, Regression};
use crate::report::page::Card;
use crate::report::record::{Score, Spectrum};
use crate::report::text::{count, number, percent, plural};

pub(super) fn cards(report: &RunReport) -> Vec<Card> {
    let mut cards = match &report.denoised {
        Some(denoised) => cleaned(&denoised.found),
        None => rebuilt(report),
    };
    cards.extend(told(report));
    cards.push(widths(report));
    cards.push(Card { value: count(report.rows), label: "rows".into(), note: report.data.clone() });
    cards
}

/// What a reconstruction keeps.
fn rebuilt(report: &RunReport) -> Vec<Card> {
    let pca = Pca::of(report);
    let beside = |value: &dyn Fn(&[Score]) -> Option<f64>, show: fn(f64) -> String| match pca {
        Pca::Beside(scores) => value(scores)
            .map_or_else(String::new, |value| format!("PCA of the same width: {}", show(value))),
        Pca::Complete => "PCA of this width loses nothing".to_owned(),
        Pca::Itself => String::new(),
    };
    let error = |scores: &[Score]| find(scores, "squared_error_per_row");
    let mut cards = Vec::new();
    // Of the two shares the one that forgives nothing.
    let share = kept(&report.scores).or(report.spectrum.as_ref().map(Spectrum::share_kept));
    if let Some(share) = share {
        let note = beside(&kept, percent);
        cards.push(Card { value: percent(share), label: "variance explained".into(), note });
    }
    if let Some(value) = error(&report.scores) {
        let label = "squared error per row".to_owned();
        cards.push(Card { value: number(value), label, note: beside(&error, number) });
    }
    cards
}

fn find(scores: &[Score], name: &str) -> Option<f64> {
    scores.iter().find(|score| score.name == name).map(|score| score.value)
}

fn kept(scores: &[Score]) -> Option<f64> {
    find(scores, "fraction_variance_unexplained").map(|lost| 1.0 - lost)
}

/// What is left of noise.
fn cleaned(found: &Denoising) -> Vec<Card> {
    let decibel = |value: f64| format!("{}\u{a0}dB", number(value));
    let (noisy, projected) = (found.noisy, found.projected);
    let note = |noisy: String, projected: String| {
        format!("noisy: {noisy}, best PCA projection: {projected}")
    };
    let psnr = Card {
        value: decibel(found.restored.psnr),
        label: "PSNR, noise taken away".into(),
        note: note(decibel(noisy.psnr), decibel(projected.psnr)),
    };
    let ssim = found.restored.ssim.zip(noisy.ssim).zip(projected.ssim);
    let ssim = ssim.map(|((restored, noisy), projected)| Card {
        value: number(restored),
        label: "SSIM, noise taken away".into(),
        note: note(number(noisy), number(projected)),
    });
    [Some(psnr), ssim].into_iter().flatten().collect()
}

/// How well labels are told.
fn told(report: &RunReport) -> Vec<Card> {
    let on = match report.own_rows {
        true => "on the rows it was trained with",
        false => "on rows other than those of the training",
    };
    let mut cards = Vec::new();
    if let Some(found) = &report.classification {
        cards.push(Card {
            value: percent(found.accuracy),
            label: "accuracy".into(),
            note: format!("{}, {on}", plural(found.classes.len(), "class", "classes")),
        });
    }
    if let Some(Regression { r_squared, absolute_error, .. }) = report.regression {
        let note = on.to_owned();
        cards.extend(r_squared.map(|value| {
            let label = "R² (1 is perfect, 0 the mean)".to_owned();
            Card { value: number(value), label, note: note.clone() }
        }));
        let label = "absolute error".to_owned();
        cards.push(Card { value: number(absolute_error), label, note });
    }
    cards
}

fn widths(report: &RunReport) -> Card {
    let times = report.input_dim as f64 / report.latent_dim as f64;
    Card {
        value: format!("{} → {}", count(report.input_dim), count(report.latent_dim)),
        label: "numbers per row".into(),
        note: match times {
            _ if !times.is_finite() || times == 1.0 => String::new(),
            _ if times < 1.0 => format!("{} times more", number(1.0 / times)),
            _ => format!("{} times fewer", number(times)),
        },
    }
}
