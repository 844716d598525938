//! Words and numbers as they stand on the page.

use std::fmt;

/// Markup that is ready to be shown. Everything on a page is either this, made by this room, or a
/// plain string, which is escaped: no text of the user can become markup.
#[derive(Debug, Clone, Default)]
pub struct Html(pub(super) String);

impl fmt::Display for Html {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The text with the five characters that mean something to HTML made harmless, and without the
/// control characters that no HTML may hold.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(character),
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A number to four significant digits: `12,350`, `0.9312`, `3.1×10⁻⁷`; `not a number` for NaN.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size.is_nan() => "not a number".to_owned(),
        f64::INFINITY => if value > 0.0 { "∞" } else { "−∞" }.to_owned(),
        0.0 => "0".to_owned(),
        size if !(1e-3..1e7).contains(&size) => {
            let digits = format!("{value:.2e}");
            let (mantissa, exponent) = digits.split_once('e').unwrap_or((&digits, "0"));
            format!("{}×10{}", trimmed(mantissa), superscript(exponent)).replace('-', "−")
        }
        size => {
            let decimals = (3 - size.log10().floor() as i32).max(0) as usize;
            trimmed(&decimal(value, decimals)).to_owned()
        }
    }
}

/// A share of one as a percentage: `93.1 %`, never broken over two lines.
pub fn percent(share: f64) -> String {
    if share.is_finite() {
        format!("{}\u{a0}%", decimal(100.0 * share, 1))
    } else {
        "not a number".to_owned()
    }
}

/// A whole number with its thousands set apart.
pub fn count(value: usize) -> String {
    grouped(&value.to_string())
}

/// `one` or `many` of something, with the number.
pub(super) fn plural(value: usize, one: &str, many: &str) -> String {
    format!("{} {}", count(value), if value == 1 { one } else { many })
}

/// A number with a fixed number of decimals, a true minus sign and its thousands set apart.
pub(super) fn decimal(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", value.abs());
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let sign = if value < 0.0 && text.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) {
        "−"
    } else {
        ""
    };
    format!("{sign}{}{fraction}", grouped(whole))
}

/// A whole exponent in raised digits.
pub(super) fn superscript(exponent: &str) -> String {
    const RAISED: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    exponent.chars().map(|c| c.to_digit(10).map_or('⁻', |digit| RAISED[digit as usize])).collect()
}

fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

fn grouped(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_at_a_glance() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (12_345.6, "12,346"),
            (0.931_249, "0.9312"),
            (-2.5, "−2.5"),
            (3.1e-7, "3.1×10⁻⁷"),
            (-6.02e23, "−6.02×10²³"),
            (f64::NAN, "not a number"),
            (f64::NEG_INFINITY, "−∞"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        assert_eq!(percent(0.93125), "93.1\u{a0}%");
        assert_eq!(percent(-0.0001), "0.0\u{a0}%");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(999), "999");
    }

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escape("<a href='x'>\"&\u{0}"), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;\u{fffd}");
    }
}
