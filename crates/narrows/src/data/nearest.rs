//! The name that was probably meant.

/// The remedy where no candidate is near.
const UNKNOWN: &str = "check the name";

/// A remedy that proposes the candidate nearest to what was `given`.
pub fn did_you_mean<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let nearest = candidates.into_iter().min_by_key(|candidate| distance(given, candidate));
    match nearest {
        Some(candidate) if distance(given, candidate) <= given.chars().count().max(4) / 2 => {
            format!("did you mean '{candidate}'?")
        }
        _ => UNKNOWN.to_owned(),
    }
}

/// Candidates that are listed where none of them is near.
const LISTED: usize = 12;

/// As [`did_you_mean`]; where no candidate is near, the first of them.
pub(crate) fn did_you_mean_or_list<'a>(
    given: &str,
    candidates: impl Iterator<Item = &'a str> + Clone,
) -> String {
    let hint = did_you_mean(given, candidates.clone());
    if hint != UNKNOWN {
        return hint;
    }
    let count = candidates.clone().count();
    let listed: Vec<String> = candidates.take(LISTED).map(|name| format!("'{name}'")).collect();
    match count.saturating_sub(LISTED) {
        0 => format!("there are {}", listed.join(", ")),
        more => format!("there are {} and {more} more", listed.join(", ")),
    }
}

/// The number of letters to insert, delete, replace or swap with the next to turn `a` into `b`, ignoring case: no
/// letter is changed twice (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let [a, b] = [a, b].map(|name| name.to_lowercase().chars().collect::<Vec<_>>());
    // The rows of the table for two letters of `a` less, for one less, and for this one.
    let mut before_last = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(from != to);
            let mut least = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *from == b[j - 1] && a[i - 1] == *to {
                least = least.min(before_last[j - 1] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_known_by_hand() {
        let cases = [
            ("", "", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("Price", "price", 0),
            // Letters that changed places are one slip, not two.
            ("knid", "kind", 1),
            ("abcd", "badc", 2),
            ("ca", "abc", 3),
        ];
        for (a, b, edits) in cases {
            assert_eq!((distance(a, b), distance(b, a)), (edits, edits), "{a} {b}");
        }
    }

    #[test]
    fn a_name_far_from_all_others_is_not_proposed() {
        assert_eq!(did_you_mean("spcies", ["petal", "species"]), "did you mean 'species'?");
        assert_eq!(did_you_mean("colour", ["petal", "species"]), "check the name");
    }

    #[test]
    fn of_several_that_are_near_the_one_with_letters_swapped_is_proposed() {
        assert_eq!(did_you_mean("knid", ["acid", "kind"]), "did you mean 'kind'?");
    }

    #[test]
    fn where_none_is_near_the_first_are_listed() {
        let few = ["petal", "species"].into_iter();
        assert_eq!(did_you_mean_or_list("colour", few), "there are 'petal', 'species'");
        let names: Vec<String> = (0..14).map(|number| format!("column {number}")).collect();
        let told = did_you_mean_or_list("x", names.iter().map(String::as_str));
        assert!(told.ends_with("'column 11' and 2 more"), "{told}");
    }
}
