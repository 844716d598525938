//! `narrows interpret`: features explained by a language model behind an endpoint.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};
use narrows::Error;
use narrows::random::Random;
use narrows::store::{write_aside, write_json};
use narrows_lm::interpret::{
    CollectOptions, Endpoint, EndpointOptions, FeatureFragments, InterpretOptions, Interpreted,
    Limit, Method, Prompts, Summary, collect, interpret,
};
use narrows_lm::{Basis, Tap};
use serde_json::json;

use super::bar::Bar;
use super::dictionaries::Shelf;
use super::language::{TextArgs, note_letters, open_model, tap_of};
use super::{Output, Screen, dictionaries};

/// Let a language model behind an OpenAI-compatible endpoint explain features, and score the explanations
///
/// Of each feature, the fragments of text in which it is strongest are shown to the model, which
/// says in a sentence what it is looking for. From that sentence alone it then predicts activations
/// on other fragments (score: their correlation) and tells fragments that activate the feature from
/// others (balanced accuracy).
///
/// Requests of a feature: 1 to explain it, 10 to simulate, 2 to detect. Every answer is kept in
/// OUT/cache: the same command goes on where it was stopped, and asks nothing that was answered,
/// but for answers that came back empty or cut off.
/// The text of the fragments goes to the endpoint.
///
/// Memory: the model, 4 bytes for each token, 8 windows' rows and codes, and 8 kB for each feature
/// looked at.
///
/// Examples:
///
///   narrows interpret runs/a --lm pythia-70m --text held-out.txt \
///     --endpoint http://localhost:8000/v1 --model qwen3-32b --out explained
///   narrows interpret … --endpoint https://api.openai.com/v1 --model gpt-4o-mini \
///     --key-env OPENAI_API_KEY \
///     --features 50 --budget 700
///   narrows interpret --print-prompts my-prompts
// The help shows the address as it is typed.
#[allow(rustdoc::bare_urls)]
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct InterpretArgs {
    /// The run of a dictionary, or one of another library
    #[arg(required = true)]
    run: Option<PathBuf>,
    /// The folder of the language model that is taken apart
    #[arg(long, value_name = "DIR", required = true)]
    lm: Option<PathBuf>,
    #[command(flatten)]
    text: TextArgs,
    /// The place that the dictionary was trained at; its run says so where it knows
    #[arg(long, value_name = "TAP")]
    tap: Option<String>,
    /// What /chat/completions is put behind, such as http://localhost:8000/v1
    #[arg(long, value_name = "URL", required = true)]
    endpoint: Option<String>,
    /// The model that is asked there
    #[arg(long, value_name = "NAME", required = true)]
    model: Option<String>,
    /// The environment variable that holds the key of the endpoint
    #[arg(long, value_name = "VAR")]
    key_env: Option<String>,
    /// Where interpretations.jsonl, summary.json and the answers go
    #[arg(long, value_name = "DIR", required = true)]
    out: Option<PathBuf>,
    /// Features that are drawn, of those that are active in at least 10 fragments
    #[arg(long, default_value_t = 20, value_name = "N")]
    features: usize,
    /// What explanations are tried with
    #[arg(long, value_enum, default_value_t = Tried::Both)]
    method: Tried,
    /// Requests that are sent, at most, those that are sent again included
    #[arg(long, value_name = "N")]
    budget: Option<u64>,
    /// Tokens of requests and answers, at most; none is sent once so many are spent. Of an endpoint that does not
    /// count them, every 4 characters are one
    #[arg(long, value_name = "N")]
    token_budget: Option<u64>,
    /// Requests that are under way at the same time
    #[arg(long, default_value_t = 4, value_name = "N")]
    concurrency: usize,
    /// Seconds that a request may take
    #[arg(long, default_value_t = 120, value_name = "N")]
    timeout: u64,
    /// Tokens of an answer, at most, for models that think before they answer [default: 512 of an explanation and of a
    /// list, 16 for each token that is simulated]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_answer_tokens: Option<u32>,
    /// What the endpoint calls the most tokens of an answer
    #[arg(long, value_enum, default_value_t = LimitAs::MaxTokens, value_name = "NAME")]
    limit_as: LimitAs,
    /// Send no temperature, for endpoints that refuse it; otherwise it is 0
    #[arg(long)]
    no_temperature: bool,
    /// A folder of prompts in place of those that are built in
    #[arg(long, value_name = "DIR")]
    prompts: Option<PathBuf>,
    /// Write the prompts that are built in into a folder, and do nothing else
    #[arg(long, value_name = "DIR", exclusive = true)]
    print_prompts: Option<PathBuf>,
    /// The seed of all draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    output: Output,
}

/// What explanations are tried with.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Tried {
    /// Predicted activations
    #[value(alias = "explain")]
    Simulate,
    /// Fragments told from others
    Detect,
    /// Both
    Both,
}

/// What endpoints call the most tokens of an answer.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum LimitAs {
    /// Most endpoints
    MaxTokens,
    /// Endpoints whose models think, as OpenAI's newer ones
    MaxCompletionTokens,
}

/// Fragments that activate a feature, at least, and features that are looked at for each that is wanted.
const FEWEST: usize = 10;
const CANDIDATES: usize = 4;

pub(crate) fn run(args: &InterpretArgs) -> Result<()> {
    if let Some(folder) = &args.print_prompts {
        Prompts::write(folder)?;
        args.output.say(format!("wrote the prompts into {}", folder.display()));
        return Ok(());
    }
    let (Some(out), Some(url), Some(name)) = (&args.out, &args.endpoint, &args.model) else {
        return Err(Error::mistake(
            "interpret",
            "--out, --endpoint and --model",
            "less",
            "give them",
        )
        .into());
    };
    check_folder(out)?;
    let endpoint = Endpoint::new(endpoint_options(args, url, name)?, &out.join("cache"))?;
    let prompts = match &args.prompts {
        Some(folder) => Prompts::read(folder)?,
        None => Prompts::built_in()?,
    };
    let (tap, features) = fragments(args)?;
    std::fs::create_dir_all(out).map_err(|error| Error::write(out, error))?;
    let how = InterpretOptions {
        method: match args.method {
            Tried::Simulate => Method::Simulate,
            Tried::Detect => Method::Detect,
            Tried::Both => Method::Both,
        },
        concurrency: args.concurrency,
        seed: args.seed,
    };
    let mut bar = Bar::new(&args.output);
    let all = features.len();
    let found = interpret(&endpoint, &prompts, &features, &how, &mut |done| {
        bar.advance(done as f64 / all as f64, || format!("{done} of {all} features"));
    })?;
    bar.finish();
    let summary = found.summary(endpoint.spent());
    write(out, &found, &summary, args, tap)?;
    print(args, &found, &summary, out)
}

fn endpoint_options(args: &InterpretArgs, url: &str, name: &str) -> Result<EndpointOptions> {
    let mut options = EndpointOptions::new(url, name);
    options.key = args.key_env.as_deref().map(key).transpose()?;
    options.timeout = std::time::Duration::from_secs(args.timeout.max(1));
    (options.most_requests, options.most_tokens) = (args.budget, args.token_budget);
    options.most_answer_tokens = args.max_answer_tokens.map(|most| most as usize);
    options.limit = match args.limit_as {
        LimitAs::MaxTokens => Limit::MaxTokens,
        LimitAs::MaxCompletionTokens => Limit::MaxCompletionTokens,
    };
    if args.no_temperature {
        options.temperature = None;
    }
    Ok(options)
}

/// Refuses a folder that something else is in.
fn check_folder(out: &Path) -> Result<()> {
    let own = ["cache", "interpretations.jsonl", "summary.json"];
    let entries = std::fs::read_dir(out).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    match names.into_iter().find(|name| !own.contains(&name.as_str()) && !name.starts_with('.')) {
        None => Ok(()),
        Some(other) => Err(Error::mistake(
            "interpret",
            "a folder for --out that is new, or that `narrows interpret` wrote",
            format!("'{}', which holds '{other}'", out.display()),
            "give another folder",
        )
        .into()),
    }
}

fn key(variable: &str) -> Result<String> {
    Ok(std::env::var(variable).ok().filter(|key| !key.is_empty()).ok_or_else(|| {
        Error::mistake(
            "read the key of the endpoint",
            format!("a key in the environment variable {variable}"),
            "none",
            format!("set it: export {variable}=…"),
        )
    })?)
}

/// The place, and the fragments of features that are drawn.
fn fragments(args: &InterpretArgs) -> Result<(Tap, Vec<FeatureFragments>)> {
    let (Some(run), Some(lm)) = (&args.run, &args.lm) else {
        return Err(Error::mistake("interpret", "RUN and --lm", "less", "give them").into());
    };
    let model = open_model(lm)?;
    let shelf = Shelf::find(run)?;
    let tap = tap_of("interpret", args.tap.as_deref(), shelf.as_ref(), &model, &args.output)?;
    note_letters(shelf.as_ref(), args.text.lowercase, &args.output)?;
    let basis = Basis::dictionary("dictionary", dictionaries::open(run)?)?;
    basis.check(tap.width(&model.architecture))?;
    let windows = args.text.windows(&model)?;
    let mut order =
        Random::stream(args.seed, "features that are interpreted").permutation(basis.features());
    order.truncate(args.features.saturating_mul(CANDIDATES).max(64));
    let options = CollectOptions { seed: args.seed, ..CollectOptions::new(order) };
    let mut bar = Bar::new(&args.output);
    let mut features = collect(&model, tap, &basis, &windows, &options, &mut |part| {
        bar.advance(part, || "looking for fragments".to_owned());
    })?;
    bar.finish();
    let looked_at = features.len();
    features.retain(|feature| feature.top.len() >= FEWEST);
    let active = features.len();
    features.truncate(args.features);
    if features.is_empty() {
        return Err(Error::mistake(
            "interpret",
            format!("features that are active in at least {FEWEST} fragments of the text"),
            format!("none of {looked_at} that were looked at"),
            "give more text",
        )
        .into());
    }
    args.output.say(format!(
        "{} features of {active} that are active in at least {FEWEST} fragments, of {looked_at} looked at",
        features.len()
    ));
    Ok((tap, features))
}

fn write(
    out: &Path,
    found: &Interpreted,
    summary: &Summary,
    args: &InterpretArgs,
    tap: Tap,
) -> Result<()> {
    let mut lines = String::new();
    for feature in &found.features {
        lines.push_str(&json!(feature).to_string());
        lines.push('\n');
    }
    write_aside(&out.join("interpretations.jsonl"), lines.as_bytes())?;
    let mut told = json!(summary);
    told["endpoint"] = json!(args.endpoint);
    told["model"] = json!(args.model);
    told["tap"] = json!(tap.to_string());
    told["version"] = json!(env!("CARGO_PKG_VERSION"));
    Ok(write_json(&out.join("summary.json"), &told)?)
}

fn print(args: &InterpretArgs, found: &Interpreted, summary: &Summary, out: &Path) -> Result<()> {
    if args.output.json {
        writeln!(Screen, "{:#}", json!({"summary": summary, "features": found.features}))?;
    } else {
        for feature in &found.features {
            let score = feature.score.map_or("—".to_owned(), |score| format!("{score:.3}"));
            let detection = feature.detection.and_then(|detection| detection.balanced_accuracy);
            let detection = detection.map_or("—".to_owned(), |share| format!("{share:.3}"));
            let explanation = feature.explanation.as_deref().unwrap_or("no explanation");
            writeln!(
                Screen,
                "{:>6}  score {score}  detection {detection}  {explanation}",
                feature.feature
            )?;
        }
        let mean = |name: &str, mean: &Option<narrows_lm::lexical::Mean>| {
            mean.map(|mean| match mean.standard_error {
                Some(error) => format!("mean {name} {:.3} ± {error:.3}", mean.mean),
                None => format!("mean {name} {:.3}", mean.mean),
            })
        };
        let means = [mean("score", &summary.score), mean("detection", &summary.detection)];
        writeln!(Screen, "\n{}", means.into_iter().flatten().collect::<Vec<_>>().join(", "))?;
    }
    let spent = summary.spent;
    args.output.say(format!(
        "{} requests ({} sent again, {} answers were there), {} tokens; {} answers could not be read",
        spent.requests, spent.retries, spent.from_cache, spent.tokens, summary.failed
    ));
    if spent.cut > 0 {
        args.output.say(format!(
            "{} answers were empty or cut at their longest: they are not kept, so the same command asks for them \
             again; give a larger --max-answer-tokens",
            spent.cut
        ));
    }
    if !summary.finished {
        args.output.say(format!(
            "the budget is spent after {} features; the same command goes on from there ({})",
            summary.features,
            out.display()
        ));
    }
    Ok(())
}
