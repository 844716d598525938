//! The help of `narrows` itself: its commands by what they are for.

use clap::builder::StyledStr;
use clap::{Arg, Command, CommandFactory, FromArgMatches};

use super::Arguments;

/// Commands for one need.
struct Group {
    heading: &'static str,
    /// In the order in which one comes to need them.
    commands: &'static [&'static str],
    example: &'static str,
}

const GROUPS: [Group; 7] = [
    Group { heading: "See it", commands: &["tour"], example: "narrows tour --only 9,13" },
    Group {
        heading: "Learn",
        commands: &["fit", "finetune", "faces"],
        example: "narrows fit --data train.npy --set model.components=30 --out runs/a",
    },
    Group {
        heading: "Use",
        commands: &["encode", "decode", "reconstruct", "predict", "compress", "decompress"],
        example: "narrows encode runs/a --data new.npy --out codes.npy",
    },
    Group {
        heading: "Judge",
        commands: &["evaluate", "report"],
        example: "narrows evaluate runs/a --data test.npy",
    },
    Group {
        heading: "Features of language models",
        commands: &[
            "lm",
            "harvest",
            "features",
            "lexical",
            "interpret",
            "steer",
            "patch",
            "tree",
            "study",
        ],
        example: "narrows harvest pythia-70m --text pile.jsonl.gz --tap blocks.3.residual_post --out stores/resid3",
    },
    Group {
        heading: "Data and files of others",
        commands: &["data", "fetch", "shards", "convert"],
        example: "narrows data wine.csv",
    },
    Group {
        heading: "Shell",
        commands: &["completions", "manual"],
        example: "narrows completions bash > ~/.local/share/bash-completion/completions/narrows",
    },
];

const HEADING: &str = "\x1b[1m\x1b[4m";
const LITERAL: &str = "\x1b[1m";
const FAINT: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// The command with its help in groups.
pub(crate) fn command() -> Command {
    let command = take_negative_numbers(Arguments::command());
    let template = template(&command);
    command.help_template(template)
}

/// Lets every option of a command and of its commands be given a number below 0, so that what is wrong with it is told
/// of the option: else `-1` is taken for an option that there is none of.
fn take_negative_numbers(command: Command) -> Command {
    let of_option = |argument: Arg| {
        let takes = !argument.is_positional() && argument.get_action().takes_values();
        if takes { argument.allow_negative_numbers(true) } else { argument }
    };
    command.mut_args(of_option).mut_subcommands(take_negative_numbers)
}

/// What was typed; ends the program where that is a mistake, or asks for help.
pub(crate) fn arguments() -> Arguments {
    let matches = command().get_matches();
    Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

fn names() -> impl Iterator<Item = &'static str> {
    GROUPS.iter().flat_map(|group| group.commands).copied()
}

fn template(command: &Command) -> StyledStr {
    let width = names().map(str::len).max().unwrap_or(0);
    let mut text = "{about-with-newline}\n{usage-heading} {usage}\n".to_owned();
    for Group { heading, commands, example } in GROUPS {
        text += &format!("\n{HEADING}{heading}:{PLAIN}\n");
        for name in commands {
            let about = command.find_subcommand(name).and_then(Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            text += &format!("  {LITERAL}{name:width$}{PLAIN}  {about}\n");
        }
        text += &format!("  {:width$}  {FAINT}{example}{PLAIN}\n", "");
    }
    text += &format!("\n{HEADING}Options:{PLAIN}\n{{options}}{{after-help}}");
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_stands_in_one_group() {
        let mut grouped: Vec<&str> = names().collect();
        let command = Arguments::command();
        let mut all: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
        grouped.sort_unstable();
        all.sort_unstable();
        assert_eq!(grouped, all);
    }

    #[test]
    fn arguments_are_sound() {
        command().debug_assert();
    }

    #[test]
    fn a_number_below_0_is_refused_as_the_value_that_it_is() {
        for (line, option) in [
            ("narrows fit --data a.npy --seed -1", "--seed <SEED>"),
            ("narrows lm generate model --tokens -3", "--tokens <"),
        ] {
            let error = command().try_get_matches_from(line.split(' ')).expect_err(line);
            let told = error.to_string();
            assert!(told.contains("invalid value '-") && told.contains(option), "{told}");
        }
        let line = "narrows compress run --data a.npy --out a.nrw --bits-per-row -4";
        // What the number has to be, the command knows.
        assert!(command().try_get_matches_from(line.split(' ')).is_ok());
    }
}
