//! The name that was probably meant.

/// A remedy that proposes the candidate nearest to what was `given`.
pub fn did_you_mean<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let nearest = candidates.into_iter().min_by_key(|candidate| distance(given, candidate));
    match nearest {
        Some(candidate) if distance(given, candidate) <= given.chars().count().max(4) / 2 => {
            format!("did you mean '{candidate}'?")
        }
        _ => "check the name".to_owned(),
    }
}

/// The number of letters to insert, delete or replace to turn `a` into `b`, ignoring case.
fn distance(a: &str, b: &str) -> usize {
    let [a, b] = [a, b].map(|name| name.to_lowercase().chars().collect::<Vec<_>>());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_known_by_hand() {
        let cases = [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("Price", "price", 0)];
        for (a, b, edits) in cases {
            assert_eq!((distance(a, b), distance(b, a)), (edits, edits), "{a} {b}");
        }
    }

    #[test]
    fn a_name_far_from_all_others_is_not_proposed() {
        assert_eq!(did_you_mean("spcies", ["petal", "species"]), "did you mean 'species'?");
        assert_eq!(did_you_mean("colour", ["petal", "species"]), "check the name");
    }
}
