//! Words, quotes and expansions as they stand in the text.
//!
//! A shell's tokens depend on where they stand, so there is no separate list of tokens: [`Parser`] keeps a
//! position in the text, this file reads words at it, [`crate::parser`] reads commands.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::ast::*;

/// How deep commands and expansions may be nested; more would exhaust the stack.
const MAX_DEPTH: u32 = 64;

/// Text that is not a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The line, from 1.
    pub line: u32,
    /// What is wrong, as the rest of a sentence behind `line 3: `.
    pub message: String,
    /// Whether more text could mend it.
    pub incomplete: bool,
}

/// A result of parsing.
pub type Parsed<T> = Result<T, SyntaxError>;

/// The names that stand for text at a command's beginning.
pub type Aliases = BTreeMap<String, String>;

/// Reads commands out of text.
pub struct Parser {
    pub(crate) chars: Vec<char>,
    pub(crate) pos: usize,
    pub(crate) line: u32,
    /// Lines of here-documents already taken out of the text, counted at the next newline.
    skipped_lines: u32,
    pub(crate) aliases: Aliases,
    /// Aliases being expanded, each with where its text ends (counted from the end of all text).
    pub(crate) open_aliases: Vec<(String, usize)>,
    /// Whether a here-document may end with the text.
    pub(crate) last_text: bool,
    depth: u32,
}

/// Where a run of parts ends, which is also what quotes mean in it.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Until {
    /// A blank or operator.
    WordEnd,
    /// `}`
    Brace,
    /// `}`, inside double quotes.
    QuotedBrace,
    /// `"`
    DoubleQuote,
    /// The text's end: a here-document, or a prompt.
    Text,
    /// `))`
    Arithmetic,
}

impl Parser {
    /// A parser at the beginning of `text`.
    pub fn new(text: &str) -> Parser {
        Parser {
            chars: text.chars().collect(),
            pos: 0,
            line: 1,
            skipped_lines: 0,
            aliases: Aliases::new(),
            open_aliases: Vec::new(),
            last_text: true,
            depth: 0,
        }
    }

    /// Counts lines from `line` on.
    pub fn starting_at(mut self, line: u32) -> Parser {
        self.line = line;
        self
    }

    /// Lets a missing here-document end be an incomplete command, as more text may come.
    pub fn more_may_come(mut self) -> Parser {
        self.last_text = false;
        self
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.chars.get(self.pos).copied()
    }

    pub(crate) fn peek_at(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.pos + ahead).copied()
    }

    pub(crate) fn looking_at(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(index, c)| self.peek_at(index) == Some(c))
    }

    pub(crate) fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += 1;
        if c == '\n' {
            self.line += 1 + self.skipped_lines;
            self.skipped_lines = 0;
        }
        Some(c)
    }

    pub(crate) fn take(&mut self, text: &str) -> bool {
        let found = self.looking_at(text);
        if found {
            for _ in text.chars() {
                self.bump();
            }
        }
        found
    }

    pub(crate) fn error<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(SyntaxError { line: self.line, message: message.into(), incomplete: false })
    }

    pub(crate) fn incomplete<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(SyntaxError { line: self.line, message: message.into(), incomplete: true })
    }

    /// Runs `parse` one level deeper.
    pub(crate) fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            return self.error("commands are nested too deeply");
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// Skips blanks, joined lines, and a comment.
    pub(crate) fn skip_blanks(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\r') => {
                    self.bump();
                }
                Some('\\') if self.peek_at(1) == Some('\n') => {
                    self.bump();
                    self.bump();
                }
                Some('#') => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.bump();
                    }
                }
                _ => return,
            }
        }
    }

    /// Reads a word if one begins here.
    pub(crate) fn word(&mut self) -> Parsed<Option<Word>> {
        if self.peek().is_none_or(ends_word) {
            return Ok(None);
        }
        let parts = self.parts(Until::WordEnd)?;
        Ok(if parts.is_empty() { None } else { Some(Word { parts }) })
    }

    /// Reads parts up to, and not including, what `until` says.
    pub(crate) fn parts(&mut self, until: Until) -> Parsed<Vec<Part>> {
        self.nested(|parser| parser.parts_inner(until))
    }

    fn parts_inner(&mut self, until: Until) -> Parsed<Vec<Part>> {
        let mut parts = Vec::new();
        let mut parentheses = 0;
        let quoted = !matches!(until, Until::WordEnd | Until::Brace);
        loop {
            let Some(c) = self.peek() else {
                return match until {
                    Until::WordEnd | Until::Text => Ok(parts),
                    Until::Brace | Until::QuotedBrace => self.incomplete("unterminated '${'"),
                    Until::DoubleQuote => self.incomplete("unterminated double quote"),
                    Until::Arithmetic => self.incomplete("unterminated '$(('"),
                };
            };
            match until {
                Until::WordEnd if ends_word(c) => return Ok(parts),
                Until::Brace | Until::QuotedBrace if c == '}' => return Ok(parts),
                Until::DoubleQuote if c == '"' => return Ok(parts),
                Until::Arithmetic if c == '(' => parentheses += 1,
                Until::Arithmetic if c == ')' => {
                    if parentheses == 0 {
                        return Ok(parts);
                    }
                    parentheses -= 1;
                }
                _ => {}
            }
            match c {
                '\\' if until != Until::Arithmetic => self.backslash(&mut parts, until, quoted),
                '\'' if !quoted => {
                    self.bump();
                    let text = self.single_quoted()?;
                    push_part(&mut parts, Part::Single(text));
                }
                '"' if until == Until::Arithmetic => {
                    self.bump();
                }
                '"' if until != Until::Text => {
                    self.bump();
                    let inner = self.parts(Until::DoubleQuote)?;
                    self.bump();
                    parts.push(Part::Double(inner));
                }
                '$' => {
                    self.bump();
                    let part = self.dollar(quoted)?;
                    push_part(&mut parts, part);
                }
                '`' => {
                    self.bump();
                    let part = self.backquoted(until == Until::DoubleQuote)?;
                    parts.push(part);
                }
                _ => {
                    self.bump();
                    push_part(&mut parts, Part::Literal(c.to_string()));
                }
            }
        }
    }

    fn backslash(&mut self, parts: &mut Vec<Part>, until: Until, quoted: bool) {
        self.bump();
        let Some(c) = self.peek() else {
            // The last character of all text stands for itself.
            let part = if quoted { Part::Literal("\\".into()) } else { Part::Single("\\".into()) };
            return push_part(parts, part);
        };
        if c == '\n' {
            self.bump();
            return;
        }
        if !quoted {
            self.bump();
            return push_part(parts, Part::Single(c.to_string()));
        }
        let special = match until {
            Until::Text => "$`\\",
            Until::QuotedBrace => "$`\\\"}",
            _ => "$`\\\"",
        };
        if special.contains(c) {
            self.bump();
            push_part(parts, Part::Literal(c.to_string()));
        } else {
            push_part(parts, Part::Literal("\\".into()));
        }
    }

    fn single_quoted(&mut self) -> Parsed<String> {
        let mut text = String::new();
        loop {
            match self.bump() {
                None => return self.incomplete("unterminated single quote"),
                Some('\'') => return Ok(text),
                Some(c) => text.push(c),
            }
        }
    }

    /// Reads what follows a `$`.
    fn dollar(&mut self, quoted: bool) -> Parsed<Part> {
        let plain = |name: String| Part::Parameter(Parameter { name, operation: Operation::Plain });
        let Some(c) = self.peek() else {
            return Ok(lone_dollar(quoted));
        };
        match c {
            '(' if self.peek_at(1) == Some('(') && self.is_arithmetic() => {
                self.take("((");
                let inner = self.parts(Until::Arithmetic)?;
                if !self.take("))") {
                    return self.error("unexpected ')' in arithmetic");
                }
                Ok(Part::Arithmetic(inner))
            }
            '(' => {
                self.bump();
                let body = self.nested(|parser| parser.list_until(&[")"]))?;
                if !self.take(")") {
                    return self.incomplete("unterminated '$('");
                }
                Ok(Part::Command(body))
            }
            '{' => {
                self.bump();
                self.braced_parameter(quoted)
            }
            '\'' if !quoted => {
                self.bump();
                self.dollar_single().map(Part::Single)
            }
            c if is_name_start(c) => {
                let mut name = String::new();
                while let Some(c) = self.peek().filter(|c| is_name_char(*c)) {
                    name.push(c);
                    self.bump();
                }
                Ok(plain(name))
            }
            c if c.is_ascii_digit() || "@*#?-$!".contains(c) => {
                self.bump();
                Ok(plain(c.to_string()))
            }
            _ => Ok(lone_dollar(quoted)),
        }
    }

    /// Whether the `((` here is closed by a `))`, so that it is arithmetic and not a nested subshell.
    fn is_arithmetic(&self) -> bool {
        let mut depth = 0;
        let mut index = self.pos;
        while let Some(c) = self.chars.get(index) {
            match c {
                '(' => depth += 1,
                ')' => {
                    depth -= 1;
                    if depth == 1 {
                        return self.chars.get(index + 1) == Some(&')');
                    }
                }
                _ => {}
            }
            index += 1;
        }
        true
    }

    fn braced_parameter(&mut self, quoted: bool) -> Parsed<Part> {
        let operation = |name, operation| Ok(Part::Parameter(Parameter { name, operation }));
        if self.peek() == Some('#') && self.peek_at(1) != Some('}') {
            // `${#x}` is a length; `${#-w}` and its kin work on the count of parameters.
            let before = self.pos;
            self.bump();
            if let Some(name) = self.parameter_name()
                && self.take("}")
            {
                return operation(name, Operation::Length);
            }
            self.pos = before;
        }
        let Some(name) = self.parameter_name() else {
            return match self.peek() {
                None => self.incomplete("unterminated '${'"),
                Some(_) => self.error("bad substitution: '${' wants a parameter's name"),
            };
        };
        let colon = self.take(":");
        let test = match self.peek() {
            Some('-') => Some(Test::Default),
            Some('=') => Some(Test::Assign),
            Some('+') => Some(Test::Alternative),
            Some('?') => Some(Test::Error),
            _ => None,
        };
        if let Some(test) = test {
            self.bump();
            let parts = self.parts(if quoted { Until::QuotedBrace } else { Until::Brace })?;
            self.bump();
            return operation(name, Operation::Test { test, colon, word: Word { parts } });
        }
        match self.peek() {
            Some(sign @ ('#' | '%')) if !colon => {
                self.bump();
                let longest = self.peek() == Some(sign);
                if longest {
                    self.bump();
                }
                let parts = self.parts(Until::Brace)?;
                self.bump();
                let pattern = Word { parts };
                operation(name, Operation::Trim { prefix: sign == '#', longest, pattern })
            }
            Some('}') if !colon => {
                self.bump();
                operation(name, Operation::Plain)
            }
            None => self.incomplete("unterminated '${'"),
            Some(c) => self.error(format!("bad substitution: unexpected '{c}' in '${{{name}'")),
        }
    }

    fn parameter_name(&mut self) -> Option<String> {
        let c = self.peek()?;
        let mut name = String::new();
        if "@*#?-$!".contains(c) {
            self.bump();
            name.push(c);
            return Some(name);
        }
        let digits = c.is_ascii_digit();
        while let Some(c) = self.peek().filter(|c| if digits { c.is_ascii_digit() } else { is_name_char(*c) }) {
            name.push(c);
            self.bump();
        }
        if name.is_empty() { None } else { Some(name) }
    }

    /// Reads `` `…` ``: its text loses one level of backslashes and is parsed as commands.
    fn backquoted(&mut self, in_double: bool) -> Parsed<Part> {
        let mut text = String::new();
        let line = self.line;
        loop {
            match self.bump() {
                None => return self.incomplete("unterminated backquote"),
                Some('`') => break,
                Some('\\') => match self.peek() {
                    Some(c @ ('$' | '`' | '\\')) => {
                        self.bump();
                        text.push(c);
                    }
                    Some('"') if in_double => {
                        self.bump();
                        text.push('"');
                    }
                    _ => text.push('\\'),
                },
                Some(c) => text.push(c),
            }
        }
        let mut inner = Parser::new(&text).starting_at(line);
        inner.aliases = self.aliases.clone();
        inner.depth = self.depth + 1;
        let body = inner.whole_list().map_err(|error| SyntaxError { incomplete: false, ..error })?;
        Ok(Part::Command(body))
    }

    /// Reads `$'…'` behind its first quote.
    fn dollar_single(&mut self) -> Parsed<String> {
        let mut text = String::new();
        loop {
            let c = match self.bump() {
                None => return self.incomplete("unterminated single quote"),
                Some('\'') => return Ok(text),
                Some('\\') => match self.bump() {
                    None => return self.incomplete("unterminated single quote"),
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some('r') => '\r',
                    Some('a') => '\u{7}',
                    Some('b') => '\u{8}',
                    Some('f') => '\u{c}',
                    Some('v') => '\u{b}',
                    Some('e' | 'E') => '\u{1b}',
                    Some('x') => self.code(16, 2, 0),
                    Some('u') => self.code(16, 4, 0),
                    Some('U') => self.code(16, 8, 0),
                    Some(digit @ '0'..='7') => self.code(8, 2, digit as u32 - '0' as u32),
                    Some(other) => other,
                },
                Some(c) => c,
            };
            text.push(c);
        }
    }

    fn code(&mut self, base: u32, most: u32, mut value: u32) -> char {
        for _ in 0..most {
            let Some(digit) = self.peek().and_then(|c| c.to_digit(base)) else { break };
            self.bump();
            value = value.wrapping_mul(base).wrapping_add(digit);
        }
        char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    /// Takes the here-document that begins behind the current line out of the text.
    pub(crate) fn here_document(&mut self, delimiter: &Word, strip_tabs: bool) -> Parsed<Word> {
        let end: String = delimiter.parts.iter().map(raw_text).collect();
        let expands = matches!(delimiter.parts.as_slice(), [Part::Literal(_)]);
        let start = self.next_line();
        let mut body = String::new();
        let mut at = start;
        let mut lines = 0;
        let mut found = false;
        while at < self.chars.len() {
            let stop = (at..self.chars.len()).find(|i| self.chars[*i] == '\n').unwrap_or(self.chars.len());
            let mut text: String = self.chars[at..stop].iter().collect();
            at = (stop + 1).min(self.chars.len());
            lines += 1;
            if strip_tabs {
                text = text.trim_start_matches('\t').into();
            }
            if text == end {
                found = true;
                break;
            }
            body.push_str(&text);
            body.push('\n');
        }
        if !found && !self.last_text {
            return self.incomplete(format!("here-document without its '{end}'"));
        }
        self.chars.drain(start..at);
        self.skipped_lines += lines;
        if body.is_empty() {
            return Ok(Word::default());
        }
        body.pop();
        if !expands {
            return Ok(Word::quoted(&body));
        }
        let mut inner = Parser::new(&body).starting_at(self.line + 1);
        inner.aliases = self.aliases.clone();
        inner.depth = self.depth;
        Ok(Word { parts: alloc::vec![Part::Double(inner.parts(Until::Text)?)] })
    }

    /// Where the line behind this command begins, quoted newlines apart.
    fn next_line(&self) -> usize {
        let mut index = self.pos;
        let mut blank = true;
        while let Some(c) = self.chars.get(index) {
            index += 1;
            match c {
                '\n' => return index,
                '\\' => index += 1,
                '\'' | '"' | '`' => index = self.behind_group(index, *c, 0),
                '$' if self.chars.get(index) == Some(&'(') => index = self.behind_group(index + 1, ')', 0),
                '#' if blank => {
                    while self.chars.get(index).is_some_and(|c| *c != '\n') {
                        index += 1;
                    }
                }
                _ => {}
            }
            blank = c.is_whitespace();
        }
        self.chars.len()
    }

    /// Where the text behind a group lies that is closed by `close`, with the groups in it.
    fn behind_group(&self, mut index: usize, close: char, depth: u32) -> usize {
        while let Some(c) = self.chars.get(index) {
            index += 1;
            let opened = match c {
                c if *c == close => return index,
                _ if close == '\'' => None,
                '\\' => {
                    index += 1;
                    None
                }
                '\'' | '"' if close != '"' => Some(*c),
                '`' => Some('`'),
                '$' if self.chars.get(index) == Some(&'(') => {
                    index += 1;
                    Some(')')
                }
                '(' if close == ')' => Some(')'),
                _ => None,
            };
            if let Some(inner) = opened
                && depth < MAX_DEPTH
            {
                index = self.behind_group(index, inner, depth + 1);
            }
        }
        index
    }
}

/// Whether an unquoted `c` ends a word.
pub(crate) fn ends_word(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')')
}

fn lone_dollar(quoted: bool) -> Part {
    if quoted { Part::Literal("$".into()) } else { Part::Single("$".into()) }
}

/// A part's text with its quotes removed and nothing expanded.
fn raw_text(part: &Part) -> String {
    match part {
        Part::Literal(text) | Part::Single(text) => text.clone(),
        Part::Double(parts) => parts.iter().map(raw_text).collect(),
        Part::Parameter(parameter) => format!("${}", parameter.name),
        Part::Command(_) | Part::Arithmetic(_) => String::new(),
    }
}
