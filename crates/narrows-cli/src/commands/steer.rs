//! `narrows steer`: change features of a language model on the way, and see what it says then.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use narrows::Error;
use narrows_lm::Basis;
use narrows_lm::model::{NoHook, Sampling};
use narrows_lm::steer::{Edit, Places, Steering, divergence, next_token};
use serde_json::{Value, json};

use super::dictionaries::Shelf;
use super::language::{open_model, tap_of};
use super::{Output, Screen, dictionaries};

/// Change features at a tap of a language model: what it says next, and how it goes on
///
/// What the dictionary does not tell of the rows is kept, so that changing nothing changes nothing.
/// The token that begins a text is left as it is. Memory: the model, and the rows of one sequence.
///
/// Examples:
///
///   narrows steer out/sae --lm pythia-70m --prompt 'She' --feature 17=ablate
///   narrows steer out/sae --lm pythia-70m --tap blocks.2.residual_post --prompt 'She' \
///     --feature 3=add:4 --tokens 40
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct SteerArgs {
    /// The run folder of the dictionary
    run: PathBuf,
    /// The folder of the model
    #[arg(long, value_name = "MODEL_DIR")]
    lm: PathBuf,
    /// The place in it, such as blocks.2.residual_post; the run says so where it knows
    #[arg(long)]
    tap: Option<String>,
    /// What the model goes on with
    #[arg(long)]
    prompt: String,
    /// A feature and what is done to it: 17=ablate, 17=clamp:8 or 17=add:4; may be given again
    #[arg(long = "feature", value_name = "EDIT")]
    features: Vec<Edit>,
    /// The rows that are changed: all, last, or N..M counted from 0, the begin token among them
    #[arg(long, default_value = "all", value_parser = places)]
    positions: Places,
    /// Put in what the dictionary tells of the rows, without the rest
    #[arg(long)]
    replace: bool,
    /// Tokens to write with and without the change
    #[arg(long, default_value_t = 0, value_name = "N")]
    tokens: usize,
    /// What logits are divided by before a token is drawn; 0 takes the most likely one each time
    #[arg(long, default_value_t = 0.0)]
    temperature: f64,
    /// The seed of the draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Tokens to show of each kind
    #[arg(long, default_value_t = 8, value_name = "N")]
    top: usize,
    #[command(flatten)]
    output: Output,
}

fn places(text: &str) -> Result<Places, String> {
    let range = || {
        let (from, to) = text.split_once("..")?;
        Some(from.parse().ok()?..to.parse().ok()?).filter(|range| !range.is_empty())
    };
    match text {
        "all" => Ok(Places::All),
        "last" => Ok(Places::Last),
        _ => range().map(Places::Within).ok_or_else(|| "expected all, last or N..M".to_owned()),
    }
}

pub(crate) fn run(args: SteerArgs) -> Result<()> {
    if args.features.is_empty() && !args.replace {
        return Err(Error::mistake(
            "steer",
            "a feature to change",
            "none",
            "give --feature, such as 17=ablate or 17=add:4, or --replace",
        )
        .into());
    }
    let model = open_model(&args.lm)?;
    let shelf = Shelf::find(&args.run)?;
    let tap = tap_of("steer", args.tap.as_deref(), shelf.as_ref(), &model, &args.output)?;
    let basis = Basis::dictionary("dictionary", dictionaries::open(&args.run)?)?;
    let mut steering = Steering::new(&model, &basis, tap, args.features)?;
    steering.places = args.positions;
    steering.begin = model.begin().is_some();
    steering.replace = args.replace;
    let mut prompt: Vec<u32> = model.begin().into_iter().collect();
    let begin = prompt.len();
    prompt.extend(model.tokenizer.encode(&args.prompt)?);
    if let Places::Within(range) = &steering.places
        && range.end > prompt.len() + args.tokens
    {
        return Err(Error::mistake(
            "steer",
            format!("rows below {}, as many as tokens are read", prompt.len() + args.tokens),
            format!("rows up to {}", range.end),
            "give other --positions",
        )
        .into());
    }
    let before = next_token(&model, &prompt, &mut NoHook)?;
    let after = next_token(&model, &prompt, &mut steering)?;
    let told = |ids: Vec<usize>| -> Vec<Value> {
        let one = |id: usize| {
            json!({
                "token": model.tokenizer.token(id as u32),
                "before": before[id].exp(),
                "after": after[id].exp(),
            })
        };
        ids.into_iter().map(one).collect()
    };
    let most = |score: &dyn Fn(usize) -> f32| -> Vec<usize> {
        let mut ids: Vec<usize> = (0..before.len()).collect();
        ids.sort_by(|&a, &b| score(b).total_cmp(&score(a)));
        ids.truncate(args.top);
        ids
    };
    let rise = |id: usize| after[id].exp() - before[id].exp();
    let mut result = json!({
        "kl": divergence(&before, &after),
        "likely_before": told(most(&|id| before[id])),
        "likely_after": told(most(&|id| after[id])),
        "rises": told(most(&rise)),
        "falls": told(most(&|id| -rise(id))),
    });
    if args.tokens > 0 {
        let sampling = Sampling { temperature: args.temperature, seed: args.seed };
        let goes_on = |token| !model.is_end(token);
        let plain = model.generate(&prompt, args.tokens, sampling, &mut NoHook, goes_on)?;
        let steered = model.generate(&prompt, args.tokens, sampling, &mut steering, goes_on)?;
        result["text_before"] = json!(model.tokenizer.decode(&plain[begin..]));
        result["text_after"] = json!(model.tokenizer.decode(&steered[begin..]));
    }
    if args.output.json {
        return Ok(writeln!(Screen, "{result:#}")?);
    }
    if before == after {
        args.output.say(
            "note: nothing changes: in the rows of the prompt that are changed no feature takes another value",
        );
    }
    show(&result, before != after)
}

/// Says what the model says; what rises and falls, where something does.
fn show(result: &Value, moves: bool) -> Result<()> {
    writeln!(Screen, "KL to the model as it is: {:.6} nats", result["kl"].as_f64().unwrap_or(0.0))?;
    let tables = [
        ("most likely before", "likely_before"),
        ("most likely after", "likely_after"),
        ("largest rises", "rises"),
        ("largest falls", "falls"),
    ];
    for (title, key) in &tables[..if moves { 4 } else { 1 }] {
        writeln!(Screen, "\n{title:<24}  before   after")?;
        for line in result[*key].as_array().into_iter().flatten() {
            let share = |key: &str| line[key].as_f64().unwrap_or(0.0);
            let token = line["token"].to_string();
            writeln!(Screen, "  {token:<22}  {:.4}  {:.4}", share("before"), share("after"))?;
        }
    }
    for (title, key) in [("without", "text_before"), ("with", "text_after")] {
        if let Some(text) = result[key].as_str() {
            writeln!(Screen, "\n{title}:\n{text}")?;
        }
    }
    Ok(())
}
