//! Charts, drawn on the server as SVG: they need no script, print well, and stand in the report as they stand on the page.
//!
//! Colors come from classes of the style sheet, so a chart follows the theme. Text is escaped here; the templates take it
//! as it is.

mod account;
mod bars;
mod features;
mod letters;
pub mod map;
mod terms;

use std::fmt::{self, Display, Write as _};

pub use account::{Surprisal, account};
pub use bars::{Bucket, Strip, buckets, share, spark, strip, time_bars};
pub use features::features;
pub use letters::letters;
pub use terms::{Part, terms};

/// Text between tags and in attributes.
pub struct Escaped<'a>(pub &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A drawing under construction.
struct Drawing {
    svg: String,
}

impl Drawing {
    /// `label` is read to those who do not see it.
    fn new(class: &str, width: u32, height: u32, label: &str) -> Self {
        let mut svg = String::new();
        // Writing into a string cannot fail, here and below.
        let _ = write!(
            svg,
            r#"<svg class="{class}" viewBox="0 0 {width} {height}" role="img" aria-label="{}">"#,
            Escaped(label)
        );
        Self { svg }
    }

    fn rect(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64), title: &str) {
        let _ = write!(
            self.svg,
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{:.1}" height="{:.1}">"#,
            width.max(0.0),
            height.max(0.0)
        );
        if !title.is_empty() {
            let _ = write!(self.svg, "<title>{}</title>", Escaped(title));
        }
        self.svg.push_str("</rect>");
    }

    fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        let _ = write!(
            self.svg,
            r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#
        );
    }

    /// `anchor`: `start`, `middle` or `end`.
    fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: &str, text: &str) {
        let _ = write!(
            self.svg,
            r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#,
            Escaped(text)
        );
    }

    /// Everything drawn until [`Self::end_link`] leads there.
    fn link(&mut self, href: &str, label: &str) {
        let _ = write!(
            self.svg,
            r#"<a href="{}" aria-label="{}">"#,
            Escaped(href),
            Escaped(label)
        );
    }

    fn end_link(&mut self) {
        self.svg.push_str("</a>");
    }

    fn finish(mut self) -> String {
        self.svg.push_str("</svg>");
        self.svg
    }
}

/// Cut for a label.
fn short(text: &str, max: usize) -> String {
    lynceus_view::human::printable(text, max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_place() {
        let mut drawing = Drawing::new("c", 10, 10, "a\"b");
        drawing.text("t", (0.0, 0.0), "start", "<script>&'");
        let svg = drawing.finish();
        assert!(svg.contains("a&quot;b"));
        assert!(svg.contains("&lt;script&gt;&amp;&#39;"));
        assert!(svg.ends_with("</svg>"));
    }
}
