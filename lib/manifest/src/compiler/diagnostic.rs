//! What the compiler says about a manifest, and how it looks on a terminal.
//!
//! A diagnostic owns everything it prints, so that it outlives the sources it speaks of.

use std::fmt;

/// How grave it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// No manifest comes out.
    Error,
    /// A manifest comes out; something in it is probably not meant so.
    Warning,
}

/// A place in a manifest's source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file, as the compiler was given it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// How many characters of the line are meant; at least 1.
    pub length: usize,
    /// The whole line.
    pub text: String,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One mistake, or one thing worth a second look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How grave it is.
    pub severity: Severity,
    /// What is wrong, as a sentence without its full stop.
    pub message: String,
    /// Where; `None` if no file could be read.
    pub location: Option<Location>,
    /// A few words beside the caret; often a suggestion. May be empty.
    pub label: String,
    /// Other places that belong to it, each with what it is.
    pub related: Vec<(String, Option<Location>)>,
    /// What to do about it.
    pub help: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(f, "{word}: {}", self.message)?;
        let mut margin = 1;
        if let Some(at) = &self.location {
            let number = at.line.to_string();
            margin = number.len();
            writeln!(f, "{:margin$}--> {at}", "")?;
            writeln!(f, "{:margin$} |", "")?;
            writeln!(f, "{number} | {}", at.text.replace('\t', " "))?;
            let carets = "^".repeat(at.length);
            let gap = if self.label.is_empty() { "" } else { " " };
            writeln!(f, "{:margin$} | {:indent$}{carets}{gap}{}", "", "", self.label, indent = at.column - 1)?;
        }
        for (text, place) in &self.related {
            match place {
                Some(place) => writeln!(f, "{:margin$} = note: {text}: {place}", "")?,
                None => writeln!(f, "{:margin$} = note: {text}", "")?,
            }
        }
        if let Some(help) = &self.help {
            writeln!(f, "{:margin$} = help: {help}", "")?;
        }
        Ok(())
    }
}

/// Everything found in one run, in the order of the source. At least one is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// How many of them have this severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.0.iter().filter(|diagnostic| diagnostic.severity == severity).count()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in &self.0 {
            writeln!(f, "{diagnostic}")?;
        }
        let counted = |count: usize, word: &str| match count {
            1 => format!("1 {word}"),
            _ => format!("{count} {word}s"),
        };
        write!(f, "the manifest has {}", counted(self.count(Severity::Error), "error"))?;
        match self.count(Severity::Warning) {
            0 => writeln!(f),
            warnings => writeln!(f, " and {}", counted(warnings, "warning")),
        }
    }
}

impl std::error::Error for Diagnostics {}
