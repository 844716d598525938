//! Columns that line up.

use narrows::evaluate::Spread;

/// Rows under headings: the first column to the left, a heading that begins with `#` and its
/// column to the right, all others to the left.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let right: Vec<bool> = headings.iter().map(|heading| heading.starts_with('#')).collect();
    let headings = headings.iter().map(|heading| heading.trim_start_matches('#').to_owned());
    let lines: Vec<Vec<String>> =
        std::iter::once(headings.collect()).chain(rows.to_vec()).collect();
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|c| c.chars().count()).max()
    };
    let widths: Vec<usize> = (0..right.len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths).zip(&right).map(|((cell, &width), &right)| {
            if right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A mean, with the standard deviation where there is one.
pub(crate) fn spread(value: Spread, digits: usize) -> String {
    match value.deviation {
        Some(deviation) => format!("{:.digits$} ± {deviation:.digits$}", value.mean),
        None => format!("{:.digits$}", value.mean),
    }
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_line_up_whatever_the_letters() {
        let rows =
            [vec!["é".to_owned(), "1.5".to_owned()], vec!["long".to_owned(), "10".to_owned()]];
        assert_eq!(table(&["name", "#value"], &rows), "name  value\né       1.5\nlong     10\n");
    }
}
