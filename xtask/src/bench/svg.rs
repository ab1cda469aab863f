//! A small writer of SVG: shapes with classes, which a style sheet colours.

use std::fmt::{Display, Write};

/// A picture being drawn. The origin is at the top left, a unit is a pixel.
#[derive(Clone, Debug)]
pub struct Svg {
    width: f64,
    height: f64,
    body: String,
}

/// Which end of a text lies at its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// Its beginning.
    Start,
    /// Its middle.
    Middle,
    /// Its end.
    End,
}

impl Svg {
    /// An empty picture.
    #[must_use]
    pub const fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    /// A rectangle.
    pub fn rectangle(&mut self, class: &str, x: f64, y: f64, width: f64, height: f64) {
        self.body += &format!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"2\"/>\n"
        );
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        self.body += &format!(
            "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>\n",
            from.0, from.1, to.0, to.1
        );
    }

    /// A line through points.
    pub fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.body += &format!("<polyline class=\"{class}\" points=\"{}\"/>\n", points.join(" "));
    }

    /// A dot that says `title` when it is pointed at.
    pub fn dot(&mut self, class: &str, (x, y): (f64, f64), title: impl Display) {
        self.body += &format!(
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"><title>{}</title></circle>\n",
            escape(&title.to_string())
        );
    }

    /// Text with its base line at `y`.
    pub fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: impl Display) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.body += &format!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>\n",
            escape(&text.to_string())
        );
    }

    /// Another picture in this one.
    pub fn place(&mut self, (x, y): (f64, f64), picture: &Self) {
        let _ = write!(self.body, "<g transform=\"translate({x:.1} {y:.1})\">\n{}</g>\n", picture.body);
    }

    /// As an element of a page, whose style sheet colours it. `label` says what it shows to who cannot see it.
    #[must_use]
    pub fn element(&self, label: &str) -> String {
        self.wrapped(label, "")
    }

    /// As a file of its own, with its style sheet.
    #[must_use]
    pub fn file(&self, label: &str, style: &str) -> String {
        self.wrapped(label, &format!("<style>\n{style}</style>\n"))
    }

    fn wrapped(&self, label: &str, style: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n{style}{}</svg>\n",
            self.width,
            self.height,
            escape(label),
            self.body
        )
    }
}

/// Text as it stands in XML.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_place() {
        let mut svg = Svg::new(10.0, 10.0);
        svg.text("a", (1.0, 2.0), Anchor::End, "<b> & \"c\"");
        let element = svg.element("x");
        assert!(element.contains(">&lt;b&gt; &amp; &quot;c&quot;</text>"), "{element}");
        assert!(element.starts_with("<svg ") && element.ends_with("</svg>\n"));
    }
}
