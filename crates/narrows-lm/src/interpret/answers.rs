//! What is written into prompts, and what is read out of answers.

use super::fragments::Fragment;

/// The highest activation that is written.
const HIGHEST: f32 = 10.0;

/// A token on one line without tabs.
fn on_one_line(token: &str) -> String {
    token.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t").replace('\r', "\\r")
}

/// ⌊10·a / largest⌋, from 0 to 10.
fn level(activation: f32, largest: f32) -> u32 {
    if largest > 0.0 { (HIGHEST * activation / largest).clamp(0.0, HIGHEST) as u32 } else { 0 }
}

/// Fragments with activations: token, tab, level; then once more without zeros, where most are zeros.
pub(super) fn with_activations(fragments: &[&Fragment]) -> String {
    let largest = fragments.iter().map(|fragment| fragment.largest()).fold(0.0, f32::max);
    let mut out = String::new();
    for (number, fragment) in (1..).zip(fragments) {
        let each = || {
            let levels = fragment.activations.iter().map(|&a| level(a, largest));
            fragment.tokens.iter().zip(levels)
        };
        let line = |(token, level): (&String, u32)| format!("{}\t{level}\n", on_one_line(token));
        out.push_str(&format!("Fragment {number}:\n"));
        each().for_each(|token| out.push_str(&line(token)));
        let active: Vec<_> = each().filter(|(_, level)| *level > 0).collect();
        if 5 * active.len() < fragment.tokens.len() {
            out.push_str(&format!("Fragment {number}, without zeros:\n"));
            active.into_iter().for_each(|token| out.push_str(&line(token)));
        }
    }
    out.trim_end().to_owned()
}

/// A fragment to be simulated: number, tab, token, tab, question mark.
pub(super) fn numbered(fragment: &Fragment) -> String {
    let lines = (1..).zip(&fragment.tokens);
    let lines = lines.map(|(number, token)| format!("{number}\t{}\t?", on_one_line(token)));
    lines.collect::<Vec<_>>().join("\n")
}

/// Fragments as text, numbered.
pub(super) fn as_text(fragments: &[&Fragment]) -> String {
    let lines = (1..).zip(fragments).map(|(number, fragment)| {
        format!("Fragment {number}: {}", on_one_line(&fragment.tokens.concat()))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The sentence of an explanation.
pub(super) fn explanation(answer: &str) -> Option<String> {
    let lines = || answer.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut marked = lines()
        .filter_map(|line| line.trim_start_matches(['*', '#', ' ']).strip_prefix("Explanation:"));
    // Whatever thinks aloud says what it means at the end.
    let told = marked.next_back().or_else(|| lines().next_back())?;
    let told = told.trim_matches(['*', ' ', '"']);
    (!told.is_empty()).then(|| told.to_owned())
}

/// The simulated activation of each of `count` tokens, if the answer has just one for every token.
pub(super) fn simulation(answer: &str, count: usize) -> Option<Vec<f32>> {
    let mut values = vec![None; count];
    for line in answer.lines() {
        let parts: Vec<&str> = line.split('\t').collect();
        let [first, .., last] = parts[..] else { continue };
        let Ok(number) = first.trim().parse::<usize>() else { continue };
        let value =
            last.trim().parse::<f32>().ok().filter(|value| (0.0..=HIGHEST).contains(value))?;
        let place = values.get_mut(number.checked_sub(1)?)?;
        if place.replace(value).is_some() {
            return None;
        }
    }
    values.into_iter().collect()
}

/// What is said of each of `count` fragments, if the answer has just one number for each.
pub(super) fn detection(answer: &str, count: usize) -> Option<Vec<bool>> {
    let list = &answer[answer.rfind('[')? + 1..];
    let list = &list[..list.find(']')?];
    let said = list.split(',').map(|word| match word.trim() {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    });
    said.collect::<Option<Vec<bool>>>().filter(|said| said.len() == count)
}
