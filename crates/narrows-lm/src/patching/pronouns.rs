//! A task for small story models: the pronoun that goes with a name.
//!
//! ```text
//! once upon a time, there was a little girl named lily. one day, lily was sad because   → she
//! once upon a time, there was a little boy named tim. one day, tim was sad because      → he
//! ```
//!
//! Only prompts that the model can do are taken: the right pronoun has to be more likely than the other.

use narrows::Result;
use narrows::random::Random;

use super::pairs::Pair;
use crate::model::{LanguageModel, NoHook};
use crate::steer::next_token;

const GIRLS: &[&str] =
    &["lily", "sara", "mia", "anna", "emma", "lucy", "amy", "sue", "jane", "molly"];
const BOYS: &[&str] = &["tim", "ben", "tom", "max", "jack", "sam", "john", "bob", "joe", "timmy"];
const TEMPLATES: &[&str] = &[
    "once upon a time, there was a little KIND named NAME. one day, NAME was very sad because",
    "once upon a time, there was a KIND named NAME. NAME was happy because",
    "NAME was a little KIND. NAME went to the park with a friend. when NAME saw the slide,",
    "there was a KIND named NAME who liked to play. NAME had a red ball. one day,",
    "NAME was a KIND who loved the sun. NAME smiled because",
    "once there was a small KIND called NAME. NAME ran to the tree and then",
];

/// How well a model does the task.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Ability {
    /// Prompts that were tried.
    pub prompts: usize,
    /// The share in which the right pronoun was more likely than the other.
    pub right: f64,
    /// The mean share of the right pronoun among both.
    pub share: f64,
}

/// At most `most` pairs that the model can do, and how well it does the task at all. Names and templates come in
/// an order that `seed` draws.
///
/// # Errors
/// Those of the tokenizer.
pub fn pronoun_pairs(
    model: &LanguageModel,
    most: usize,
    seed: u64,
) -> Result<(Vec<Pair>, Ability)> {
    let capitalised = knows_capitals(model)?;
    let [she, he] = [pronoun(model, "she")?, pronoun(model, "he")?];
    let mut pairs = Vec::new();
    let mut ability = Ability { prompts: 0, right: 0.0, share: 0.0 };
    let mut places: Vec<(usize, usize, usize)> = Vec::new();
    for template in 0..TEMPLATES.len() {
        for girl in 0..GIRLS.len() {
            places.extend((0..BOYS.len()).map(|boy| (template, girl, boy)));
        }
    }
    Random::stream(seed, "pairs of pronouns").shuffle(&mut places);
    // Enough to know the ability by, and to choose from.
    for (template, girl, boy) in places.into_iter().take(4 * most) {
        if pairs.len() == most {
            break;
        }
        let text = |name: &str, kind: &str| written(TEMPLATES[template], name, kind, capitalised);
        let (base, target) = (text(GIRLS[girl], "girl"), text(BOYS[boy], "boy"));
        let Ok(pair) = Pair::new(model, &base, &target) else { continue };
        let shares =
            [share_of(model, &pair.base, she, he)?, share_of(model, &pair.target, he, she)?];
        for share in shares {
            ability.prompts += 1;
            ability.right += f64::from(u8::from(share > 0.5));
            ability.share += share;
        }
        if shares.iter().all(|&share| share > 0.5) {
            // Every other pair the other way round.
            pairs.push(match pairs.len() % 2 {
                0 => pair,
                _ => Pair { base: pair.target, target: pair.base },
            });
        }
    }
    let count = ability.prompts.max(1) as f64;
    (ability.right, ability.share) = (ability.right / count, ability.share / count);
    Ok((pairs, ability))
}

/// Whether the model's tokens tell names with capitals in fewer pieces.
fn knows_capitals(model: &LanguageModel) -> Result<bool> {
    let pieces = |names: &[String]| -> Result<usize> {
        names.iter().map(|name| Ok(model.tokenizer.encode(&format!(" {name}"))?.len())).sum()
    };
    let plain: Vec<String> = GIRLS.iter().chain(BOYS).map(|name| (*name).to_owned()).collect();
    let capital: Vec<String> = plain.iter().map(|name| capitalise(name)).collect();
    Ok(pieces(&capital)? < pieces(&plain)?)
}

fn capitalise(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn written(template: &str, name: &str, kind: &str, capitalised: bool) -> String {
    let filled = |name: &str| template.replace("NAME", name).replace("KIND", kind);
    if !capitalised {
        return filled(name);
    }
    let sentences = filled(&capitalise(name));
    sentences.split(". ").map(capitalise).collect::<Vec<_>>().join(". ")
}

/// The token of a pronoun in the middle of a sentence.
fn pronoun(model: &LanguageModel, word: &str) -> Result<u32> {
    // Behind a word, so that what a tokenizer puts before a text is not part of it.
    let alone = model.tokenizer.encode("because")?.len();
    let with = model.tokenizer.encode(&format!("because {word}"))?;
    Ok(with.get(alone).copied().unwrap_or_default())
}

/// The share of `right` among `right` and `other` after a prompt.
fn share_of(model: &LanguageModel, prompt: &[u32], right: u32, other: u32) -> Result<f64> {
    let logs = next_token(model, prompt, &mut NoHook)?;
    let log = |token: u32| f64::from(logs[token as usize]);
    Ok(1.0 / (1.0 + (log(other) - log(right)).exp()))
}
