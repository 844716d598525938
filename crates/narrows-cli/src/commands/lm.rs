//! `narrows lm`: check that a language model is read correctly.

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use clap::{Args, Subcommand};
use narrows::compute::RowNorm;
use narrows::report::count;
use narrows_lm::model::{NoHook, Pass, Positions, Sampling, TextLoss, losses};
use narrows_lm::{LanguageModel, Tap};
use serde_json::json;

use super::bar::Bar;
use super::language::{TextArgs, open_model};
use super::{Output, Screen};

/// Look at a language model: what it is, how well it predicts text, what it writes
///
/// A model is a folder of Hugging Face `transformers` (config.json, model.safetensors or its
/// shards, tokenizer.json) of the kinds gpt_neox (Pythia), gpt2, llama, mistral or qwen2, or a
/// folder with a .bin of llama2.c and its tok….bin. It runs in f32 on the processor, 4 bytes of
/// memory for each parameter.
///
/// Examples:
///
///   narrows lm info pythia-70m
///   narrows lm loss pythia-70m --text held-out.txt
///   narrows lm generate pythia-70m --prompt 'Once upon a time'
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct LmArgs {
    #[command(subcommand)]
    command: LmCommand,
}

#[derive(Debug, Subcommand)]
enum LmCommand {
    Info(InfoArgs),
    Loss(LossArgs),
    Generate(GenerateArgs),
}

/// Say what a model is made like, and the places (taps) where rows can be read
#[derive(Debug, Args)]
struct InfoArgs {
    /// The folder of the model
    model: PathBuf,
    #[command(flatten)]
    output: Output,
}

/// Say how well a model predicts text: nats per token, perplexity, bits per byte
///
/// Memory: the model, the tokens of the text (4 bytes each), and of 8 windows at a time the rows of
/// a pass.
///
/// Example: narrows lm loss pythia-70m --text held-out.txt
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
struct LossArgs {
    /// The folder of the model
    model: PathBuf,
    #[command(flatten)]
    text: TextArgs,
    #[command(flatten)]
    output: Output,
}

/// Let a model go on with a prompt
///
/// It ends with a token that ends a text (eos_token_id of generation_config.json or config.json),
/// with the one that begins a text, or where the model's positions end.
///
/// Example: narrows lm generate stories260K --prompt 'Once upon a time' --temperature 0
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
struct GenerateArgs {
    /// The folder of the model
    model: PathBuf,
    /// What it goes on with
    #[arg(long, default_value = "")]
    prompt: String,
    /// Tokens to write, at most
    #[arg(long, default_value_t = 200, value_name = "N")]
    tokens: usize,
    /// What logits are divided by before a token is drawn; 0 takes the most likely one each time
    #[arg(long, default_value_t = 0.0)]
    temperature: f64,
    /// The seed of the draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Do not put the token that begins a text before the prompt
    #[arg(long)]
    no_begin: bool,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(args: LmArgs) -> Result<()> {
    match args.command {
        LmCommand::Info(args) => info(&args),
        LmCommand::Loss(args) => loss(&args),
        LmCommand::Generate(args) => generate(&args),
    }
}

fn info(args: &InfoArgs) -> Result<()> {
    let model = open_model(&args.model)?;
    let made = &model.architecture;
    let taps: Vec<String> = Tap::all(made).iter().map(Tap::to_string).collect();
    if args.output.json {
        let told = json!({
            "name": model.name,
            "family": made.family.name(),
            "parameters": model.parameters(),
            "layers": made.layers,
            "width": made.width,
            "heads": made.heads,
            "key_heads": made.key_heads,
            "hidden": made.hidden,
            "vocabulary": made.vocabulary,
            "context": made.context,
            "parallel": made.parallel,
            "tied": made.tied,
            "begin": made.begin,
            "taps": taps,
        });
        return Ok(writeln!(Screen, "{told:#}")?);
    }
    writeln!(Screen, "{}", told(&model))?;
    let sites: Vec<&str> = taps.iter().filter_map(|tap| tap.strip_prefix("blocks.0.")).collect();
    writeln!(
        Screen,
        "taps: embedding, and of blocks.0 to blocks.{}: {}",
        made.layers - 1,
        sites.join(", ")
    )?;
    Ok(())
}

fn told(model: &LanguageModel) -> String {
    let made = &model.architecture;
    let positions = match &made.positions {
        Positions::Learned => "learned positions".to_owned(),
        Positions::Rotary { frequencies } => format!(
            "rotary positions on {} of {} columns of a head",
            2 * frequencies.len(),
            made.head_width
        ),
    };
    let keys = match made.key_heads == made.heads {
        true => String::new(),
        false => format!(" ({} of keys)", made.key_heads),
    };
    let norm = match made.norm {
        RowNorm::Layer => "layer norm",
        RowNorm::RootMeanSquare => "root-mean-square norm",
    };
    let begin = match made.begin {
        Some(id) => format!("token {id}, {:?}, begins a text", model.tokenizer.token(id)),
        None => "no token begins a text".to_owned(),
    };
    format!(
        "{}: {}, {} parameters\n{} blocks of {} columns, {} heads{keys}, {} neurons{}, {norm}, {positions}{}\n\
         {} tokens, {}, {} positions; {begin}",
        model.name,
        made.family.name(),
        count(model.parameters()),
        made.layers,
        made.width,
        made.heads,
        count(made.hidden),
        if made.gated { ", gated" } else { "" },
        if made.parallel { ", attention and MLP at once" } else { "" },
        count(made.vocabulary),
        if made.tied { "logits by the embedding" } else { "an unembedding of its own" },
        count(made.context),
    )
}

/// Refuses windows in which nothing is predicted.
fn check_predicts(length: usize) -> narrows::Result<()> {
    match length {
        0 | 2.. => Ok(()),
        _ => Err(narrows::Error::mistake(
            "say how well a model predicts text",
            "windows of at least 2 tokens, the first of which is given",
            length.to_string(),
            "give a larger --context",
        )),
    }
}

fn loss(args: &LossArgs) -> Result<()> {
    let model = open_model(&args.model)?;
    check_predicts(args.text.length(&model))?;
    let mut corpus = args.text.open(&model)?;
    let (mut pass, mut bar) = (Pass::default(), Bar::new(&args.output));
    let (mut sum, mut predictions, mut tokens) = (0.0, 0, 0);
    let begin = Instant::now();
    let mut all = Vec::new();
    while let Some(windows) = corpus.advance(1024)? {
        all.push(windows);
    }
    let (documents, bytes) = (corpus.documents(), corpus.bytes());
    let total: usize = all.iter().map(|windows| windows.sequences()).sum();
    let mut text = 0;
    for windows in &all {
        for part in windows.parts() {
            let losses = losses(&model, &part, &mut pass, &mut NoHook)?;
            sum += losses.iter().map(|&loss| f64::from(loss)).sum::<f64>();
            predictions += losses.len();
            tokens += part.tokens.len();
            text += part.sequences();
            bar.advance(text as f64 / total as f64, || format!("{} tokens", count(tokens)));
        }
    }
    bar.finish();
    if predictions == 0 {
        args.text.windows(&model)?;
    }
    let found = TextLoss::of(sum, predictions);
    let seconds = begin.elapsed().as_secs_f64();
    if args.output.json {
        let mut told = json!(found);
        told["documents"] = json!(documents);
        told["tokens"] = json!(tokens);
        told["bytes"] = json!(bytes);
        told["tokens_per_second"] = json!((tokens as f64 / seconds).round());
        return Ok(writeln!(Screen, "{told:#}")?);
    }
    writeln!(
        Screen,
        "{:.4} nats per token, perplexity {:.3}\n{} predictions in windows of {} tokens, of {} documents; \
         {} tokens per second",
        found.loss,
        found.perplexity,
        count(found.predictions),
        args.text.length(&model),
        count(documents),
        count((tokens as f64 / seconds) as usize),
    )?;
    Ok(())
}

fn generate(args: &GenerateArgs) -> Result<()> {
    let model = open_model(&args.model)?;
    let mut prompt: Vec<u32> = model.begin().filter(|_| !args.no_begin).into_iter().collect();
    prompt.extend(model.tokenizer.encode(&args.prompt)?);
    let sampling = Sampling { temperature: args.temperature, seed: args.seed };
    let mut shown =
        model.tokenizer.decode(&prompt[usize::from(model.begin().is_some() && !args.no_begin)..]);
    let mut tokens = prompt.clone();
    let live = !args.output.json;
    if live {
        write!(Screen, "{shown}")?;
    }
    let begin = usize::from(model.begin().is_some() && !args.no_begin);
    let written = model.generate(&prompt, args.tokens, sampling, &mut NoHook, |token| {
        tokens.push(token);
        if model.is_end(token) {
            return false;
        }
        let text = model.tokenizer.decode(&tokens[begin..]);
        if live
            && let Some(new) = text.strip_prefix(&shown).filter(|new| !new.ends_with('\u{fffd}'))
        {
            let _ = write!(Screen, "{new}").and_then(|()| Screen.flush());
            shown = text;
        }
        true
    })?;
    if live {
        return Ok(writeln!(Screen)?);
    }
    let text = model.tokenizer.decode(&written[begin..]);
    Ok(writeln!(Screen, "{:#}", json!({"text": text, "tokens": written}))?)
}
