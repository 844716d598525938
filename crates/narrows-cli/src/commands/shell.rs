//! `narrows completions` and `narrows manual`: what a shell and `man` know about the command.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Command};
use clap_complete::Shell;
use narrows::Error;
use narrows::store::write_aside;

use super::Screen;

/// Print what a shell needs to complete commands and options
///
/// Examples:
///
///   narrows completions bash > ~/.local/share/bash-completion/completions/narrows
///   narrows completions zsh > ~/.zfunc/_narrows
///   narrows completions fish > ~/.config/fish/completions/narrows.fish
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Write manual pages for `man`: one of the command and one of each of its commands
///
/// Examples:
///
///   narrows manual --out ~/.local/share/man/man1
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct ManualArgs {
    /// The folder to write narrows.1, narrows-fit.1 and so on into; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(crate) fn completions(args: &CompletionsArgs, mut command: Command) -> Result<()> {
    clap_complete::generate(args.shell, &mut command, "narrows", &mut Screen);
    Ok(())
}

pub(crate) fn manual(args: &ManualArgs, mut command: Command) -> Result<()> {
    if args.out.is_file() {
        return Err(Error::mistake(
            "write the manual",
            "a folder for its pages",
            format!("'{}', which is a file", args.out.display()),
            "give --out another name",
        )
        .into());
    }
    fs::create_dir_all(&args.out).map_err(|error| Error::write(&args.out, error))?;
    command.build();
    let mut written = 0;
    pages(&command, "narrows", &mut |name, page| {
        written += 1;
        Ok(write_aside(&args.out.join(format!("{name}.1")), page)?)
    })?;
    Ok(writeln!(Screen, "written: {written} pages in {}", args.out.display())?)
}

/// The page of a command, then those of its commands.
fn pages(
    command: &Command,
    name: &str,
    write: &mut dyn FnMut(&str, &[u8]) -> Result<()>,
) -> Result<()> {
    let mut page = Vec::new();
    // Titles are upper case, and names of commands those of the files.
    let titled = command.clone().name(name.to_owned());
    clap_mangen::Man::new(titled).render(&mut page)?;
    write(name, &page)?;
    for own in command.get_subcommands().filter(|own| own.get_name() != "help") {
        pages(own, &format!("{name}-{}", own.get_name()), write)?;
    }
    Ok(())
}
