//! The command `narrows`.

// They panic where nobody reads any more: see `commands::Screen`.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod commands;
mod help;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use commands::{
    compress, convert, data, evaluate, faces, features, fetch, finetune, fit, harvest, interpret,
    lexical, lm, patch, predict, report, shards, shell, steer, study, tour, transform, tree,
};

/// Learn narrow representations of data, fast, and prove what was learned
///
/// Fit a model into a run folder, then give that folder to the other commands.
/// `narrows COMMAND --help` explains one of them, with examples.
#[derive(Debug, Parser)]
#[command(name = "narrows", version, verbatim_doc_comment, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Fit(fit::FitArgs),
    Evaluate(evaluate::EvaluateArgs),
    Encode(transform::EncodeArgs),
    Decode(transform::DecodeArgs),
    Reconstruct(transform::ReconstructArgs),
    Compress(compress::CompressArgs),
    Decompress(compress::DecompressArgs),
    Finetune(finetune::FinetuneArgs),
    Predict(predict::PredictArgs),
    Report(report::ReportArgs),
    Data(data::DataArgs),
    Fetch(fetch::FetchArgs),
    Shards(shards::ShardsArgs),
    Faces(faces::FacesArgs),
    Convert(convert::ConvertArgs),
    Lm(lm::LmArgs),
    Harvest(harvest::HarvestArgs),
    Study(study::StudyArgs),
    Features(features::FeaturesArgs),
    Steer(steer::SteerArgs),
    Patch(patch::PatchArgs),
    Tree(tree::TreeArgs),
    Lexical(lexical::LexicalArgs),
    Interpret(interpret::InterpretArgs),
    Tour(tour::TourArgs),
    Completions(shell::CompletionsArgs),
    Manual(shell::ManualArgs),
}

fn main() -> ExitCode {
    let done = match help::arguments().command {
        Command::Fit(args) => fit::run(args),
        Command::Evaluate(args) => evaluate::run(args),
        Command::Encode(args) => transform::encode(args),
        Command::Decode(args) => transform::decode(args),
        Command::Reconstruct(args) => transform::reconstruct(args),
        Command::Compress(args) => compress::compress(args),
        Command::Decompress(args) => compress::decompress(args),
        Command::Finetune(args) => finetune::run(args),
        Command::Predict(args) => predict::run(args),
        Command::Report(args) => report::run(args),
        Command::Data(args) => data::run(args),
        Command::Fetch(args) => fetch::run(&args),
        Command::Shards(args) => shards::run(args),
        Command::Faces(args) => faces::run(args),
        Command::Convert(args) => convert::run(args),
        Command::Lm(args) => lm::run(args),
        Command::Harvest(args) => harvest::run(&args),
        Command::Study(args) => study::run(&args),
        Command::Features(args) => features::run(&args),
        Command::Steer(args) => steer::run(args),
        Command::Patch(args) => patch::run(&args),
        Command::Tree(args) => tree::run(&args),
        Command::Lexical(args) => lexical::run(&args),
        Command::Interpret(args) => interpret::run(&args),
        Command::Tour(args) => tour::run(args),
        Command::Completions(args) => shell::completions(&args, help::command()),
        Command::Manual(args) => shell::manual(&args, help::command()),
    };
    let Err(error) = done else { return ExitCode::SUCCESS };
    // An error of the library already tells its cause.
    let (message, code) = match error.downcast_ref::<narrows::Error>() {
        Some(error) => (error.to_string(), error.exit_code()),
        None => (format!("{error:#}"), 1),
    };
    let _ = writeln!(std::io::stderr(), "error: {message}");
    ExitCode::from(code)
}
