//! A page: title, summary figures, sections.

use std::fmt::Write;

use super::chart::{MARKERS, colour_class};
use super::text::{Html, count, escape};

const STYLE: &str = include_str!("style.css");

/// Everything on one page. Plain strings are escaped when the page is rendered.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The name of what is shown.
    pub title: String,
    /// One sentence under it.
    pub subtitle: String,
    /// The widths of the emblem beside the title: what goes in, what it is narrowed to, what comes out.
    pub narrowing: Option<[usize; 3]>,
    /// The figures to know first.
    pub cards: Vec<Card>,
    /// The parts, in reading order.
    pub sections: Vec<Section>,
    /// What could have been shown but has no record, each with the reason.
    pub missing: Vec<String>,
}

/// A summary figure.
#[derive(Debug, Clone, Default)]
pub struct Card {
    /// The figure, ready to read.
    pub value: String,
    /// What it is.
    pub label: String,
    /// What to compare it with; may be empty.
    pub note: String,
}

/// A part of the page.
#[derive(Debug, Clone, Default)]
pub struct Section {
    /// Its heading, also its entry in the contents.
    pub heading: String,
    /// What the reader sees and how to read it: a sentence or two in each paragraph.
    pub text: Vec<String>,
    /// What there is to see.
    pub blocks: Vec<Block>,
}

/// Something to see in a section.
#[derive(Debug, Clone)]
pub enum Block {
    /// A drawing with its caption.
    Figure(Html, String),
    /// Drawings side by side where there is room.
    Pair(Vec<(Html, String)>),
    /// A drawing to compare with, smaller, with its caption.
    Small(Html, String),
    /// A table.
    Table(Table),
    /// A table of numbers whose cells are shaded.
    Matrix(Matrix),
    /// A line of mathematics, as text.
    Formula(String),
    /// Something to type.
    Code(String),
    /// Something long, shown when asked for: its name and its text.
    Details(String, String),
}

/// A table whose first column names its rows.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// The names of the columns. One that starts with `#` (not shown) holds numbers.
    pub columns: Vec<String>,
    /// The cells.
    pub rows: Vec<Vec<String>>,
}

/// A table of numbers with a shade behind each: tight, and moved sideways within its block where the
/// screen is narrower.
#[derive(Debug, Clone, Default)]
pub struct Matrix {
    /// What the first column holds, then the names of the others.
    pub columns: Vec<String>,
    /// The name of each row and its cells.
    pub rows: Vec<(String, Vec<Cell>)>,
}

/// A cell of a [`Matrix`].
#[derive(Debug, Clone, Default)]
pub struct Cell {
    /// What stands in it.
    pub text: String,
    /// The colour behind it, one of the charts'.
    pub colour: usize,
    /// How much of that, from 0 to 1.
    pub shade: f64,
}

impl Page {
    /// The page as one HTML document.
    pub fn render(&self) -> String {
        let title = escape(&self.title);
        let mut html = format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
             <meta name=\"color-scheme\" content=\"light dark\"/>\
             <title>{title}</title><style>{STYLE}</style></head><body>{MARKERS}"
        );
        let _ = write!(
            html,
            "<header><div><p class=\"mark\">narrows</p><h1>{title}</h1><p class=\"subtitle\">{}</p></div>{}</header>",
            escape(&self.subtitle),
            self.narrowing.map(emblem).unwrap_or_default()
        );
        html += &self.summary();
        html += "<main>";
        self.sections.iter().for_each(|section| html += &section.render());
        html += "</main>";
        html += &self.foot();
        html + "</body></html>\n"
    }

    fn summary(&self) -> String {
        let mut html = String::from("<div class=\"cards\">");
        for Card { value, label, note } in &self.cards {
            let _ = write!(
                html,
                "<div class=\"card\"><p>{}</p><strong>{}</strong><small>{}</small></div>",
                escape(label),
                escape(value),
                escape(note)
            );
        }
        html += "</div><nav aria-label=\"Contents\">";
        for Section { heading, .. } in &self.sections {
            let _ = write!(html, "<a href=\"#{}\">{}</a>", anchor(heading), escape(heading));
        }
        html + "</nav>"
    }

    fn foot(&self) -> String {
        if self.missing.is_empty() {
            return String::new();
        }
        let items: String =
            self.missing.iter().map(|item| format!("<li>{}</li>", escape(item))).collect();
        format!("<footer><p>Not on this page:</p><ul>{items}</ul></footer>")
    }
}

impl Section {
    fn render(&self) -> String {
        let mut html = format!(
            "<section id=\"{}\"><div class=\"words\"><h2>{}</h2>",
            anchor(&self.heading),
            escape(&self.heading)
        );
        self.text.iter().for_each(|text| html += &format!("<p>{}</p>", escape(text)));
        html += "</div><div class=\"shown\">";
        self.blocks.iter().for_each(|block| html += &block.render());
        html + "</div></section>"
    }
}

impl Block {
    fn render(&self) -> String {
        match self {
            Self::Figure(drawing, caption) => figure(drawing, caption),
            Self::Pair(figures) => {
                let figures: String =
                    figures.iter().map(|(html, text)| figure(html, text)).collect();
                format!("<div class=\"pair\">{figures}</div>")
            }
            Self::Small(drawing, caption) => {
                format!("<div class=\"small\">{}</div>", figure(drawing, caption))
            }
            Self::Table(table) => table.render(),
            Self::Matrix(matrix) => matrix.render(),
            Self::Formula(text) => format!("<p class=\"formula\">{}</p>", escape(text)),
            Self::Code(text) => {
                format!("<pre class=\"command\"><code>{}</code></pre>", escape(text))
            }
            Self::Details(name, text) => format!(
                "<details><summary>{}</summary><pre><code>{}</code></pre></details>",
                escape(name),
                escape(text)
            ),
        }
    }
}

impl Table {
    fn render(&self) -> String {
        if self.rows.is_empty() {
            return "<p class=\"missing\">The table has no rows.</p>".to_owned();
        }
        let is_number = |place: usize| self.columns.get(place).is_some_and(|c| c.starts_with('#'));
        let class = |place| if is_number(place) { " class=\"number\"" } else { "" };
        let name = |place: usize| {
            escape(self.columns.get(place).map_or("", |name| name.trim_start_matches('#')))
        };
        // More columns than a narrow screen holds: there each row becomes a list.
        let shape = if self.columns.len() > 3 { " class=\"list\"" } else { "" };
        let mut html = format!("<div class=\"scroll\" tabindex=\"0\"><table{shape}><thead><tr>");
        for place in 0..self.columns.len() {
            let _ = write!(html, "<th scope=\"col\"{}>{}</th>", class(place), name(place));
        }
        html += "</tr></thead><tbody>";
        for row in &self.rows {
            html += "<tr>";
            for (place, cell) in row.iter().map(|cell| escape(cell)).enumerate() {
                let (class, name) = (class(place), name(place));
                let _ = match place {
                    0 => write!(html, "<th scope=\"row\"{class}>{cell}</th>"),
                    _ => write!(html, "<td{class} data-name=\"{name}\">{cell}</td>"),
                };
            }
            html += "</tr>";
        }
        html + "</tbody></table></div>"
    }
}

impl Matrix {
    fn render(&self) -> String {
        let mut html = String::from(
            "<div class=\"scroll framed\" tabindex=\"0\"><table class=\"matrix\"><thead><tr>",
        );
        for name in &self.columns {
            let _ = write!(html, "<th scope=\"col\">{}</th>", escape(name));
        }
        html += "</tr></thead><tbody>";
        for (name, cells) in &self.rows {
            let _ = write!(html, "<tr><th scope=\"row\">{}</th>", escape(name));
            cells.iter().for_each(|cell| html += &cell.render());
            html += "</tr>";
        }
        html + "</tbody></table></div>"
    }
}

impl Cell {
    fn render(&self) -> String {
        let text = escape(&self.text);
        if self.shade > 0.0 {
            // Half of the colour at most: the text stays readable on it, light or dark.
            let (shade, colour) = (50.0 * self.shade.min(1.0), colour_class(self.colour));
            format!("<td class=\"{colour}\" style=\"--shade:{shade:.1}%\">{text}</td>")
        } else {
            format!("<td>{text}</td>")
        }
    }
}

fn figure(drawing: &Html, caption: &str) -> String {
    let caption = match caption {
        "" => String::new(),
        text => format!("<figcaption>{}</figcaption>", escape(text)),
    };
    format!("<figure>{drawing}{caption}</figure>")
}

fn anchor(heading: &str) -> String {
    let dash = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    heading.chars().map(dash).collect()
}

/// What goes in, the code, what comes out: as high as the logarithm of the widths.
fn emblem([wide, narrow, out]: [usize; 3]) -> Html {
    let size = |width: usize| (1.0 + width as f64).log10();
    let outer = 44.0;
    let reach = |width| outer * (size(width) / size(wide.max(1))).clamp(0.04, 1.0);
    let (inner, right) = (reach(narrow), reach(out));
    let (top, bottom) = (50.0 - inner, 50.0 + inner);
    let (end, foot) = (50.0 - right, 50.0 + right);
    let [wide, narrow, out] = [wide, narrow, out].map(count);
    Html(format!(
        "<svg class=\"emblem\" viewBox=\"0 -14 240 114\" role=\"img\" \
         aria-label=\"{wide} numbers in, narrowed to {narrow}, {out} out\">\
         <path d=\"M6 6C70 6 70 {top:.1} 120 {top:.1}S170 {end:.1} 234 {end:.1}V{foot:.1}\
         C170 {foot:.1} 170 {bottom:.1} 120 {bottom:.1}\
         S70 94 6 94Z\"/><path class=\"code\" d=\"M120 {top:.1}V{bottom:.1}\"/>\
         <text x=\"14\" y=\"54\">{wide}</text><text x=\"120\" y=\"{:.1}\" text-anchor=\"middle\">{narrow}</text>\
         <text x=\"226\" y=\"54\" text-anchor=\"end\">{out}</text></svg>",
        top - 6.0
    ))
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Every element is closed, in the order in which it was opened, and no attribute is cut off.
    pub(in crate::report) fn assert_balanced(html: &str) {
        let mut open = Vec::new();
        for tag in html.split('<').skip(1) {
            let (tag, _) = tag.split_once('>').expect("a tag that ends");
            assert_eq!(tag.matches('"').count() % 2, 0, "quotes in <{tag}>");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name), "</{name}>");
            } else if !tag.ends_with('/') && !tag.starts_with('!') {
                open.push(tag.split_whitespace().next().unwrap());
            }
        }
        assert!(open.is_empty(), "never closed: {open:?}");
    }

    #[test]
    #[should_panic(expected = "</p>")]
    fn the_balance_check_sees_a_tag_in_the_wrong_place() {
        assert_balanced("<p><b></p></b>");
    }

    #[test]
    fn every_string_of_a_page_is_escaped() {
        let evil = || "<script>\"'&".to_owned();
        let table = Table {
            columns: vec![evil(), format!("#{}", evil())],
            rows: vec![vec![evil(), evil()]],
        };
        let cell = Cell { text: evil(), colour: 1, shade: 0.5 };
        let matrix = Matrix { columns: vec![evil(), evil()], rows: vec![(evil(), vec![cell])] };
        let blocks = vec![
            Block::Figure(Html("<b>drawn here</b>".into()), evil()),
            Block::Pair(vec![(Html::default(), evil())]),
            Block::Small(Html::default(), evil()),
            Block::Table(table),
            Block::Matrix(matrix),
            Block::Formula(evil()),
            Block::Code(evil()),
            Block::Details(evil(), evil()),
        ];
        let page = Page {
            title: evil(),
            subtitle: evil(),
            narrowing: Some([784, 32, 10]),
            cards: vec![Card { value: evil(), label: evil(), note: evil() }],
            sections: vec![Section { heading: evil(), text: vec![evil()], blocks }],
            missing: vec![evil()],
        };
        let html = page.render();
        assert_balanced(&html);
        assert!(!html.contains("<script"));
        assert_eq!(html.matches("&lt;script&gt;&quot;&#39;&amp;").count(), 26);
        assert!(html.contains("<b>drawn here</b>"));
    }

    #[test]
    fn a_page_asks_for_nothing_from_elsewhere_and_runs_nothing() {
        let html = Page::default().render();
        assert_balanced(&html);
        for word in ["http:", "https:", "//", "@import", "<script", "<link", "url("] {
            assert!(!html.contains(word), "{word}");
        }
    }
}
