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
    let told = desk.narrows("manual --out man1");
    let pages = fs::read_dir(desk.path("man1")).unwrap().count();
    assert_eq!(told, format!("written: {pages} pages in man1\n"));
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
fn the_manual_is_not_written_in_place_of_a_file() {
    let desk = Desk::new();
    desk.write("notes", "mine");
    let output = desk.command("manual --out notes").output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(
        message.contains("a folder for its pages but got 'notes', which is a file"),
        "{message}"
    );
}

#[test]
fn the_help_groups_commands_and_gives_examples() {
    let help = Desk::new().narrows("--help");
    let heading = help.find("Features of language models:").unwrap();
    assert!(help.find("harvest").unwrap() > heading);
    assert!(help.contains("narrows evaluate runs/a --data test.npy"), "{help}");
}
