//! What shells and `man` are told, and how the help of the whole command looks.

#![allow(clippy::unwrap_used)]

mod harness;

use std::fs;

use harness::Desk;

#[test]
fn shells_complete_commands_and_options() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = desk.narrows(&format!("completions {shell}"));
        assert!(script.contains("reconstruct"), "{shell}: no command");
        assert!(script.contains("label-column"), "{shell}: no option");
    }
}

#[test]
fn every_command_has_a_page_of_the_manual() {
    let desk = Desk::new();
    desk.narrows("manual --out man1");
    let fit = fs::read_to_string(desk.path("man1/narrows-fit.1")).unwrap();
    assert!(fit.contains(".TH narrows-fit 1") && fit.contains("label\\-column"), "{fit}");
    let whole = fs::read_to_string(desk.path("man1/narrows.1")).unwrap();
    let named: Vec<&str> =
        whole.lines().filter_map(|line| line.strip_prefix("narrows\\-")).collect();
    assert!(named.len() > 20, "{whole}");
    for name in named.iter().filter(|name| !name.starts_with("help")) {
        let page = format!("man1/narrows-{}.1", name.split('(').next().unwrap());
        assert!(desk.path(&page).is_file(), "{page}");
    }
}

#[test]
fn the_help_groups_commands_and_gives_examples() {
    let help = Desk::new().narrows("--help");
    let heading = help.find("Features of language models:").unwrap();
    assert!(help.find("harvest").unwrap() > heading);
    assert!(help.contains("narrows evaluate runs/a --data test.npy"), "{help}");
}
