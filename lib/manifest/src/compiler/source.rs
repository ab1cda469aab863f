//! The source files of one run, places in them, and the list of what was found.

use std::collections::BTreeSet;

use toml_span::Span;

use super::diagnostic::{Diagnostic, Location, Severity};

/// A place in one of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    file: usize,
    start: usize,
    end: usize,
}

impl At {
    /// The place of `span` in the file with that number.
    pub fn new(file: usize, span: Span) -> Self {
        At { file, start: span.start, end: span.end }
    }

    /// The number of the file.
    pub fn file(self) -> usize {
        self.file
    }
}

/// A value and where it was written.
#[derive(Debug, Clone)]
pub(super) struct Spanned<T> {
    pub value: T,
    pub at: At,
}

/// A finding while it is being put together; it is kept when dropped into [`Findings::push`].
pub(super) struct Finding {
    severity: Severity,
    message: String,
    at: Option<At>,
    label: String,
    related: Vec<(String, Option<At>)>,
    help: Option<String>,
}

impl Finding {
    /// A mistake at a place.
    pub fn error(at: At, message: impl Into<String>) -> Self {
        Finding {
            severity: Severity::Error,
            message: message.into(),
            at: Some(at),
            label: String::new(),
            related: Vec::new(),
            help: None,
        }
    }

    /// Something suspicious at a place.
    pub fn warning(at: At, message: impl Into<String>) -> Self {
        Finding { severity: Severity::Warning, ..Finding::error(at, message) }
    }

    /// A mistake that has no place.
    pub fn nowhere(message: impl Into<String>) -> Self {
        let start = At { file: 0, start: 0, end: 0 };
        Finding { at: None, ..Finding::error(start, message) }
    }

    /// A few words beside the caret.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Another place that belongs to it.
    pub fn see(mut self, text: impl Into<String>, at: At) -> Self {
        self.related.push((text.into(), Some(at)));
        self
    }

    /// A fact that belongs to it.
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.related.push((text.into(), None));
        self
    }

    /// What to do about it.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The suggestion of [`nearest`], if there is one, as the label.
    pub fn did_you_mean<'a>(self, word: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(word, known) {
            Some(near) => self.label(format!("did you mean `{near}`?")),
            None => self,
        }
    }
}

/// The known word that `word` was probably meant to be.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase().replace('_', "-");
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.replace('_', "-")), candidate))
        .filter(|&(distance, candidate)| {
            distance <= candidate.chars().count().max(word.chars().count()) / 3
                || (candidate.len() >= 2 && (lower.starts_with(candidate) || candidate.starts_with(&lower)))
        })
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// The files read so far and what was found in them.
#[derive(Default)]
pub(super) struct Findings {
    files: Vec<(String, String)>,
    found: Vec<Finding>,
    seen: BTreeSet<(Option<At>, String)>,
}

impl Findings {
    /// Adds a file; returns its number.
    pub fn add_file(&mut self, name: String, text: String) -> usize {
        self.files.push((name, text));
        self.files.len() - 1
    }

    /// The number of the file of that name, if it was read.
    pub fn file(&self, name: &str) -> Option<usize> {
        self.files.iter().position(|(known, _)| known == name)
    }

    /// The name of a file.
    pub fn file_name(&self, file: usize) -> &str {
        &self.files[file].0
    }

    /// The text of a file.
    pub fn text(&self, file: usize) -> &str {
        &self.files[file].1
    }

    /// The place of a file's first line.
    pub fn first_line(&self, file: usize) -> At {
        At { file, start: 0, end: self.files[file].1.find('\n').unwrap_or(self.files[file].1.len()) }
    }

    /// Keeps a finding; the same one twice counts once.
    pub fn push(&mut self, finding: Finding) {
        if self.seen.insert((finding.at, finding.message.clone())) {
            self.found.push(finding);
        }
    }

    /// Whether there was a mistake.
    pub fn has_errors(&self) -> bool {
        self.found.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// All of it, in the order of the source.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        let mut found = std::mem::take(&mut self.found);
        found.sort_by_key(|finding| finding.at);
        found
            .into_iter()
            .map(|finding| Diagnostic {
                severity: finding.severity,
                message: finding.message,
                location: finding.at.map(|at| self.locate(at)),
                label: finding.label,
                related: finding.related.into_iter().map(|(text, at)| (text, at.map(|at| self.locate(at)))).collect(),
                help: finding.help,
            })
            .collect()
    }

    fn locate(&self, at: At) -> Location {
        let (name, text) = &self.files[at.file];
        let mut start = at.start.min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let line = text[line_start..line_end].trim_end_matches('\r');
        let before = text[line_start..start].chars().count();
        let within = text.get(start..at.end.clamp(start, line_start + line.len()).max(start));
        Location {
            file: name.clone(),
            line: text[..start].matches('\n').count() + 1,
            column: before + 1,
            length: within.map_or(1, |part| part.trim_end().chars().count()).max(1),
            text: line.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_and_a_far_one_is_not() {
        let known = ["priority", "program", "period", "ports"];
        assert_eq!(nearest("priorty", known), Some("priority"));
        assert_eq!(nearest("Program", known), Some("program"));
        assert_eq!(nearest("port", known), Some("ports"));
        assert_eq!(nearest("colour", known), None);
    }

    #[test]
    fn columns_count_characters_and_survive_odd_places() {
        let mut findings = Findings::default();
        let file = findings.add_file("x.toml".into(), "a\nöä = 1\r\n".into());
        let at = findings.locate(At { file, start: 7, end: 8 });
        assert_eq!((at.line, at.column, at.length, at.text.as_str()), (2, 4, 1, "öä = 1"));
        let beyond = findings.locate(At { file, start: 99, end: 100 });
        assert_eq!((beyond.line, beyond.column, beyond.length), (3, 1, 1));
        let newline = findings.locate(At { file, start: 1, end: 2 });
        assert_eq!((newline.line, newline.column, newline.length), (1, 2, 1));
    }
}
