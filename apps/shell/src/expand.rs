//! Words to arguments: tilde, parameters, command substitution, arithmetic, field splitting, file names.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::arith;
use crate::ast::*;
use crate::pattern::{Char, Pattern};
use crate::shell::{Flow, Outcome, Shell};

/// A stretch of an expanded word before it is split into fields.
enum Segment {
    /// Text, and whether it is quoted.
    Text(String, bool),
    /// Unquoted outcome of an expansion: split at `$IFS`.
    Split(String),
    /// The border between two fields.
    Border,
}

/// How an expansion that stands outside quotes is treated.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// An argument.
    Argument,
    /// An assignment's value: a tilde may also follow a colon.
    Assignment,
    /// Another place that takes exactly one text.
    Single,
}

impl Shell {
    /// All the fields that `words` expand to.
    pub fn expand_words(&mut self, words: &[Word]) -> Outcome<Vec<String>> {
        let mut fields = Vec::new();
        for word in words {
            if let Some(text) = word.as_literal()
                && !text.contains(['*', '?', '[', '~'])
            {
                fields.push(text.to_string());
                continue;
            }
            for field in self.fields(word)? {
                self.file_names(field, &mut fields);
            }
        }
        Ok(fields)
    }

    /// The one text that `word` expands to, without splitting or file names.
    pub fn expand_single(&mut self, word: &Word) -> Outcome<String> {
        let chars = self.characters(word, Mode::Single)?;
        Ok(chars.into_iter().map(|(c, _)| c).collect())
    }

    /// The text an assignment gives its variable.
    pub fn expand_assignment(&mut self, word: &Word) -> Outcome<String> {
        let chars = self.characters(word, Mode::Assignment)?;
        Ok(chars.into_iter().map(|(c, _)| c).collect())
    }

    /// The pattern that `word` expands to.
    pub fn expand_pattern(&mut self, word: &Word) -> Outcome<Pattern> {
        Ok(Pattern::new(&self.characters(word, Mode::Single)?))
    }

    fn characters(&mut self, word: &Word, mode: Mode) -> Outcome<Vec<Char>> {
        let mut segments = Vec::new();
        self.segments(&word.parts, false, mode, &mut segments)?;
        let mut chars = Vec::new();
        for segment in segments {
            match segment {
                Segment::Text(text, quoted) => chars.extend(text.chars().map(|c| (c, quoted))),
                Segment::Split(text) => chars.extend(text.chars().map(|c| (c, false))),
                Segment::Border => chars.push((' ', true)),
            }
        }
        Ok(chars)
    }

    fn fields(&mut self, word: &Word) -> Outcome<Vec<Vec<Char>>> {
        let mut segments = Vec::new();
        self.segments(&word.parts, false, Mode::Argument, &mut segments)?;
        let ifs = self.variable("IFS").unwrap_or(" \t\n").to_string();
        let mut splitter = Splitter { fields: Vec::new(), current: None, after_blank: false };
        for segment in segments {
            match segment {
                Segment::Text(text, quoted) => {
                    let current = splitter.current.get_or_insert_with(Vec::new);
                    current.extend(text.chars().map(|c| (c, quoted)));
                    splitter.after_blank = false;
                }
                Segment::Split(text) => splitter.split(&text, &ifs),
                Segment::Border => splitter.finish(),
            }
        }
        splitter.finish();
        Ok(splitter.fields)
    }

    fn segments(&mut self, parts: &[Part], quoted: bool, mode: Mode, out: &mut Vec<Segment>) -> Outcome<()> {
        for (index, part) in parts.iter().enumerate() {
            match part {
                Part::Literal(text) if !quoted => {
                    let text = if mode == Mode::Assignment {
                        self.tildes_in_path(text, index == 0)
                    } else if index == 0 && text.starts_with('~') {
                        self.tilde(text, parts.len() == 1)
                    } else {
                        Vec::from([Segment::Text(text.clone(), false)])
                    };
                    out.extend(text);
                }
                Part::Literal(text) | Part::Single(text) => out.push(Segment::Text(text.clone(), true)),
                Part::Double(inner) => {
                    let is_all = |part: &Part| matches!(part, Part::Parameter(p) if p.name == "@" && p.operation == Operation::Plain);
                    if inner.is_empty() || !inner.iter().any(is_all) {
                        out.push(Segment::Text(String::new(), true));
                    }
                    self.segments(inner, true, mode, out)?;
                }
                Part::Parameter(parameter) => self.parameter_segments(parameter, quoted, mode, out)?,
                Part::Command(body) => {
                    let text = self.substitute(body)?;
                    out.push(value(text, quoted, mode));
                }
                Part::Arithmetic(inner) => {
                    let number = self.arithmetic(inner)?;
                    out.push(value(number.to_string(), quoted, mode));
                }
            }
        }
        Ok(())
    }

    fn parameter_segments(
        &mut self,
        parameter: &Parameter,
        quoted: bool,
        mode: Mode,
        out: &mut Vec<Segment>,
    ) -> Outcome<()> {
        let name = parameter.name.as_str();
        match &parameter.operation {
            Operation::Plain => self.plain(name, quoted, mode, out),
            Operation::Length => {
                let length = match name {
                    "@" | "*" => self.state.positional.len(),
                    _ => self.checked(name)?.chars().count(),
                };
                out.push(value(length.to_string(), quoted, mode));
                Ok(())
            }
            Operation::Test { test, colon, word } => {
                let current = self.parameter(name);
                let counts = current.as_ref().is_some_and(|text| !colon || !text.is_empty());
                match test {
                    Test::Alternative if counts => self.operand(word, quoted, mode, out),
                    Test::Alternative => Ok(()),
                    _ if counts => self.plain(name, quoted, mode, out),
                    Test::Default => self.operand(word, quoted, mode, out),
                    Test::Assign => {
                        if !is_name(name) {
                            return self.fail(&format!("${{{name}=…}}: only a variable can be assigned to"));
                        }
                        let text = self.operand_text(word, quoted)?;
                        self.set_variable(name, &text)?;
                        out.push(value(text, quoted, mode));
                        Ok(())
                    }
                    Test::Error => {
                        let mut message = self.operand_text(word, quoted)?;
                        if message.is_empty() {
                            message = "parameter not set".into();
                        }
                        self.fail(&format!("{name}: {message}"))
                    }
                }
            }
            Operation::Trim { prefix, longest, pattern } => {
                let text: Vec<char> = self.checked(name)?.chars().collect();
                let pattern = self.expand_pattern(pattern)?;
                let rest: String = pattern.trim(&text, *prefix, *longest).iter().collect();
                out.push(value(rest, quoted, mode));
                Ok(())
            }
        }
    }

    /// The word in `${x-word}`: literals in it are split like the outcome of an expansion.
    fn operand(&mut self, word: &Word, quoted: bool, mode: Mode, out: &mut Vec<Segment>) -> Outcome<()> {
        let mut inner = Vec::new();
        self.segments(&word.parts, quoted, mode, &mut inner)?;
        for segment in inner {
            out.push(match segment {
                Segment::Text(text, false) if mode == Mode::Argument => Segment::Split(text),
                other => other,
            });
        }
        Ok(())
    }

    fn operand_text(&mut self, word: &Word, quoted: bool) -> Outcome<String> {
        let mut segments = Vec::new();
        self.segments(&word.parts, quoted, Mode::Single, &mut segments)?;
        let mut text = String::new();
        for segment in segments {
            match segment {
                Segment::Text(more, _) | Segment::Split(more) => text.push_str(&more),
                Segment::Border => text.push(' '),
            }
        }
        Ok(text)
    }

    fn plain(&mut self, name: &str, quoted: bool, mode: Mode, out: &mut Vec<Segment>) -> Outcome<()> {
        let ifs = self.variable("IFS").map(String::from);
        match name {
            "*" if quoted || mode != Mode::Argument => {
                let joint: String = match ifs {
                    None => " ".into(),
                    Some(ifs) => ifs.chars().take(1).collect(),
                };
                out.push(value(self.state.positional.join(&joint), quoted, mode));
            }
            "@" | "*" => {
                for (index, text) in self.state.positional.iter().enumerate() {
                    if index > 0 {
                        out.push(Segment::Border);
                    }
                    out.push(value(text.clone(), quoted, mode));
                }
            }
            _ => {
                let text = self.checked(name)?;
                out.push(value(text, quoted, mode));
            }
        }
        Ok(())
    }

    /// A parameter's value; unset is empty, or with `set -u` a mistake.
    fn checked(&mut self, name: &str) -> Outcome<String> {
        match self.parameter(name) {
            Some(text) => Ok(text),
            None if self.state.options.unset_is_error && !matches!(name, "@" | "*") => {
                self.fail(&format!("{name}: parameter not set"))
            }
            None => Ok(String::new()),
        }
    }

    fn arithmetic(&mut self, parts: &[Part]) -> Outcome<i64> {
        let mut segments = Vec::new();
        self.segments(parts, true, Mode::Single, &mut segments)?;
        let mut text = String::new();
        for segment in segments {
            if let Segment::Text(more, _) | Segment::Split(more) = segment {
                text.push_str(&more);
            }
        }
        match arith::evaluate(&text, &mut Bridge(self)) {
            Ok(number) => Ok(number),
            Err(message) if message.is_empty() => Err(Flow::Failed(2)),
            Err(message) => self.fail(&message),
        }
    }

    /// `~` and `~/path` at a word's beginning; `alone` says that nothing follows the text.
    fn tilde(&self, text: &str, alone: bool) -> Vec<Segment> {
        let end = text.find('/').unwrap_or(text.len());
        let home = match &text[..end] {
            "~" if end < text.len() || alone => self.variable("HOME"),
            _ => None,
        };
        match home {
            Some(home) => {
                let rest = &text[end..];
                let home = if rest.is_empty() { home } else { home.trim_end_matches('/') };
                Vec::from([Segment::Text(home.into(), true), Segment::Text(rest.into(), false)])
            }
            None => Vec::from([Segment::Text(text.into(), false)]),
        }
    }

    /// Tildes at the beginning of a value and behind each of its colons.
    fn tildes_in_path(&self, text: &str, at_start: bool) -> Vec<Segment> {
        let mut segments = Vec::new();
        for (index, piece) in text.split(':').enumerate() {
            if index > 0 {
                segments.push(Segment::Text(":".into(), false));
            }
            if piece.starts_with('~') && (index > 0 || at_start) {
                segments.extend(self.tilde(piece, true));
            } else {
                segments.push(Segment::Text(piece.into(), false));
            }
        }
        segments
    }

    /// Replaces a field that is a pattern by the files it matches; without a match it stays.
    fn file_names(&mut self, field: Vec<Char>, out: &mut Vec<String>) {
        if !self.state.options.no_glob && Pattern::is_active(&field) {
            let mut found = crate::glob::matching(&field);
            if !found.is_empty() {
                found.sort();
                out.append(&mut found);
                return;
            }
        }
        out.push(field.into_iter().map(|(c, _)| c).collect());
    }
}

/// An expansion's outcome as a segment.
fn value(text: String, quoted: bool, mode: Mode) -> Segment {
    if quoted {
        Segment::Text(text, true)
    } else if mode == Mode::Argument {
        Segment::Split(text)
    } else {
        Segment::Text(text, false)
    }
}

struct Splitter {
    fields: Vec<Vec<Char>>,
    current: Option<Vec<Char>>,
    /// Whether a blank ended the last field, so that one other separator still belongs to that end.
    after_blank: bool,
}

impl Splitter {
    fn finish(&mut self) {
        if let Some(field) = self.current.take() {
            self.fields.push(field);
        }
        self.after_blank = false;
    }

    fn split(&mut self, text: &str, ifs: &str) {
        for c in text.chars() {
            if !ifs.contains(c) {
                self.current.get_or_insert_with(Vec::new).push((c, false));
                self.after_blank = false;
            } else if c.is_whitespace() {
                if let Some(field) = self.current.take() {
                    self.fields.push(field);
                    self.after_blank = true;
                }
            } else if self.after_blank {
                self.after_blank = false;
            } else {
                self.fields.push(self.current.take().unwrap_or_default());
            }
        }
    }
}

/// Lets arithmetic see the shell's variables. A mistake already reported has an empty message.
struct Bridge<'a>(&'a mut Shell);

impl arith::Variables for Bridge<'_> {
    fn get(&mut self, name: &str) -> Result<Option<String>, String> {
        match self.0.parameter(name) {
            None if self.0.state.options.unset_is_error => Err(format!("{name}: parameter not set")),
            value => Ok(value),
        }
    }

    fn set(&mut self, name: &str, value: i64) -> Result<(), String> {
        self.0.set_variable(name, &value.to_string()).map_err(|_| String::new())
    }
}
