//! What the encoder is worth where few rows have labels, as a table.

use std::io::Write;

use anyhow::Result;
use narrows::Error;
use narrows::data::{Dataset, OpenOptions};
use narrows::recipe::Finetune;
use narrows::store::Run;
use narrows::train::{Outcome, Start};
use serde_json::{Value, json};

use super::super::table::table;
use super::super::{Screen, open_like};
use super::FinetuneArgs;

const HEADINGS: [&str; 5] =
    ["#labels", "#pre-trained", "#from scratch", "#logistic, rows", "#logistic, PCA codes"];

/// Mean, standard deviation and standard error of the mean.
struct Summary {
    mean: f64,
    /// Of one value nothing is known but the value.
    spread: Option<Spread>,
}

/// How far the values of several seeds lie apart.
#[derive(Debug, Clone, Copy)]
struct Spread {
    deviation: f64,
    error: f64,
}

pub(super) fn run(args: &FinetuneArgs, asked: &Finetune, run: &Run, rows: &Dataset) -> Result<()> {
    if asked.regression {
        return Err(Error::mistake(
            "study few labels",
            "classes",
            "--task regression",
            "leave it out",
        )
        .into());
    }
    let given = OpenOptions {
        label_column: args.label_column.clone(),
        labels: args.test_labels.clone(),
        ..Default::default()
    };
    let test = open_like(run, args.test_data.as_deref().unwrap_or_default(), given)?;
    let tell = |outcome: &Outcome| {
        let start = json!(outcome.start);
        args.output.say(format!(
            "{} labels, seed {}, {}: {:.2} %",
            outcome.labels,
            outcome.seed,
            start.as_str().unwrap_or_default(),
            100.0 * outcome.accuracy
        ));
    };
    let outcomes = asked.study(run, [rows, &test], (&args.label_count, args.seeds), tell)?;
    let found: Vec<Value> =
        args.label_count.iter().map(|&count| measured(&outcomes, count)).collect();
    if args.output.json {
        let study = json!({
            "rows": rows.rows.rows(),
            "test_rows": test.rows.rows(),
            "seeds": args.seeds,
            "counts": found,
        });
        writeln!(Screen, "{study:#}")?;
    } else {
        print(args, &outcomes)?;
    }
    Ok(())
}

fn accuracies(outcomes: &[Outcome], count: usize, start: Start) -> Vec<f64> {
    let of = |outcome: &&Outcome| outcome.labels == count && outcome.start == start;
    outcomes.iter().filter(of).map(|outcome| outcome.accuracy).collect()
}

/// How much more the encoder reaches than random weights, seed by seed.
fn margins(outcomes: &[Outcome], count: usize) -> Vec<f64> {
    let [own, scratch] =
        [Start::Pretrained, Start::Scratch].map(|start| accuracies(outcomes, count, start));
    own.iter().zip(scratch).map(|(own, scratch)| own - scratch).collect()
}

fn measured(outcomes: &[Outcome], count: usize) -> Value {
    let summary = |values: Vec<f64>| {
        let Summary { mean, spread } = Summary::of(&values);
        json!({
            "mean": mean,
            "standard_deviation": spread.map(|spread| spread.deviation),
            "standard_error": spread.map(|spread| spread.error),
            "each": values,
        })
    };
    let mut found = json!({ "labels": count });
    for start in Start::ALL {
        let name = json!(start);
        found[name.as_str().unwrap_or_default()] = summary(accuracies(outcomes, count, start));
    }
    found["margin_over_scratch"] = summary(margins(outcomes, count));
    found
}

fn print(args: &FinetuneArgs, outcomes: &[Outcome]) -> Result<()> {
    let row = |&count: &usize| {
        let cell = |start| Summary::of(&accuracies(outcomes, count, start)).shown();
        std::iter::once(count.to_string()).chain(Start::ALL.map(cell)).collect()
    };
    let rows: Vec<Vec<String>> = args.label_count.iter().map(row).collect();
    writeln!(
        Screen,
        "test accuracy in %, {}\n\n{}",
        match args.seeds {
            1 => "of 1 seed".to_owned(),
            seeds => format!("mean ± standard deviation over {seeds} seeds"),
        },
        table(&HEADINGS, &rows)
    )?;
    for &count in &args.label_count {
        let Summary { mean, spread } = Summary::of(&margins(outcomes, count));
        let error = spread.map_or_else(String::new, |spread| {
            format!(", standard error {:.2}", 100.0 * spread.error)
        });
        writeln!(Screen, "{count} labels: {:+.2} points over scratch{error}", 100.0 * mean)?;
    }
    Ok(())
}

impl Summary {
    /// With n − 1 in the denominator.
    fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        let spread = (values.len() > 1).then(|| {
            let deviation = (squares / (n - 1.0)).sqrt();
            Spread { deviation, error: deviation / n.sqrt() }
        });
        Self { mean, spread }
    }

    fn shown(&self) -> String {
        match self.spread {
            Some(spread) => format!("{:.2} ± {:.2}", 100.0 * self.mean, 100.0 * spread.deviation),
            None => format!("{:.2}", 100.0 * self.mean),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_by_hand() {
        let found = Summary::of(&[0.5, 0.7, 0.9]);
        let spread = found.spread.expect("three values");
        assert!((found.mean - 0.7).abs() < 1e-15 && (spread.deviation - 0.2).abs() < 1e-15);
        assert!((spread.error - 0.2 / 3.0_f64.sqrt()).abs() < 1e-15);
        assert_eq!(found.shown(), "70.00 ± 20.00");
        assert_eq!(Summary::of(&[0.5]).shown(), "50.00");
    }
}
